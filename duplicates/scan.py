"""Brings what is known of a collection's duplicates up to date: only what is new, changed or gone is looked at.

Each step writes what it has done in small transactions and asks the file what is left to do, so that a run that is
stopped or killed is taken up where it was, and running again changes nothing.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from duplicates import candidates
from duplicates.evidence import may_be_near
from duplicates.pair_store import NewContent, PairStore
from duplicates.pixel_match import SPEC, agreement, grey
from embeddings.errors import Busy, ImageError, NotFound, UsageError
from embeddings.imaging.decode import DecodedImage, InputSpec
from embeddings.utils import storage_error
from store.base import Collection
from store.records import Row

T = TypeVar("T")

READ_ROWS = 500
PLACE_ROWS = 2048
LOOK_PAIRS = 256
FILES_AT_ONCE = 32  # whose bytes are in memory
COPIES_TRIED = 3
GROWN = 4  # times as many pivots would be chosen now: then they are chosen anew


@dataclass(frozen=True)
class ScanProgress:
    """How far a run is: of `total` things of this stage, `done` are done.

    Stages are `reading` (contents), `comparing` (cells of contents) and `looking` (pairs whose pixels are compared).
    """

    stage: str
    done: int
    total: int


Listener = Callable[[ScanProgress], None]
ReadBytes = Callable[[Row], bytes]


class ImageDecoder(Protocol):
    """What decodes pictures where they can do no harm: embeddings.decode_pool.pool.DecodePool."""

    def decode(self, data: bytes, spec: InputSpec) -> Future[DecodedImage]: ...


def folder_of(data: Path) -> Path:
    """Return where everything about duplicates is kept in a data directory."""
    return data / "duplicates"


def scan(collection: Collection, folder: Path, read: ReadBytes, decoder: ImageDecoder, listen: Listener) -> None:
    """Bring the ledger of a collection in `folder` up to date.

    `read` returns the bytes of a row's picture, and raises NotFound or ImageError where there are none. Whatever
    `listen` raises stops the run. Raises Busy where another process is at it, StoreUnavailable, DiskFull or NotFound,
    and UsageError for a compact collection: its vectors have other distances than those that the limits are for.
    """
    if collection.projection is not None:
        raise UsageError(
            f"{collection.name} is compact, and duplicates are told by full vectors: "
            f"`lookalike compact {collection.name} --back` brings them back",
            field="collection",
        )
    with PairStore(folder, collection.name, collection.model) as pair_store, _alone(folder, collection):
        _read(collection, pair_store, listen)
        _compare(pair_store, listen)
        _PixelVerifier(collection, pair_store, read, decoder).verify(listen)
        pair_store.complete()


@contextmanager
def _alone(folder: Path, collection: Collection) -> Iterator[None]:
    """Hold the collection's lock, which the system releases when the process dies."""
    path = folder / f"{collection.name}_{collection.model.fingerprint}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = f"duplicates of {collection.name} are being looked for by another process; try again when it is done"
            raise Busy(text) from error
        yield
    finally:
        os.close(descriptor)


def _read(collection: Collection, pair_store: PairStore, listen: Listener) -> None:
    """Take the difference between the collection and what is known of it."""
    before = pair_store.pictures()
    now = {known.id: known.content_hash for known in collection.known()}
    pair_store.remove([id_ for id_, content in before.items() if now.get(id_) != content])
    new = {id_: content for id_, content in now.items() if before.get(id_) != content}
    del before, now
    there = {found for some in _batches(set(new.values()), READ_ROWS) for found in pair_store.among(some)}
    sources = {content: id_ for id_, content in new.items() if content not in there}
    listen(ScanProgress("reading", 0, len(sources)))
    done = 0
    for some in _batches(sources.values(), READ_ROWS):
        rows = collection.fetch(some, with_vectors=True)
        pair_store.add(
            [NewContent(row.content_hash, row.phash, row.vector) for row in rows if row.vector is not None], []
        )
        done += len(some)
        listen(ScanProgress("reading", done, len(sources)))
    pair_store.add([], new.items())
    pair_store.prune()


def _compare(pair_store: PairStore, listen: Listener) -> None:
    """Find the pairs of contents that may be alike."""
    count = pair_store.contents()
    wanted, there = candidates.pivots_for(count), len(pair_store.pivots())
    if count and (there == 0 or wanted >= GROWN * there):
        pair_store.choose_pivots(wanted)
    pivots = pair_store.pivots()
    while True:
        ids, vectors = pair_store.unplaced(PLACE_ROWS)
        if not ids:
            break
        pair_store.place(ids, candidates.assign_cells(vectors, pivots))
        listen(ScanProgress("comparing", 0, count))
    left = pair_store.uncompared()
    for done, cell in enumerate(left):
        listen(ScanProgress("comparing", done, len(left)))
        for new in pair_store.members(cell, new=True):
            for others in pair_store.members(cell, new=False):
                listen(ScanProgress("comparing", done, len(left)))
                pair_store.add_pairs(
                    (pair, may_be_near(pair.distance, pair.score)) for pair in candidates.candidate_pairs(new, others)
                )
        pair_store.compared(cell)
    pair_store.all_compared()
    listen(ScanProgress("comparing", len(left), len(left)))


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut into lists of at most `size`."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


class _PixelVerifier:
    """Compares the pixels of the pairs that hash and vector take for one picture."""

    def __init__(self, collection: Collection, pair_store: PairStore, read: ReadBytes, decoder: ImageDecoder) -> None:
        self._collection = collection
        self._pair_store = pair_store
        self._read = read
        self._decoder = decoder

    def verify(self, listen: Listener) -> None:
        """Look at all pairs that were not looked at, and again at those whose pictures could not be read."""
        self._pair_store.retry_unreadable()
        total = self._pair_store.unverified_count()
        done = 0
        listen(ScanProgress("looking", 0, total))
        while pairs := self._pair_store.unverified(LOOK_PAIRS):
            seen = self._seen({content for first, second, _ in pairs for content in (first, second)})
            self._pair_store.record_verified(
                (a, b, _agreement(seen.get(a), seen.get(b), mirrored)) for a, b, mirrored in pairs
            )
            done += len(pairs)
            listen(ScanProgress("looking", done, total))

    def _seen(self, contents: set[int]) -> dict[int, np.ndarray]:
        """Return the small grey pictures of the contents that can be read."""
        kept = self._pair_store.thumbnails(sorted(contents))
        copies = {content: self._pair_store.copies(content, COPIES_TRIED) for content in sorted(contents - kept.keys())}
        rows = {row.id: row for row in self._collection.fetch([id_ for ids in copies.values() for id_ in ids])}
        made: dict[int, np.ndarray] = {}
        for some in _batches(copies, FILES_AT_ONCE):
            futures = {c: self._started([rows[id_] for id_ in copies[c] if id_ in rows]) for c in some}
            decoded = {content: _decoded(future) for content, future in futures.items()}
            made |= {content: grey(image) for content, image in decoded.items() if image is not None}
        self._pair_store.keep_thumbnails(made)
        return kept | made

    def _started(self, copies: list[Row]) -> Future[DecodedImage] | None:
        """Start decoding the first of a content's pictures that can be read."""
        for row in copies:
            try:
                return self._decoder.decode(self._read(row), SPEC)
            except (NotFound, ImageError):  # a file that is gone, changed or elsewhere; another copy may be here
                continue
        return None


def _decoded(future: Future[DecodedImage] | None) -> DecodedImage | None:
    try:
        return None if future is None else future.result()
    except ImageError:
        return None


def _agreement(some: np.ndarray | None, other: np.ndarray | None, mirrored: bool) -> float | None:
    return None if some is None or other is None else agreement(some, other, mirrored)
