"""Indexes the images of one source: read -> decode -> embed -> write, all of it overlapping."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from embeddings.decode_pool.pool import Picture
from embeddings.embedder import BATCH, Embedding, tags_of
from embeddings.errors import ImageError
from embeddings.imaging.decode import Box, DecodedImage
from embeddings.tagging.base import TagSource
from indexer.pipeline.bounded_map import bounded_map
from indexer.pipeline.difference import reference_id
from indexer.pipeline.lister import chunks
from indexer.pipeline.progress import IndexProgress, Listener
from indexer.pipeline.reader import Content, Read, read_ahead
from indexer.pipeline.writable_collection import WritableCollection
from indexer.pipeline.writer import Writer
from indexer.sources.base import Reference, Source
from indexer.sources.folder import file_is_gone
from store.records import Row
from store.row_builder import FileInfo, copied_row, embedded_row

HASHES_PER_LOOKUP = 64
DECODES_AHEAD = 4 * BATCH
BYTES_AHEAD = 64_000_000
BATCHES_AHEAD = 3
NETWORK_THREADS = 2  # one runs the network on a batch while the other prepares the next


@dataclass(frozen=True)
class _Image:
    """An image that needs a row: its id, the facts of its file, and its reference in the source."""

    id: str
    info: FileInfo
    reference: Reference


class Embeds(Protocol):
    """The part of embeddings.embedder.Embedder that indexing uses."""

    @property
    def tagger(self) -> TagSource: ...
    def submit(self, picture: Picture, box: Box | None = None) -> Future[DecodedImage]: ...
    def finish(self, decoded: Sequence[DecodedImage]) -> Sequence[Embedding]: ...


class IndexPipeline:
    """Writes rows for references to images of one source; images with known bytes are copied, not embedded.

    `moved` has the ids of the rows that were copied and whose own image is gone.
    """

    def __init__(
        self,
        source: Source,
        collection: WritableCollection,
        embedder: Embeds,
        max_bytes: int,
        progress: IndexProgress,
        listener: Listener,
    ) -> None:
        """Index from `source` into `collection`; `listener` is called with `progress` again and again."""
        self.moved: list[str] = []
        self._source = source
        self._collection = collection
        self._embedder = embedder
        self._max_bytes = max_bytes
        self._progress = progress
        self._listener = listener
        self._begun: set[int] = set()  # hashes of contents whose first file is being embedded
        self._unusable: dict[str, ImageError] = {}  # by content hash
        self._duplicates: list[Reference] = []  # files with the bytes of one that is being embedded

    def add(self, references: Iterable[Reference]) -> None:
        """Write a row for every image, or count its failure.

        After an exception, KeyboardInterrupt included, the rows that were ready are written.
        """
        with Writer(self._collection) as writer, ThreadPoolExecutor(NETWORK_THREADS, "network") as network:
            while True:
                read = read_ahead(self._source, references, self._max_bytes)
                decoded = self._decode(self._new(read, writer))
                for rows in self._embed(decoded, network):
                    writer.add(rows)
                    self._progress.indexed += len(rows)
                    self._listener(self._progress)
                writer.drain()
                if not self._duplicates:
                    return
                self._begun.clear()
                references, self._duplicates = self._duplicates, []

    def fail(self, path: str, error: ImageError) -> None:
        """Count an image, or a part of the source, that cannot be indexed."""
        self._progress.fail(self._source.shown(path), error)
        self._listener(self._progress)

    def _new(self, read: Iterable[Read], writer: Writer) -> Iterator[tuple[_Image, Content]]:
        """Yield the images whose bytes no row has yet; copy, postpone or fail the others."""
        for block in chunks(read, HASHES_PER_LOOKUP):
            hashes = {c.hash for _, c in block if isinstance(c, Content)} - self._unusable.keys()
            originals = self._collection.find_content(sorted(h for h in hashes if hash(h) not in self._begun))
            for reference, content in block:
                if isinstance(content, ImageError):
                    self.fail(reference.path, content)
                elif content.hash in self._unusable:
                    self.fail(reference.path, self._unusable[content.hash])
                elif hash(content.hash) in self._begun:
                    self._duplicates.append(reference)
                elif content.hash in originals:
                    writer.add([self._copy(self._image(reference, content), originals[content.hash])])
                else:
                    self._begun.add(hash(content.hash))
                    yield self._image(reference, content), content

    def _decode(self, new: Iterable[tuple[_Image, Content]]) -> Iterator[tuple[_Image, DecodedImage]]:
        """Yield the images that can be decoded; count the others as failures."""

        def start(item: tuple[_Image, Content]) -> tuple[_Image, Future[DecodedImage]]:
            image, content = item
            return image, self._embedder.submit(content.data)

        for image, future in bounded_map(start, new, DECODES_AHEAD, BYTES_AHEAD, lambda item: item[0].info.bytes):
            try:
                yield image, future.result()
            except ImageError as error:
                self._unusable[image.info.content_hash] = error
                self.fail(image.reference.path, error)

    def _embed(
        self, decoded: Iterable[tuple[_Image, DecodedImage]], network: ThreadPoolExecutor
    ) -> Iterator[list[Row]]:
        """Yield the rows of images, batch by batch."""

        def start(batch: list[tuple[_Image, DecodedImage]]) -> tuple[list[_Image], Future[Sequence[Embedding]]]:
            pixels = [one for _, one in batch]
            return [image for image, _ in batch], network.submit(self._embedder.finish, pixels)

        for images, future in bounded_map(start, chunks(decoded, BATCH), BATCHES_AHEAD):
            embeddings = future.result()
            tagged = zip(images, embeddings, tags_of(embeddings, self._embedder.tagger), strict=True)
            yield [embedded_row(i.id, i.info, embedding, tags, i.reference.meta) for i, embedding, tags in tagged]

    def _image(self, reference: Reference, content: Content) -> _Image:
        info = FileInfo(self._source.name, reference.path, content.hash, len(content.data), reference.modified_at or 0)
        return _Image(reference_id(self._source.name, reference), info, reference)

    def _copy(self, image: _Image, original: Row) -> Row:
        moved = image.id != original.id and self._is_gone(original)
        if moved:
            self.moved.append(original.id)
        self._progress.copied += 1
        self._listener(self._progress)
        kept = original.meta if moved or image.id == original.id else None
        return copied_row(
            image.id, image.info, original, kept if image.reference.meta is None else image.reference.meta
        )

    def _is_gone(self, row: Row) -> bool:
        """Return whether a row's image surely exists no more, in this source or elsewhere on this machine."""
        if row.source == self._source.name:
            return self._source.is_gone(row.path)
        return file_is_gone(row.source, row.path)
