"""Indexes the images of one source: read -> decode -> embed -> write, all of it overlapping."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from embeddings.embedder import Embedding, tags_of
from embeddings.errors import ImageError
from embeddings.imaging.decode import DecodedImage
from embeddings.tagging.base import TagSource
from embeddings.utils import processors
from indexer.pipeline.bounded_map import bounded_map
from indexer.pipeline.difference import reference_id
from indexer.pipeline.lister import chunks, groups
from indexer.pipeline.progress import IndexProgress, Listener
from indexer.pipeline.reader import Content, Read, read_ahead
from indexer.pipeline.writable_collection import WritableCollection
from indexer.pipeline.writer import Writer
from indexer.sources.base import Reference, Source
from indexer.sources.folder import file_is_gone
from store.records import Row
from store.row_builder import FileInfo, copied_row, embedded_row

HASHES_PER_LOOKUP = 64
GROUP = 16  # images that a process decodes at a time
GROUP_BYTES = 1_000_000  # larger images go by themselves, so that processes end at about the same time
GROUPS_AHEAD = 4 + 2 * processors()
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
    @property
    def batch(self) -> int: ...
    def submit_group(self, files: Sequence[bytes]) -> Future[list[DecodedImage | ImageError]]: ...
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

        def start(group: list[tuple[_Image, Content]]) -> tuple[list[_Image], Future[list[DecodedImage | ImageError]]]:
            images = [image for image, _ in group]
            return images, self._embedder.submit_group([content.data for _, content in group])

        def size(group: list[tuple[_Image, Content]]) -> int:
            return sum(image.info.bytes for image, _ in group)

        together = groups(new, GROUP, GROUP_BYTES, lambda item: item[0].info.bytes)
        for images, future in bounded_map(start, together, GROUPS_AHEAD, BYTES_AHEAD, size):
            for image, outcome in zip(images, future.result(), strict=True):
                if isinstance(outcome, ImageError):
                    self._unusable[image.info.content_hash] = outcome
                    self.fail(image.reference.path, outcome)
                else:
                    yield image, outcome

    def _embed(
        self, decoded: Iterable[tuple[_Image, DecodedImage]], network: ThreadPoolExecutor
    ) -> Iterator[list[Row]]:
        """Yield the rows of images, batch by batch."""

        def start(batch: list[tuple[_Image, DecodedImage]]) -> Future[list[Row]]:
            return network.submit(self._rows, batch)

        for future in bounded_map(start, self._batches(decoded), BATCHES_AHEAD):
            yield future.result()

    def _batches(self, decoded: Iterable[tuple[_Image, DecodedImage]]) -> Iterator[list[tuple[_Image, DecodedImage]]]:
        """Yield batches for the network, which is loaded when the first image is there."""
        remaining = iter(decoded)
        for first in remaining:
            yield [first, *islice(remaining, self._embedder.batch - 1)]

    def _rows(self, batch: list[tuple[_Image, DecodedImage]]) -> list[Row]:
        embeddings = self._embedder.finish([decoded for _, decoded in batch])
        tagged = zip(batch, embeddings, tags_of(embeddings, self._embedder.tagger), strict=True)
        return [embedded_row(i.id, i.info, embedding, tags, i.reference.meta) for (i, _), embedding, tags in tagged]

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
