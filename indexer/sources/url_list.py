"""A list of URLs as a source, fetched politely: a few at a time from each host, more slowly when a host asks for it."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from embeddings.errors import FileUnreadable, SourceUnavailable, UrlBlocked, UrlUnreachable, UsageError
from embeddings.web.fetcher import WebFetcher, WebLimits, checked_headers
from embeddings.web.url import MAX_URL, WebUrl
from indexer.sources.base import Reference, Unlistable
from store.locations import readable, to_text

PER_HOST = 2
LIMITS = WebLimits(seconds=30)  # no user waits for a single image of a job


@dataclass(frozen=True)
class RetryPolicy:
    """The number of attempts to fetch an image, and the seconds between: doubled each time, or given by the host."""

    attempts: int = 4
    first_wait: float = 0.5
    longest_wait: float = 30.0  # a host that asks for a longer wait is given up

    def wait(self, attempt: int, error: UrlUnreachable) -> float | None:
        """Return the seconds to wait after a failed attempt (the first is 1), None to give up."""
        if not error.temporary or attempt >= self.attempts:
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.longest_wait else None
        doubled = min(self.first_wait * 2 ** (attempt - 1), self.longest_wait)
        return doubled * random.uniform(0.5, 1)  # noqa: S311 - keeps threads from retrying together


class PerHostLimit:
    """Limits the number of concurrent requests to each host."""

    def __init__(self, max_requests: int) -> None:
        self._max_requests = max_requests
        self._requests: Counter[str] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def slot(self, host: str) -> Iterator[None]:
        """Wait for a free slot of a host and hold it."""
        with self._changed:
            self._changed.wait_for(lambda: self._requests[host] < self._max_requests)
            self._requests[host] += 1
        try:
            yield
        finally:
            with self._changed:
                self._requests[host] -= 1
                if not self._requests[host]:
                    del self._requests[host]  # a job may see a million hosts
                self._changed.notify_all()


class PoliteFetcher:
    """Fetches many images by URL, with retries; safe to use from several threads."""

    def __init__(
        self,
        fetcher: WebFetcher | None = None,
        headers: Mapping[str, str] | None = None,
        per_host: int = PER_HOST,
        retry_policy: RetryPolicy = RetryPolicy(),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take a fetcher, and headers for the hosts of the URLs. Raises UsageError for invalid headers."""
        self._fetcher = fetcher or WebFetcher(LIMITS)
        self._headers = checked_headers(headers or {})
        self._per_host = PerHostLimit(per_host)
        self._retry_policy = retry_policy
        self._sleep = sleep

    def fetch(self, url: str, max_bytes: int) -> bytes:
        """Return the bytes of an image. Raises FileUnreadable, or ImageTooLarge beyond `max_bytes`."""
        try:
            with self._per_host.slot(
                urlsplit(url).netloc.lower()
            ):  # held while waiting too: the host asked for fewer requests
                return self._fetch_retrying(url, max_bytes)
        except (UrlBlocked, UrlUnreachable) as error:
            raise FileUnreadable(error.message) from error

    def _fetch_retrying(self, url: str, max_bytes: int) -> bytes:
        attempt = 1
        while True:
            try:
                return self._fetcher.fetch(url, max_bytes, self._headers)
            except UrlUnreachable as error:
                wait = self._retry_policy.wait(attempt, error)
                if wait is None:
                    raise
            self._sleep(wait)
            attempt += 1


class UrlList:
    """A text file with one http or https URL a line; empty lines and lines that begin with # are skipped.

    An image is identified by its URL: once indexed, it counts as unchanged.
    """

    def __init__(self, path: Path, fetcher: PoliteFetcher | None = None) -> None:
        """Take a file by any spelling of its path. Raises UsageError if it does not exist or may not be read."""
        try:
            self._path = path.expanduser().resolve(strict=True)
            if not self._path.is_file():
                raise UsageError(f"{path} is not a file: name one with a URL a line")
            with self._path.open("rb"):
                pass
        except FileNotFoundError as error:
            raise UsageError(f"there is no file {path}") from error
        except (OSError, RuntimeError) as error:
            raise UsageError(f"cannot read {path}: {error}") from error
        self.name = to_text(str(self._path))
        self._fetcher = fetcher or PoliteFetcher()

    def references(self) -> Iterator[Reference | Unlistable]:
        """Yield every URL, in the order of the lines. Raises SourceUnavailable."""
        try:
            with self._path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
                for number, line in enumerate(_lines(lines), 1):
                    if line and not line.startswith("#"):
                        yield _reference(line, number)
        except OSError as error:
            raise SourceUnavailable(f"{self._path} cannot be read any more: {error.strerror}") from error

    def fetch(self, path: str, max_bytes: int) -> bytes:
        """Return the bytes of an image. Raises FileUnreadable, or ImageTooLarge beyond `max_bytes`."""
        return self._fetcher.fetch(path, max_bytes)

    def is_gone(self, path: str) -> bool:
        """Return False: a server that does not return an image now may do so later."""
        return False

    def shown(self, path: str) -> str:
        """Return the URL."""
        return readable(path)


def _lines(file: TextIO) -> Iterator[str]:
    """Yield stripped lines; a line that is too long for a URL is cut, not read whole."""
    while line := file.readline(MAX_URL + 2):
        yield line.strip()
        while line and not line.endswith("\n"):
            line = file.readline(MAX_URL + 2)


def _reference(line: str, number: int) -> Reference | Unlistable:
    """Return the reference of a line's URL, or the line as unlistable."""
    try:
        WebUrl.parse(line)
    except UrlBlocked as error:
        return Unlistable(f"line {number}", FileUnreadable(error.message))
    return Reference(line, bytes=None, modified_at=None)
