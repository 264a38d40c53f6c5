"""Scans a collection for duplicates; only new, changed and removed images cost time.

Each step stores its results in small transactions and asks the pair store what is left to do. So a scan that was
stopped or killed continues where it was, and another scan changes nothing.
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

from duplicates.candidates import assign_buckets, candidate_pairs, pivots_for
from duplicates.evidence import may_be_near
from duplicates.pair_store import NewContent, PairStore
from duplicates.pixel_match import SPEC, agreement, grey
from embeddings.errors import Busy, ImageError, NotFound, UsageError
from embeddings.imaging.decode import DecodedImage, InputSpec
from embeddings.utils import storage_error
from store.base import Collection
from store.records import Row

T = TypeVar("T")

READ_BATCH = 500  # rows
ASSIGN_BATCH = 2048  # contents
VERIFY_BATCH = 256  # pairs
MAX_FILES_IN_MEMORY = 32
MAX_COPIES_TRIED = 3
REPIVOT_GROWTH = 4  # pivots are chosen again when the collection deserves this many times more


@dataclass(frozen=True)
class ScanProgress:
    """The progress of a scan: `done` of the `total` items of this stage are done.

    Stages are `reading` (contents), `comparing` (buckets of contents) and `looking` (pairs whose pixels are compared).
    """

    stage: str
    done: int
    total: int


Listener = Callable[[ScanProgress], None]
ReadBytes = Callable[[Row], bytes]


class ImageDecoder(Protocol):
    """Decodes images in a sandbox, as embeddings.decode_pool.pool.DecodePool does."""

    def decode(self, data: bytes, spec: InputSpec) -> Future[DecodedImage]: ...


def folder_of(data: Path) -> Path:
    """Return the folder of a data directory that holds everything about duplicates."""
    return data / "duplicates"


def scan(collection: Collection, folder: Path, read: ReadBytes, decoder: ImageDecoder, listen: Listener) -> None:
    """Bring the pair store of a collection in `folder` up to date.

    `read` returns the bytes of a row's image, and raises NotFound or ImageError if it cannot. An exception of `listen`
    stops the scan. Raises Busy if another process is scanning, StoreUnavailable, DiskFull or NotFound, and UsageError
    for a compact collection: the thresholds do not hold for distances between its vectors.
    """
    if collection.projection is not None:
        raise UsageError(
            f"{collection.name} is compact, and duplicates need full vectors: "
            f"`lookalike compact {collection.name} --back` restores them",
            field="collection",
        )
    with PairStore(folder, collection.name, collection.model) as pair_store, _locked(folder, collection):
        _read_contents(collection, pair_store, listen)
        _find_candidates(pair_store, listen)
        PixelVerifier(collection, pair_store, read, decoder).verify(listen)
        pair_store.mark_complete()


@contextmanager
def _locked(folder: Path, collection: Collection) -> Iterator[None]:
    """Hold the collection's lock, which the system releases when the process dies. Raises Busy."""
    path = folder / f"{collection.name}_{collection.model.fingerprint}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = f"another process is scanning {collection.name} for duplicates; try again when it is done"
            raise Busy(text) from error
        yield
    finally:
        os.close(descriptor)


def _read_contents(collection: Collection, pair_store: PairStore, listen: Listener) -> None:
    """Apply the difference between the collection and the pair store to the latter."""
    before = pair_store.images()
    now = {file.id: file.content_hash for file in collection.known()}
    pair_store.remove([id_ for id_, content in before.items() if now.get(id_) != content])
    new = {id_: content for id_, content in now.items() if before.get(id_) != content}
    del before, now
    existing: set[str] = set()
    for hashes in _batches(set(new.values()), READ_BATCH):
        existing |= pair_store.existing(hashes)
    sources = {content: id_ for id_, content in new.items() if content not in existing}
    listen(ScanProgress("reading", 0, len(sources)))
    done = 0
    for ids in _batches(sources.values(), READ_BATCH):
        rows = collection.fetch(ids, with_vectors=True)
        pair_store.add(
            [NewContent(row.content_hash, row.phash, row.vector) for row in rows if row.vector is not None], []
        )
        done += len(ids)
        listen(ScanProgress("reading", done, len(sources)))
    pair_store.add([], new.items())
    pair_store.prune()


def _find_candidates(pair_store: PairStore, listen: Listener) -> None:
    """Find the pairs of contents that may be alike."""
    count = pair_store.content_count()
    wanted, current = pivots_for(count), len(pair_store.pivots())
    if count and (current == 0 or wanted >= REPIVOT_GROWTH * current):
        pair_store.choose_pivots(wanted)
    pivots = pair_store.pivots()
    while True:
        ids, vectors = pair_store.unassigned(ASSIGN_BATCH)
        if not ids:
            break
        pair_store.assign(ids, assign_buckets(vectors, pivots))
        listen(ScanProgress("comparing", 0, count))
    buckets = pair_store.uncompared()
    for done, bucket in enumerate(buckets):
        listen(ScanProgress("comparing", done, len(buckets)))
        for new in pair_store.members(bucket, new=True):
            for others in pair_store.members(bucket, new=False):
                listen(ScanProgress("comparing", done, len(buckets)))
                pair_store.add_pairs(
                    (pair, may_be_near(pair.distance, pair.score)) for pair in candidate_pairs(new, others)
                )
        pair_store.mark_compared(bucket)
    pair_store.mark_all_compared()
    listen(ScanProgress("comparing", len(buckets), len(buckets)))


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


class PixelVerifier:
    """Compares the pixels of the pairs that hash and vector take for copies."""

    def __init__(self, collection: Collection, pair_store: PairStore, read: ReadBytes, decoder: ImageDecoder) -> None:
        self._collection = collection
        self._pair_store = pair_store
        self._read = read
        self._decoder = decoder

    def verify(self, listen: Listener) -> None:
        """Verify all unverified pairs, and once more those whose files could not be read."""
        self._pair_store.retry_unreadable()
        total = self._pair_store.unverified_count()
        done = 0
        listen(ScanProgress("looking", 0, total))
        while pairs := self._pair_store.unverified(VERIFY_BATCH):
            thumbnails = self._thumbnails({content for first, second, _ in pairs for content in (first, second)})
            self._pair_store.record_verified(
                (a, b, _agreement(thumbnails.get(a), thumbnails.get(b), mirrored)) for a, b, mirrored in pairs
            )
            done += len(pairs)
            listen(ScanProgress("looking", done, total))

    def _thumbnails(self, contents: set[int]) -> dict[int, np.ndarray]:
        """Return the grey thumbnails of the contents that can be read."""
        stored = self._pair_store.thumbnails(sorted(contents))
        missing = sorted(contents - stored.keys())
        copies = {content: self._pair_store.copies(content, MAX_COPIES_TRIED) for content in missing}
        rows = {row.id: row for row in self._collection.fetch([id_ for ids in copies.values() for id_ in ids])}
        new: dict[int, np.ndarray] = {}
        for batch in _batches(copies, MAX_FILES_IN_MEMORY):
            futures = {c: self._decode([rows[id_] for id_ in copies[c] if id_ in rows]) for c in batch}
            decoded = {content: _decoded(future) for content, future in futures.items()}
            new |= {content: grey(image) for content, image in decoded.items() if image is not None}
        self._pair_store.keep_thumbnails(new)
        return stored | new

    def _decode(self, copies: list[Row]) -> Future[DecodedImage] | None:
        """Start decoding the first of a content's copies that can be read."""
        for row in copies:
            try:
                return self._decoder.decode(self._read(row), SPEC)
            except (NotFound, ImageError):  # the file is gone, changed or elsewhere; another copy may be readable
                continue
        return None


def _decoded(future: Future[DecodedImage] | None) -> DecodedImage | None:
    try:
        return None if future is None else future.result()
    except ImageError:
        return None


def _agreement(first: np.ndarray | None, second: np.ndarray | None, mirrored: bool) -> float | None:
    return None if first is None or second is None else agreement(first, second, mirrored)
