"""Images fetched ahead of their use by a few threads, within a budget of bytes."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from embeddings.errors import ImageError, ImageTooLarge
from embeddings.imaging.decode import content_hash
from indexer.sources.base import Reference, Source

READERS = 8
MAX_FILES = 128
MAX_BYTES = 64_000_000
UNKNOWN_BYTES = 1_000_000  # what is set aside for an image whose source does not tell its size


@dataclass(frozen=True)
class Content:
    """An image's bytes with their SHA-256 in hexadecimal digits."""

    data: bytes
    hash: str


Read = tuple[Reference, Content | ImageError]


def read_ahead(source: Source, references: Iterable[Reference], max_bytes: int) -> Iterator[Read]:
    """Yield every image's bytes, or why there are none, in the order given.

    At most MAX_FILES images and about MAX_BYTES bytes (or one image) are held that were not yielded yet.
    """
    waiting: deque[tuple[Reference, Future[Content | ImageError]]] = deque()
    held = 0
    with ThreadPoolExecutor(READERS, thread_name_prefix="read") as threads:
        try:
            for reference in references:
                while waiting and (len(waiting) >= MAX_FILES or held + _size(reference) > MAX_BYTES):
                    held -= _size(waiting[0][0])
                    yield _finished(*waiting.popleft())
                waiting.append((reference, threads.submit(_read, source, reference, max_bytes)))
                held += _size(reference)
            while waiting:
                yield _finished(*waiting.popleft())
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def _size(reference: Reference) -> int:
    return UNKNOWN_BYTES if reference.bytes is None else reference.bytes


def _finished(reference: Reference, future: "Future[Content | ImageError]") -> Read:
    return reference, future.result()


def _read(source: Source, reference: Reference, max_bytes: int) -> Content | ImageError:
    if reference.bytes is not None and reference.bytes > max_bytes:
        return ImageTooLarge(f"the file has {reference.bytes:,} bytes, more than LOOKALIKE_MAX_BYTES={max_bytes:,}")
    try:
        data = source.fetch(reference.path, max_bytes)
    except ImageError as error:
        return error
    if len(data) > max_bytes:
        return ImageTooLarge(f"the file has more than LOOKALIKE_MAX_BYTES={max_bytes:,} bytes")
    return Content(data, content_hash(data))
