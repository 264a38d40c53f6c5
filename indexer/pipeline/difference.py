"""Compares a source with a collection, block by block: which images are new or changed."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from indexer.pipeline.bounded_map import bounded_map
from indexer.pipeline.lister import chunks
from indexer.pipeline.writable_collection import WritableCollection
from indexer.sources.base import Reference, Unlistable
from store.records import IndexedFile
from store.row_builder import row_id

COMPARED = 10_000  # references that are compared with the collection in one call
BLOCKS_AHEAD = 4  # a server compares several blocks in the time of one


@dataclass(frozen=True)
class Block:
    """A part of a source: the new and changed images, the parts that cannot be listed, and the ids of all images."""

    new: list[Reference]
    unlistable: list[Unlistable]
    ids: list[str]

    @property
    def unchanged(self) -> int:
        """The number of images that the collection has in their present version."""
        return len(self.ids) - len(self.new)


def difference(
    source: str, listed: Iterable[Reference | Unlistable], collection: WritableCollection, strong: bool = True
) -> Iterator[Block]:
    """Yield everything that was listed of the source with this name, in its order, compared with the collection.

    Unless `strong`, rows that others wrote or removed in the last seconds may be missed; a server answers sooner then.
    The first block is yielded as soon as it is compared; later blocks are compared ahead, to hide the server's latency.
    """
    threads = ThreadPoolExecutor(BLOCKS_AHEAD, "compare")

    def start(items: list[Reference | Unlistable]) -> Future[Block]:
        return threads.submit(_compare, source, items, collection, strong)

    blocks = chunks(listed, COMPARED)
    try:
        for first in islice(blocks, 1):
            yield start(first).result()
        for future in bounded_map(start, blocks, BLOCKS_AHEAD, is_ready=Future.done):
            yield future.result()
    finally:
        threads.shutdown(cancel_futures=True)


def _compare(source: str, items: list[Reference | Unlistable], collection: WritableCollection, strong: bool) -> Block:
    references = [item for item in items if isinstance(item, Reference)]
    ids = [reference_id(source, reference) for reference in references]
    rows = collection.lookup(ids, strong)
    new = [r for id_, r in zip(ids, references, strict=True) if not _is_unchanged(rows.get(id_), source, r)]
    return Block(new, [item for item in items if isinstance(item, Unlistable)], ids)


def reference_id(source: str, reference: Reference) -> str:
    """Return the primary key of an image: the caller's own, or one made from its source and path."""
    return reference.id or row_id(source, reference.path)


def _is_unchanged(row: IndexedFile | None, source: str, reference: Reference) -> bool:
    """Return whether a row describes the image as it is now, as far as the source tells."""
    if row is None or (row.source, row.path) != (source, reference.path):
        return False
    return reference.bytes in (None, row.bytes) and (reference.modified_at or 0) == row.modified_at
