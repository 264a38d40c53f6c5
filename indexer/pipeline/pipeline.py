"""References to rows: images read, decoded, embedded and written, so that all of it overlaps.

Files are read and decoded ahead of the network, and rows are written behind it.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from embeddings.decode_pool.pool import Picture
from embeddings.embedder import BATCH, Embedding
from embeddings.errors import ImageError
from embeddings.imaging.decode import Box, DecodedImage
from indexer.pipeline.difference import reference_id
from indexer.pipeline.ledger import WritableCollection
from indexer.pipeline.lister import chunks
from indexer.pipeline.progress import IndexProgress, Listener
from indexer.pipeline.reader import Content, Read, read_ahead
from indexer.pipeline.writer import Writer
from indexer.sources.base import Reference, Source
from indexer.sources.folder import file_is_gone
from store.locations import local_file
from store.records import Row
from store.row_builder import FileInfo, copied_row, embedded_row

LOOKED_UP = 64  # contents that are looked up in one go
DECODES_AHEAD = 4 * BATCH
BYTES_AHEAD = 64_000_000
BATCHES_AHEAD = 3


@dataclass(frozen=True)
class _New:
    """An image that is not in the collection as it is now."""

    id: str
    info: FileInfo
    reference: Reference


@dataclass(frozen=True)
class _Decoding:
    new: _New
    future: Future[DecodedImage]


@dataclass(frozen=True)
class _Running:
    batch: list[_New]
    future: Future[Sequence[Embedding]]


class Embeds(Protocol):
    """What indexing needs of embeddings.embedder.Embedder."""

    def submit(self, picture: Picture, box: Box | None = None) -> Future[DecodedImage]: ...
    def finish(self, decoded: Sequence[DecodedImage]) -> Sequence[Embedding]: ...


class IndexPipeline:
    """Writes rows for references to images of one source; those whose bytes are known are copied, not embedded.

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
        """Take where from and where to; `listener` is called with `progress` again and again."""
        self.moved: list[str] = []
        self._source = source
        self._collection = collection
        self._embedder = embedder
        self._max_bytes = max_bytes
        self._progress = progress
        self._listener = listener
        self._begun: set[int] = set()  # hashes of contents whose first file this run embeds
        self._unusable: dict[str, ImageError] = {}  # contents that failed
        self._duplicates: list[Reference] = []  # files with the bytes of one that is being embedded

    def add(self, references: Iterable[Reference]) -> None:
        """Write a row for every image, or count its failure.

        An exception, KeyboardInterrupt included, leaves written what was ready.
        """
        with Writer(self._collection) as writer:
            while True:
                self._embed(read_ahead(self._source, references, self._max_bytes), writer)
                writer.drain()
                if not self._duplicates:
                    return
                self._begun.clear()
                references, self._duplicates = self._duplicates, []

    def _embed(self, read: Iterable[Read], writer: Writer) -> None:
        """Embed what must be: the network runs one batch, a second thread prepares the next, this one makes rows."""
        running: deque[_Running] = deque()
        with ThreadPoolExecutor(2, "network") as network:
            for batch in chunks(self._decoded(read, writer), BATCH):
                if len(running) == BATCHES_AHEAD:
                    self._finish(running.popleft(), writer)
                images = [image for _, image in batch]
                running.append(_Running([new for new, _ in batch], network.submit(self._embedder.finish, images)))
            for batch_running in running:
                self._finish(batch_running, writer)

    def _finish(self, running: _Running, writer: Writer) -> None:
        embeddings = zip(running.batch, running.future.result(), strict=True)
        writer.add([embedded_row(new.id, new.info, embedding, new.reference.meta) for new, embedding in embeddings])
        self._progress.indexed += len(running.batch)
        self._tell()

    def _decoded(self, read: Iterable[Read], writer: Writer) -> Iterator[tuple[_New, DecodedImage]]:
        """Yield the images that must be embedded, a bounded number of decodes ahead."""
        ahead: deque[_Decoding] = deque()
        held = 0
        for new, content in self._unknown(read, writer):
            while ahead and (len(ahead) >= DECODES_AHEAD or held + new.info.bytes > BYTES_AHEAD):
                held -= ahead[0].new.info.bytes
                yield from self._result(ahead.popleft())
            ahead.append(_Decoding(new, self._embedder.submit(content.data)))
            held += new.info.bytes
        while ahead:
            yield from self._result(ahead.popleft())

    def _result(self, decoding: _Decoding) -> Iterator[tuple[_New, DecodedImage]]:
        try:
            yield decoding.new, decoding.future.result()
        except ImageError as error:
            self._unusable[decoding.new.info.content_hash] = error
            self.fail(decoding.new.reference.path, error)

    def _unknown(self, read: Iterable[Read], writer: Writer) -> Iterator[tuple[_New, Content]]:
        """Yield the images whose bytes no row has yet; copy, put off or fail the others."""
        for chunk in chunks(read, LOOKED_UP):
            hashes = {c.hash for _, c in chunk if isinstance(c, Content)} - self._unusable.keys()
            originals = self._collection.find_content(sorted(h for h in hashes if hash(h) not in self._begun))
            for reference, content in chunk:
                if isinstance(content, ImageError):
                    self.fail(reference.path, content)
                elif content.hash in self._unusable:
                    self.fail(reference.path, self._unusable[content.hash])
                elif hash(content.hash) in self._begun:
                    self._duplicates.append(reference)
                elif content.hash in originals:
                    writer.add([self._copy(self._new(reference, content), originals[content.hash])])
                else:
                    self._begun.add(hash(content.hash))
                    yield self._new(reference, content), content

    def _copy(self, new: _New, original: Row) -> Row:
        moved = new.id != original.id and self._is_gone(original)
        if moved:
            self.moved.append(original.id)
        self._progress.copied += 1
        self._tell()
        kept = original.meta if moved or new.id == original.id else None
        return copied_row(new.id, new.info, original, kept if new.reference.meta is None else new.reference.meta)

    def _is_gone(self, row: Row) -> bool:
        """Return whether a row's image surely is not there any more, in this source or elsewhere on this machine."""
        if row.source == self._source.name:
            return self._source.is_gone(row.path)
        file = local_file(row.source, row.path)
        return file is not None and file_is_gone(file)

    def _new(self, reference: Reference, content: Content) -> _New:
        info = FileInfo(self._source.name, reference.path, content.hash, len(content.data), reference.modified_at or 0)
        return _New(reference_id(self._source.name, reference), info, reference)

    def fail(self, path: str, error: ImageError) -> None:
        """Count an image, or a part of the source, that cannot be indexed."""
        self._progress.fail(self._source.shown(path), error)
        self._tell()

    def _tell(self) -> None:
        self._listener(self._progress)
