"""Fetches images that a request names by URL, in threads of their own, into temporary files."""

import asyncio
import contextvars
import errno
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, cast

from api.limits.concurrency import ConcurrencyLimit
from api.schemas.requests import Upload
from embeddings.errors import DiskFull
from embeddings.web.fetcher import WebFetcher
from embeddings.web.url import last_part

MAX_CONCURRENT = 8
MAX_PENDING = 4 * MAX_CONCURRENT  # running fetches included; slow servers must not block the whole service
MAX_BYTES = 20_000_000
IN_MEMORY = 1 << 20  # bytes of one image; larger images go to a temporary file, as uploads do


@dataclass(frozen=True)
class Fetched:
    """An image from a URL, and the seconds that fetching it took."""

    upload: Upload
    seconds: float


class Fetching:
    """Fetches images by URL, a few at a time."""

    def __init__(self, fetcher: WebFetcher, max_bytes: int) -> None:
        self._fetcher = fetcher
        self._max_bytes = min(max_bytes, MAX_BYTES)
        self._limit = ConcurrencyLimit(MAX_PENDING)
        self._threads = ThreadPoolExecutor(MAX_CONCURRENT, "fetch")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Fetch while the block lasts."""
        with self._threads:
            yield

    @asynccontextmanager
    async def fetched(self, url: str) -> AsyncIterator[Fetched]:
        """Yield the image at a URL; its temporary file is deleted when the block ends.

        Raises Busy, DiskFull, ImageTooLarge, UrlBlocked or UrlUnreachable.
        """
        started = time.perf_counter()
        with self._limit.take():
            call = partial(contextvars.copy_context().run, self._fetch, url)
            file, size = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        with file:
            yield Fetched(Upload(last_part(url), size, file), time.perf_counter() - started)

    def _fetch(self, url: str) -> tuple[BinaryIO, int]:
        file = cast(BinaryIO, tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115 - the caller closes it
        try:
            self._fetcher.save(url, file, self._max_bytes)
            return file, file.tell()
        except OSError as error:  # an error of the file: errors of the network are UrlUnreachable
            file.close()
            if error.errno == errno.ENOSPC:
                raise DiskFull("the disk of the folder for temporary files is full") from error
            raise
        except BaseException:
            file.close()
            raise
