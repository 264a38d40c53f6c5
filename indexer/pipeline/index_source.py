"""Makes a collection hold every image of a source: lists, compares, indexes new images, and prunes.

The stages do not know each other; this module and pipeline.py join them so that they overlap. Memory grows by a few
dozen bytes an image.
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
    source: Source,
    collection: WritableCollection,
    embedder: Embedder,
    max_bytes: int,
    prune: bool,
    listener: Listener,
    even_if_empty: bool = False,
) -> IndexProgress:
    """Make `collection` hold every image of the source.

    Images with unchanged size and change time are not opened; images with known bytes are copied from the row that has
    them. `prune` removes the rows of images that are gone. `listener` is called again and again with the progress,
    which is also returned. After an exception, KeyboardInterrupt included, the rows that were ready are written.
    """
    progress, seen = IndexProgress(), SeenIds()
    pipeline = IndexPipeline(source, collection, embedder, max_bytes, progress, listener)

    def new(listed: PrefetchIterator[Reference | Unlistable]) -> Iterator[Reference]:
        """Yield the images that the collection lacks in their present version."""
        for block in difference(source.name, listed, collection):
            progress.found = listed.found
            for item in block.unlistable:
                seen.mark_unreadable(item.path)
                pipeline.fail(item.path, item.error)
            seen.add(block.ids)
            progress.skipped += block.unchanged
            listener(progress)
            yield from block.new
        progress.found = listed.found

    try:
        with PrefetchIterator(source.references()) as listed:
            pipeline.add(new(listed))
        if prune:
            gone = list(dict.fromkeys([*seen.gone(source.name, collection, even_if_empty), *pipeline.moved]))
            collection.delete(gone)
            progress.removed = len(gone)
            listener(progress)
    finally:
        if progress.indexed or progress.copied or progress.removed:
            collection.flush()
    return progress
