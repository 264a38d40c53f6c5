"""Takes the difference between a source and a collection, and makes the collection hold what the source holds.

The parts (listing, reading, embedding, writing) do not know each other; here they are joined so that they overlap:
the source is listed and files are read and decoded ahead of the network, and rows are written behind it. Memory
does not grow with the source but for a few dozen bytes an image.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from embeddings.embedder import BATCH, Embedder, Embedding
from embeddings.errors import ImageError
from embeddings.images import DecodedImage
from embeddings.locations import local_file
from embeddings.records import Collection, Row
from embeddings.rows import FileFacts, copied_row, embedded_row
from indexer.difference import difference, reference_id
from indexer.listing import Ahead, chunks
from indexer.reading import Content, Read, read_ahead
from indexer.reports import Listener, Progress
from indexer.sources import Reference, Source, Unlistable
from indexer.sources.folder import file_is_gone
from indexer.writing import Writer

LOOKED_UP = 64  # contents that are looked up in one go
DECODES_AHEAD = 4 * BATCH
BYTES_AHEAD = 64_000_000
BATCHES_AHEAD = 3


@dataclass(frozen=True)
class _New:
    """An image that is not in the collection as it is now."""

    id: str
    facts: FileFacts
    reference: Reference


@dataclass(frozen=True)
class _Decoding:
    new: _New
    future: Future[DecodedImage]


@dataclass(frozen=True)
class _Running:
    batch: list[_New]
    future: Future[list[Embedding]]


def index_source(
    source: Source, collection: Collection, embedder: Embedder, max_bytes: int, prune: bool, listener: Listener
) -> Progress:
    """Make `collection` hold every image of the source.

    Images whose size and change time are known are not opened; those whose bytes are known are copied from the row
    that has them. `prune` removes the rows of images that are gone. `listener` is called again and again with the
    progress, which is also returned. An exception, KeyboardInterrupt included, leaves written what was ready.
    """
    progress = Progress()
    run = _Run(source, collection, embedder, max_bytes, progress, listener)
    try:
        with Ahead(source.references()) as listed:
            run.add(listed)
        if prune:
            run.prune()
    finally:
        if progress.indexed or progress.copied or progress.removed:
            collection.flush()
    return progress


class _Run:
    """One pass over a source."""

    def __init__(
        self,
        source: Source,
        collection: Collection,
        embedder: Embedder,
        max_bytes: int,
        progress: Progress,
        listener: Listener,
    ) -> None:
        self._source = source
        self._collection = collection
        self._embedder = embedder
        self._max_bytes = max_bytes
        self._progress = progress
        self._listener = listener
        self._present: set[int] = set()  # hashes of the ids that the source has
        self._unlistable: set[str] = set()  # paths that could not be looked at
        self._begun: set[int] = set()  # hashes of contents whose first file this run embeds
        self._unusable: dict[str, ImageError] = {}  # contents that failed
        self._twins: list[Reference] = []  # files with the bytes of one that is being embedded
        self._moved: list[str] = []  # ids of rows that were copied and whose own file is gone

    def add(self, listed: "Ahead[Reference | Unlistable]") -> None:
        """Write a row for everything that is new or changed."""
        with Writer(self._collection) as writer:
            references: Iterable[Reference] = self._difference(listed)
            while True:
                self._embed(read_ahead(self._source, references, self._max_bytes), writer)
                writer.drain()
                if not self._twins:
                    return
                self._begun.clear()
                references, self._twins = self._twins, []

    def prune(self) -> None:
        """Remove the rows of images that the source does not have any more."""
        gone = [
            known.id
            for known in self._collection.known(self._source.name)
            if hash(known.id) not in self._present and not self._hidden(known.path)
        ]
        gone = list(dict.fromkeys([*gone, *self._moved]))
        self._collection.delete(gone)
        self._progress.removed = len(gone)
        self._tell()

    def _difference(self, listed: "Ahead[Reference | Unlistable]") -> Iterator[Reference]:
        """Yield what is not in the collection as it is in the source."""
        for block in difference(self._source.name, listed, self._collection):
            self._progress.found = listed.found
            for item in block.unlistable:
                self._unlistable.add(item.path)
                self._fail(item.path, item.error)
            self._present.update(map(hash, block.ids))
            self._progress.skipped += block.unchanged
            self._tell()
            yield from block.new
        self._progress.found = listed.found

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
        writer.add([embedded_row(new.id, new.facts, embedding, new.reference.meta) for new, embedding in embeddings])
        self._progress.indexed += len(running.batch)
        self._tell()

    def _decoded(self, read: Iterable[Read], writer: Writer) -> Iterator[tuple[_New, DecodedImage]]:
        """Yield the images that must be embedded, a bounded number of decodes ahead."""
        ahead: deque[_Decoding] = deque()
        held = 0
        for new, content in self._unknown(read, writer):
            while ahead and (len(ahead) >= DECODES_AHEAD or held + new.facts.bytes > BYTES_AHEAD):
                held -= ahead[0].new.facts.bytes
                yield from self._result(ahead.popleft())
            ahead.append(_Decoding(new, self._embedder.submit(content.data)))
            held += new.facts.bytes
        while ahead:
            yield from self._result(ahead.popleft())

    def _result(self, decoding: _Decoding) -> Iterator[tuple[_New, DecodedImage]]:
        try:
            yield decoding.new, decoding.future.result()
        except ImageError as error:
            self._unusable[decoding.new.facts.content_hash] = error
            self._fail(decoding.new.reference.path, error)

    def _unknown(self, read: Iterable[Read], writer: Writer) -> Iterator[tuple[_New, Content]]:
        """Yield the images whose bytes no row has yet; copy, put off or fail the others."""
        for chunk in chunks(read, LOOKED_UP):
            hashes = {c.hash for _, c in chunk if isinstance(c, Content)} - self._unusable.keys()
            originals = self._collection.find_content(sorted(h for h in hashes if hash(h) not in self._begun))
            for reference, content in chunk:
                if isinstance(content, ImageError):
                    self._fail(reference.path, content)
                elif content.hash in self._unusable:
                    self._fail(reference.path, self._unusable[content.hash])
                elif hash(content.hash) in self._begun:
                    self._twins.append(reference)
                elif content.hash in originals:
                    writer.add([self._copy(self._new(reference, content), originals[content.hash])])
                else:
                    self._begun.add(hash(content.hash))
                    yield self._new(reference, content), content

    def _copy(self, new: _New, original: Row) -> Row:
        moved = new.id != original.id and self._is_gone(original)
        if moved:
            self._moved.append(original.id)
        self._progress.copied += 1
        self._tell()
        kept = original.meta if moved or new.id == original.id else None
        return copied_row(new.id, new.facts, original, kept if new.reference.meta is None else new.reference.meta)

    def _is_gone(self, row: Row) -> bool:
        """Return whether a row's image surely is not there any more, in this source or elsewhere on this machine."""
        if row.source == self._source.name:
            return self._source.is_gone(row.path)
        file = local_file(row.source, row.path)
        return file is not None and file_is_gone(file)

    def _new(self, reference: Reference, content: Content) -> _New:
        facts = FileFacts(
            self._source.name, reference.path, content.hash, len(content.data), reference.modified_at or 0
        )
        return _New(reference_id(self._source.name, reference), facts, reference)

    def _hidden(self, path: str) -> bool:
        """Whether a path lies in a folder that could not be listed, so that its file may well be there."""
        above = (path[:end] for end, character in enumerate(path) if character == "/")
        return any(place in self._unlistable for place in (".", path, *above))

    def _fail(self, path: str, error: ImageError) -> None:
        self._progress.fail(self._source.shown(path), error)
        self._tell()

    def _tell(self) -> None:
        self._listener(self._progress)
