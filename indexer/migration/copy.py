"""Copies a collection into another, within one store or between two, with all fields and vectors of its rows.

Copying is idempotent: a row that the target already has, equal in every field, is not sent again. A copy that was
stopped or killed is finished by running it again. Memory grows by some two dozen bytes a row.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from embeddings.errors import ModelMismatch, NotFound, StoreUnavailable, UsageError
from embeddings.models.identity import ModelIdentity
from indexer.migration.row_hashes import Ids, RowHashes, lacking, row_hash
from indexer.migration.upload_files import Uploads
from indexer.pipeline.writer import Writer
from store.base import Collection, Store
from store.locations import UPLOAD
from store.records import Row

T = TypeVar("T")

SAMPLE = 100  # rows whose vectors are compared at the end
TELL_ROWS = 100
_TOLERANCE = 1e-5  # stores normalise every vector, which may change its last digit

Listener = Callable[["CopyProgress"], None]


@dataclass
class CopyProgress:
    """The running count of one copy; at its end, `found` is the sum of `copied`, `skipped` and `kept`.

    `stage` is 'compare', 'copy' or 'verify', with `done` of `total` rows. `skipped` rows were in the target already,
    `kept` rows are newer in the target. `verified` rows were compared with their vectors. `uploads` rows belong to
    uploaded images: `files` of their files were copied, and the files of `missing` (ids) are gone.
    """

    stage: str = "compare"
    done: int = 0
    total: int = 0
    found: int = 0
    copied: int = 0
    skipped: int = 0
    kept: int = 0
    verified: int = 0
    uploads: int = 0
    files: int = 0
    missing: list[str] = field(default_factory=list)


def open_target(store: Store, name: str, source: Collection) -> Collection:
    """Return the target collection for the rows of `source`; create it if needed, compact if `source` is compact.

    Raises ModelMismatch if its vectors are of another model.
    """
    model = source.model
    try:
        target = store.create(name, model, source.projection)
    except ModelMismatch as error:
        raise _other_vectors(name, store.open(name).model, model) from error
    if target.model.fingerprint != model.fingerprint:  # a compact collection, which would project the vectors
        raise _other_vectors(name, target.model, model)
    return target


def _other_vectors(name: str, there: ModelIdentity, model: ModelIdentity) -> ModelMismatch:
    return ModelMismatch(
        f"the collection {name!r} exists already, made with the model {there.name} ({there.fingerprint}), and "
        f"takes no rows of {model.name} ({model.fingerprint}): give the copy a name of its own",
        field="collection",
    )


def copy_rows(
    source: Collection, target: Collection, uploads: Uploads | None, merge: bool, listener: Listener
) -> CopyProgress:
    """Make `target` hold every row of `source`, and check that it does.

    A row that the target has in another version is replaced, unless that version was indexed later. `uploads` copies
    the files of uploaded images, each before its row; None if they are in their place already. `listener` is called
    again and again with the progress, which is also returned. After an exception, KeyboardInterrupt included, the rows
    that were read are written.

    Raises UsageError, before anything is written, if the target has rows that the source lacks, unless `merge` allows
    it; StoreUnavailable if rows did not arrive as they are in the source.
    """
    return _Copy(source, target, uploads, listener).run(merge)


class _Copy:
    """One copy."""

    def __init__(self, source: Collection, target: Collection, uploads: Uploads | None, listener: Listener) -> None:
        self._source = source
        self._target = target
        self._uploads = uploads
        self._listener = listener
        self._progress = CopyProgress()
        self._read = Ids()
        self._sample: list[Row] = []
        self._random = random.Random(0)  # noqa: S311 - the choice of rows need not be secret

    def run(self, merge: bool) -> CopyProgress:
        """Compare, copy and verify."""
        there = RowHashes(self._stage("compare", self._target.count(), self._target.scan()))
        if len(there) and not merge:
            self._check_alone(there)
        self._copy(there)
        self._verify()
        return self._progress

    def _check_alone(self, there: RowHashes) -> None:
        others = lacking(there.ids, Ids(known.id for known in self._source.known()).hashes)
        if others:
            raise UsageError(
                f"the collection {self._target.name!r} has {others:,} rows that {self._source.name!r} has not: give "
                "the copy a name of its own, or add to those rows with --merge",
                field="collection",
            )

    def _copy(self, there: RowHashes) -> None:
        try:
            with Writer(self._target) as writer:
                for row in self._stage("copy", self._source.count(), self._source.scan(with_vectors=True)):
                    self._copy_row(row, there, writer)
        finally:
            if self._progress.copied:
                self._target.flush()

    def _copy_row(self, row: Row, there: RowHashes, writer: Writer) -> None:
        """Copy one row unless the target has it."""
        progress = self._progress
        progress.found += 1
        self._read.add(row.id)
        theirs, ours = there.find(row.id), row_hash(row)
        if theirs is not None and theirs.indexed_at > ours.indexed_at:
            progress.kept += 1
            return
        self._sample_row(row)
        if row.source == UPLOAD:
            self._copy_file(row)
        if theirs == ours:
            progress.skipped += 1
        else:
            writer.add([row])
            progress.copied += 1

    def _copy_file(self, row: Row) -> None:
        self._progress.uploads += 1
        if self._uploads is None:
            return
        try:
            self._progress.files += self._uploads.copy_file(row)
        except NotFound:
            self._progress.missing.append(row.id)

    def _sample_row(self, row: Row) -> None:
        """Draw a sample in which every row is as likely as any other."""
        if len(self._sample) < SAMPLE:
            self._sample.append(row)
        elif (place := self._random.randrange(self._progress.found)) < SAMPLE:
            self._sample[place] = row

    def _verify(self) -> None:
        """Raise StoreUnavailable unless every id is there and the sampled rows are the same with their vectors."""
        known = self._stage("verify", self._target.count(), self._target.known())
        missing = lacking(self._read.hashes, Ids(file.id for file in known).hashes)
        if missing:
            raise StoreUnavailable(
                f"{missing:,} of {self._progress.found:,} rows are not in {self._target.name!r} after the copy: run "
                "the same again"
            )
        arrived = {row.id: row for row in self._target.fetch([row.id for row in self._sample], with_vectors=True)}
        for row in self._sample:
            if not _is_equal(row, arrived.get(row.id)):
                raise StoreUnavailable(
                    f"the row {row.id!r} is not the same in {self._target.name!r} after the copy: check whether "
                    "something else writes to one of the two collections, and copy to another name"
                )
        self._progress.verified = len(self._sample)

    def _stage(self, name: str, total: int, items: Iterable[T]) -> Iterator[T]:
        """Yield the items and tell the listener how many have been yielded."""
        progress = self._progress
        progress.stage, progress.done, progress.total = name, 0, total
        for item in items:
            if progress.done % TELL_ROWS == 0:
                self._listener(progress)
            yield item
            progress.done += 1
        self._listener(progress)


def _is_equal(row: Row, other: Row | None) -> bool:
    """Return whether two rows are equal, with their vectors."""
    if other is None or row.vector is None or other.vector is None:
        return False
    return row_hash(row) == row_hash(other) and bool(np.allclose(row.vector, other.vector, rtol=0, atol=_TOLERANCE))
