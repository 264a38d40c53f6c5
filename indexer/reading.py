"""Files read ahead of their use by a few threads, within a budget of bytes."""

import errno
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from embeddings.errors import FileUnreadable, ImageError, ImageTooLarge
from embeddings.images import content_hash
from indexer.sources import FileReference

READERS = 8
MOST_FILES = 128
MOST_BYTES = 64_000_000


@dataclass(frozen=True)
class Content:
    """A file's bytes with their SHA-256 in hexadecimal digits."""

    data: bytes
    hash: str


Read = tuple[FileReference, Content | ImageError]


def read_files(references: Iterable[FileReference], max_bytes: int) -> Iterator[Read]:
    """Yield every file's bytes, or why there are none, in the order given.

    At most MOST_FILES files and about MOST_BYTES bytes (or one file) are held that were not yielded yet.
    """
    waiting: deque[tuple[FileReference, Future[Content | ImageError]]] = deque()
    held = 0
    with ThreadPoolExecutor(READERS, thread_name_prefix="read") as threads:
        try:
            for reference in references:
                while waiting and (len(waiting) >= MOST_FILES or held + reference.bytes > MOST_BYTES):
                    held -= waiting[0][0].bytes
                    yield _finished(*waiting.popleft())
                waiting.append((reference, threads.submit(_read, reference, max_bytes)))
                held += reference.bytes
            while waiting:
                yield _finished(*waiting.popleft())
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def _finished(reference: FileReference, future: "Future[Content | ImageError]") -> Read:
    return reference, future.result()


def _read(reference: FileReference, max_bytes: int) -> Content | ImageError:
    if reference.bytes > max_bytes:
        return ImageTooLarge(f"the file has {reference.bytes:,} bytes, more than LOOKALIKE_MAX_BYTES={max_bytes:,}")
    try:
        data = _bytes_of(reference.file, max_bytes + 1)
    except FileNotFoundError:
        return FileUnreadable("the file vanished while the folder was indexed")
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return FileUnreadable(f"the file cannot be read: {error.strerror}")
    if len(data) > max_bytes:
        return ImageTooLarge(f"the file has more than LOOKALIKE_MAX_BYTES={max_bytes:,} bytes")
    return Content(data, content_hash(data))


def _bytes_of(file: str, most: int) -> bytes:
    """Return the file's first `most` bytes; a pipe that has taken its place does not block."""
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as opened:
        return opened.read(min(most, os.fstat(descriptor).st_size + 1))
