"""Fetches a URL that anybody may have written, without being led into the private network."""

import io
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from socket import getaddrinfo
from typing import IO

import httpcore

from embeddings.errors import ImageTooLarge, UrlUnreachable, UsageError
from embeddings.web.transport import Deadline, PinnedBackend, PublicResolver, Resolver
from embeddings.web.url import WebUrl

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FAILURES = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"([\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?)?")
# What says whom is spoken to, or how the bytes come: ours to decide.
_RESERVED = re.compile(
    r"host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|(accept|content)-.*|range|if-.*|proxy-.*",
    re.I,
)


@dataclass(frozen=True)
class WebLimits:
    """Seconds to connect (of each redirect) and in all, and the redirects that are followed."""

    connect: float = 5.0
    seconds: float = 10.0
    redirects: int = 3


class WebFetcher:
    """Fetches http and https URLs of public hosts; may be used by several threads.

    A host is looked up once for each request. All its addresses must be public, and the connection is made to one of
    them, not to the name again; so it is with each redirect. Proxies of the environment are not used.
    """

    def __init__(
        self,
        limits: WebLimits = WebLimits(),
        *,
        resolve: Resolver = getaddrinfo,
        tls: ssl.SSLContext | None = None,
        allow_private: frozenset[tuple[str, int]] = frozenset(),
    ) -> None:
        """Take the limits, what looks names up, and how certificates are checked (None: as the system does).

        `allow_private` is for tests alone: pairs of address and port that may be fetched from although private.
        """
        self._limits = limits
        self._dialer = PublicResolver(resolve, allow_private)
        self._given_tls = tls

    def fetch(self, url: str, max_bytes: int, headers: Mapping[str, str] | None = None) -> bytes:
        """Return what is at a URL, as `save` does."""
        file = io.BytesIO()
        self.save(url, file, max_bytes, headers)
        return file.getvalue()

    def save(self, url: str, file: IO[bytes], max_bytes: int, headers: Mapping[str, str] | None = None) -> None:
        """Write what is at a URL to `file`; `headers` go to its own host alone, not to where that one sends us.

        Raises UrlBlocked, UrlUnreachable, ImageTooLarge beyond `max_bytes`, or UsageError for a header that may not
        be set. What was written before an error is no picture.
        """
        extra = checked_headers(headers or {})
        place, deadline = WebUrl.parse(url), Deadline(self._limits.seconds)
        try:
            for _ in range(1 + self._limits.redirects):
                following = self._request(place, extra, deadline, file, max_bytes)
                if following is None:
                    return
                if following.origin != place.origin:
                    extra = {}
                place = following
        except _FAILURES as error:
            raise UrlUnreachable(field="url", temporary=True) from error
        raise UrlUnreachable(f"the URL leads through more than {self._limits.redirects} redirects", field="url")

    def _request(
        self, place: WebUrl, extra: Mapping[str, str], deadline: Deadline, file: IO[bytes], max_bytes: int
    ) -> WebUrl | None:
        """Write what is at one URL, or return where it redirects to."""
        backend = PinnedBackend(self._dialer.addresses(place, deadline), deadline, self._limits.connect)
        url = httpcore.URL(scheme=place.scheme, host=place.host, port=place.port, target=place.target)
        tls = self._tls if place.scheme == "https" else None
        with (
            httpcore.HTTPConnection(url.origin, tls, network_backend=backend) as connection,
            connection.stream(
                "GET", url, headers=_headers(place, extra), extensions={"sni_hostname": place.host.rstrip(".")}
            ) as answer,
        ):
            received = {name.lower(): value.decode("utf-8", "replace") for name, value in reversed(answer.headers)}
            if answer.status in _REDIRECTS and b"location" in received:
                return place.joined(received[b"location"])
            _check(answer.status, received, max_bytes)
            _copy(answer, file, max_bytes)
            return None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or httpcore.default_ssl_context()


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that a caller wants sent. Raises UsageError for one that may not be set."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise UsageError(f"{name!r} is not a header of one line of ASCII", field="headers")
        if _RESERVED.fullmatch(name):
            raise UsageError(f"the header {name} is set by lookalike itself; leave it out", field="headers")
    return dict(headers)


def _headers(place: WebUrl, extra: Mapping[str, str]) -> list[tuple[str, str]]:
    own = {
        "Host": place.authority,
        "User-Agent": f"lookalike/{version('lookalike')}",
        "Accept": "image/*, */*;q=0.1",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    given = {name.lower() for name in extra}
    return [(name, value) for name, value in own.items() if name.lower() not in given] + list(extra.items())


def _check(status: int, headers: Mapping[bytes, str], max_bytes: int) -> None:
    """Raise what keeps an answer from being a picture's bytes."""
    if status != HTTPStatus.OK:
        temporary = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        wait = _seconds(headers.get(b"retry-after", ""))
        text = f"the URL's server answered with status {status}"
        raise UrlUnreachable(text, field="url", temporary=temporary, retry_after=wait)
    encoding = headers.get(b"content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):  # a few bytes may become many: it was asked for none
        raise UrlUnreachable("the URL's server sends its answer compressed, unasked", field="url")
    if int(headers.get(b"content-length", "0")) > max_bytes:
        raise _too_large(max_bytes)


def _copy(answer: httpcore.Response, file: IO[bytes], max_bytes: int) -> None:
    count = 0
    for part in answer.iter_stream():
        count += len(part)
        if count > max_bytes:  # whatever length was declared
            raise _too_large(max_bytes)
        file.write(part)


def _too_large(max_bytes: int) -> ImageTooLarge:
    return ImageTooLarge(f"there are more than the {max_bytes:,} bytes allowed at the URL", field="url")


def _seconds(retry_after: str) -> float | None:
    """Return the seconds that a Retry-After header asks to wait, None if it says nothing that can be read."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
