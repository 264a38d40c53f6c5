"""What a source has that a collection has not, found block by block."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from indexer.pipeline.ledger import WritableCollection
from indexer.pipeline.lister import chunks
from indexer.sources.base import Reference, Unlistable
from store.records import IndexedFile
from store.row_builder import row_id

COMPARED = 10_000  # references that are compared with the collection in one go
BLOCKS_AHEAD = 4  # of which a server answers several in the time of one


@dataclass(frozen=True)
class Block:
    """A part of a source: what is new or changed, what could not be looked at, and the ids of all images in it."""

    new: list[Reference]
    unlistable: list[Unlistable]
    ids: list[str]

    @property
    def unchanged(self) -> int:
        """The number of images that the collection has as they are."""
        return len(self.ids) - len(self.new)


def difference(
    source: str, listed: Iterable[Reference | Unlistable], collection: WritableCollection, strong: bool = True
) -> Iterator[Block]:
    """Yield everything that was listed of the source with this name, in its order, compared with the collection.

    What others wrote or removed in the last seconds may not count unless `strong`, which a server waits for.
    The first block comes as soon as it is compared; later on a few are asked for ahead, for a server takes its time.
    """
    waiting: deque[Future[Block]] = deque()
    with ThreadPoolExecutor(BLOCKS_AHEAD, "compare") as threads:
        try:
            for number, items in enumerate(chunks(listed, COMPARED)):
                waiting.append(threads.submit(_compared, source, items, collection, strong))
                while waiting and (len(waiting) > min(number, BLOCKS_AHEAD) or waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def _compared(source: str, items: list[Reference | Unlistable], collection: WritableCollection, strong: bool) -> Block:
    references = [item for item in items if isinstance(item, Reference)]
    ids = [reference_id(source, reference) for reference in references]
    known = collection.lookup(ids, strong)
    new = [r for id_, r in zip(ids, references, strict=True) if not _unchanged(known.get(id_), source, r)]
    return Block(new, [item for item in items if isinstance(item, Unlistable)], ids)


def reference_id(source: str, reference: Reference) -> str:
    """Return the primary key of an image: the caller's own, or one made from where it is."""
    return reference.id or row_id(source, reference.path)


def _unchanged(row: IndexedFile | None, source: str, reference: Reference) -> bool:
    """Whether a row is of the image as it is now, as far as the source tells."""
    if row is None or (row.source, row.path) != (source, reference.path):
        return False
    return reference.bytes in (None, row.bytes) and (reference.modified_at or 0) == row.modified_at
