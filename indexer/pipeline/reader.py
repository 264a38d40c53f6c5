"""Reads images ahead of their use in a few threads, within a budget of bytes."""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from embeddings.errors import ImageError, ImageTooLarge
from embeddings.imaging.decode import content_hash
from indexer.pipeline.bounded_map import bounded_map
from indexer.pipeline.lister import groups
from indexer.sources.base import Reference, Source

READERS = 8
GROUP = 8  # images that a thread reads at a time: handing over each by itself costs as much as reading it
GROUP_BYTES = 1_000_000
GROUPS_AHEAD = 32
MAX_BYTES = 64_000_000
UNKNOWN_BYTES = 1_000_000  # assumed for an image whose source does not give its size


@dataclass(frozen=True)
class Content:
    """An image's bytes with their SHA-256 in hexadecimal digits."""

    data: bytes
    hash: str


Read = tuple[Reference, Content | ImageError]


def read_ahead(source: Source, references: Iterable[Reference], max_bytes: int) -> Iterator[Read]:
    """Yield every image's bytes, or the error of reading them, in the order given.

    At most GROUP * GROUPS_AHEAD images and about MAX_BYTES bytes (or one image) are held that were not yielded yet.
    """
    threads = ThreadPoolExecutor(READERS, thread_name_prefix="read")
    stopped = threading.Event()

    def read(group: list[Reference]) -> list[Read]:
        return [_read(source, reference, max_bytes) for reference in group if not stopped.is_set()]

    def start(group: list[Reference]) -> Future[list[Read]]:
        return threads.submit(read, group)

    together = groups(references, GROUP, GROUP_BYTES, _size)
    try:
        for future in bounded_map(start, together, GROUPS_AHEAD, MAX_BYTES, lambda group: sum(map(_size, group))):
            yield from future.result()
    finally:
        stopped.set()
        threads.shutdown(cancel_futures=True)


def _size(reference: Reference) -> int:
    return UNKNOWN_BYTES if reference.bytes is None else reference.bytes


def _read(source: Source, reference: Reference, max_bytes: int) -> Read:
    if reference.bytes is not None and reference.bytes > max_bytes:
        size = f"the file has {reference.bytes:,} bytes, more than LOOKALIKE_MAX_BYTES={max_bytes:,}"
        return reference, ImageTooLarge(size)
    try:
        data = source.fetch(reference.path, max_bytes)
    except ImageError as error:
        return reference, error
    if len(data) > max_bytes:
        return reference, ImageTooLarge(f"the file has more than LOOKALIKE_MAX_BYTES={max_bytes:,} bytes")
    return reference, Content(data, content_hash(data))
