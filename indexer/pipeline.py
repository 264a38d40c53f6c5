"""Takes the difference between a folder and a collection, and makes the collection hold what the folder holds.

The parts (listing, reading, embedding, writing) do not know each other; here they are joined so that they overlap:
files are read and decoded ahead of the network, and rows are written behind it.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from embeddings.embedder import BATCH, Embedder, Embedding
from embeddings.errors import ImageError
from embeddings.images import DecodedImage
from embeddings.locations import UPLOAD, from_text, to_text
from embeddings.records import Collection, Known, Row
from embeddings.rows import FileFacts, copied_row, embedded_row, row_id
from indexer.reading import Content, Read, read_files
from indexer.reports import Listener, Progress
from indexer.sources import FileReference, Unlistable, file_is_gone, list_folder
from indexer.writing import Writer

LOOK_UP = 64  # files whose content is looked up in one call
DECODES_AHEAD = 4 * BATCH
BYTES_AHEAD = 64_000_000
BATCHES_AHEAD = 2

T = TypeVar("T")


@dataclass(frozen=True)
class _Decoding:
    facts: FileFacts
    future: Future[DecodedImage]


@dataclass(frozen=True)
class _Running:
    files: list[FileFacts]
    future: Future[list[Embedding]]


def index_folder(
    source: str, collection: Collection, embedder: Embedder, max_bytes: int, prune: bool, listener: Listener
) -> Progress:
    """Make `collection` hold every image of the folder `source` (see sources.source_of).

    Files whose size and change time are known are not opened; files whose bytes are known are copied from the row
    that has them. `prune` removes the rows of files that are gone. `listener` is called again and again with the
    progress, which is also returned. An exception, KeyboardInterrupt included, leaves written what was ready.
    """
    progress = Progress()
    name = to_text(source)
    known = {row.path: row for row in collection.known(name)}
    found = _list(source, progress)
    new = [file for file in found if not _unchanged(known.get(file.path), file)]
    progress.skipped = len(found) - len(new)
    listener(progress)
    run = _Run(name, collection, embedder, progress, listener)
    try:
        if new:
            run.add(new, max_bytes)
        if prune:
            present = {file.path for file in found}
            run.remove([row.id for path, row in known.items() if path not in present and not run.hidden(path)])
    finally:
        if progress.indexed or progress.copied or progress.removed:
            collection.flush()
    return progress


def _list(source: str, progress: Progress) -> list[FileReference]:
    found = []
    for item in list_folder(source):
        progress.found += 1
        if isinstance(item, Unlistable):
            progress.fail(item.path, item.error)
        else:
            found.append(item)
    return found


def _unchanged(row: Known | None, file: FileReference) -> bool:
    return row is not None and (row.bytes, row.modified_at) == (file.bytes, file.modified_at)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of `size`; the last may be shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


class _Run:
    """One pass over the files that are new or changed."""

    def __init__(
        self, source: str, collection: Collection, embedder: Embedder, progress: Progress, listener: Listener
    ) -> None:
        self._source = source
        self._collection = collection
        self._embedder = embedder
        self._progress = progress
        self._listener = listener
        self._unlistable = [failure.path for failure in progress.failures]
        self._begun: set[str] = set()  # content hashes whose first file this run embeds
        self._unusable: dict[str, ImageError] = {}  # content hashes that failed
        self._twins: list[FileReference] = []  # files with the bytes of one that is being embedded
        self._moved: list[str] = []  # ids of rows that were copied and whose own file is gone

    def add(self, files: list[FileReference], max_bytes: int) -> None:
        with Writer(self._collection) as writer:
            while files:
                self._embed(read_files(files, max_bytes), writer)
                writer.drain()
                self._begun.clear()
                files, self._twins = self._twins, []

    def remove(self, ids: list[str]) -> None:
        gone = list(dict.fromkeys([*ids, *self._moved]))
        self._collection.delete(gone)
        self._progress.removed = len(gone)
        self._listener(self._progress)

    def hidden(self, path: str) -> bool:
        """Whether a path lies in a folder that could not be listed, so that its file may well be there."""
        return any(folder == "." or path == folder or path.startswith(f"{folder}/") for folder in self._unlistable)

    def _embed(self, read: Iterable[Read], writer: Writer) -> None:
        """Embed what must be; the network runs in a thread of its own while this one makes rows and the next batch."""
        running: deque[_Running] = deque()
        with ThreadPoolExecutor(1, "network") as network:
            for batch in chunks(self._decoded(read, writer), BATCH):
                if len(running) == BATCHES_AHEAD:
                    self._finish(running.popleft(), writer)
                images = [image for _, image in batch]
                running.append(_Running([f for f, _ in batch], network.submit(self._embedder.finish, images)))
            for batch_running in running:
                self._finish(batch_running, writer)

    def _finish(self, running: _Running, writer: Writer) -> None:
        files = zip(running.files, running.future.result(), strict=True)
        writer.add([embedded_row(row_id(f.source, f.path), f, embedding) for f, embedding in files])
        self._progress.indexed += len(running.files)
        self._listener(self._progress)

    def _decoded(self, read: Iterable[Read], writer: Writer) -> Iterator[tuple[FileFacts, DecodedImage]]:
        """Yield the images that must be embedded, a bounded number of decodes ahead."""
        ahead: deque[_Decoding] = deque()
        held = 0
        for facts, content in self._unknown(read, writer):
            while ahead and (len(ahead) >= DECODES_AHEAD or held + facts.bytes > BYTES_AHEAD):
                held -= ahead[0].facts.bytes
                yield from self._result(ahead.popleft())
            ahead.append(_Decoding(facts, self._embedder.submit(content.data)))
            held += facts.bytes
        while ahead:
            yield from self._result(ahead.popleft())

    def _result(self, decoding: _Decoding) -> Iterator[tuple[FileFacts, DecodedImage]]:
        try:
            yield decoding.facts, decoding.future.result()
        except ImageError as error:
            self._unusable[decoding.facts.content_hash] = error
            self._fail(decoding.facts.path, error)

    def _unknown(self, read: Iterable[Read], writer: Writer) -> Iterator[tuple[FileFacts, Content]]:
        """Yield the files whose bytes no row has yet; copy, put off or fail the others."""
        for chunk in chunks(read, LOOK_UP):
            hashes = {c.hash for _, c in chunk if isinstance(c, Content)} - self._begun - self._unusable.keys()
            originals = self._collection.find_content(sorted(hashes))
            for file, content in chunk:
                if isinstance(content, ImageError):
                    self._fail(file.path, content)
                elif content.hash in self._unusable:
                    self._fail(file.path, self._unusable[content.hash])
                elif content.hash in self._begun:
                    self._twins.append(file)
                elif content.hash in originals:
                    writer.add([self._copy(self._facts(file, content), originals[content.hash])])
                else:
                    self._begun.add(content.hash)
                    yield self._facts(file, content), content

    def _copy(self, facts: FileFacts, original: Row) -> Row:
        identity = row_id(facts.source, facts.path)
        moved = identity != original.id and original.source != UPLOAD and file_is_gone(_file(original))
        if moved:
            self._moved.append(original.id)
        self._progress.copied += 1
        self._listener(self._progress)
        kept = original.meta if moved or identity == original.id else None
        return copied_row(identity, facts, original, kept)

    def _facts(self, file: FileReference, content: Content) -> FileFacts:
        return FileFacts(self._source, file.path, content.hash, len(content.data), file.modified_at)

    def _fail(self, path: str, error: ImageError) -> None:
        self._progress.fail(path, error)
        self._listener(self._progress)


def _file(row: Row) -> str:
    return f"{from_text(row.source)}/{from_text(row.path)}"
