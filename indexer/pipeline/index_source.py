"""Takes the difference between a source and a collection, and makes the collection hold what the source holds.

The parts (listing, reading, embedding, writing) do not know each other; here and in indexing.py they are joined so
that they overlap. Memory does not grow with the source but for a few dozen bytes an image.
"""

from collections.abc import Iterator

from embeddings.embedder import Embedder
from indexer.pipeline.difference import difference
from indexer.pipeline.lister import PrefetchIterator
from indexer.pipeline.pipeline import IndexPipeline
from indexer.pipeline.progress import IndexProgress, Listener
from indexer.pipeline.pruning import SeenIds
from indexer.pipeline.writable_collection import WritableCollection
from indexer.sources.base import Reference, Source, Unlistable


def index_source(
    source: Source, collection: WritableCollection, embedder: Embedder, max_bytes: int, prune: bool, listener: Listener
) -> IndexProgress:
    """Make `collection` hold every image of the source.

    Images whose size and change time are known are not opened; those whose bytes are known are copied from the row
    that has them. `prune` removes the rows of images that are gone. `listener` is called again and again with the
    progress, which is also returned. An exception, KeyboardInterrupt included, leaves written what was ready.
    """
    progress, presence = IndexProgress(), SeenIds()
    indexing = IndexPipeline(source, collection, embedder, max_bytes, progress, listener)

    def new(listed: PrefetchIterator[Reference | Unlistable]) -> Iterator[Reference]:
        """Yield what is not in the collection as it is in the source."""
        for block in difference(source.name, listed, collection):
            progress.found = listed.found
            for item in block.unlistable:
                presence.mark_unreadable(item.path)
                indexing.fail(item.path, item.error)
            presence.add(block.ids)
            progress.skipped += block.unchanged
            listener(progress)
            yield from block.new
        progress.found = listed.found

    try:
        with PrefetchIterator(source.references()) as listed:
            indexing.add(new(listed))
        if prune:
            gone = list(dict.fromkeys([*presence.gone(source.name, collection), *indexing.moved]))
            collection.delete(gone)
            progress.removed = len(gone)
            listener(progress)
    finally:
        if progress.indexed or progress.copied or progress.removed:
            collection.flush()
    return progress
