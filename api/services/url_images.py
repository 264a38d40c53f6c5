"""Pictures that a request names by their URL, fetched in threads of their own and put where uploads are."""

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
from api.request_body import Upload
from embeddings.errors import DiskFull
from embeddings.web.fetcher import WebFetcher
from embeddings.web.url import last_part

AT_ONCE = 8
WAITING = 4 * AT_ONCE  # those that are fetched included; slow servers must not take all places of the service
MAX_BYTES = 20_000_000
IN_MEMORY = 1 << 20  # bytes of one picture; more go to a temporary file, as those of an upload do


@dataclass(frozen=True)
class Fetched:
    """A picture that came from elsewhere, and the seconds until it was here."""

    upload: Upload
    seconds: float


class Fetching:
    """Fetches what requests name by URL, a few at once."""

    def __init__(self, fetcher: WebFetcher, max_bytes: int) -> None:
        self._fetcher = fetcher
        self._most = min(max_bytes, MAX_BYTES)
        self._places = ConcurrencyLimit(WAITING)
        self._threads = ThreadPoolExecutor(AT_ONCE, "fetch")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Fetch while the block lasts."""
        with self._threads:
            yield

    @asynccontextmanager
    async def fetched(self, url: str) -> AsyncIterator[Fetched]:
        """Give what is at a URL; its temporary file goes when the block ends.

        Raises Busy, DiskFull, ImageTooLarge, UrlBlocked or UrlUnreachable.
        """
        started = time.perf_counter()
        with self._places.take():
            call = partial(contextvars.copy_context().run, self._fetch, url)
            file, size = await asyncio.get_running_loop().run_in_executor(self._threads, call)
        with file:
            yield Fetched(Upload(last_part(url), size, file), time.perf_counter() - started)

    def _fetch(self, url: str) -> tuple[BinaryIO, int]:
        file = cast(BinaryIO, tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115 - the caller closes it
        try:
            self._fetcher.save(url, file, self._most)
            return file, file.tell()
        except OSError as error:  # of the file: those of the network are UrlUnreachable
            file.close()
            if error.errno == errno.ENOSPC:
                raise DiskFull("the disk of the folder for temporary files is full") from error
            raise
        except BaseException:
            file.close()
            raise
