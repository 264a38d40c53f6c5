"""Fetches untrusted URLs without reaching private networks."""

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
# Headers that decide which host is reached or how the body is transferred: lookalike sets them itself.
_RESERVED = re.compile(
    r"host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|(accept|content)-.*|range|if-.*|proxy-.*",
    re.I,
)


@dataclass(frozen=True)
class WebLimits:
    """Maximum seconds to connect (for each redirect), seconds in total, and redirects."""

    connect: float = 5.0
    seconds: float = 10.0
    redirects: int = 3


class WebFetcher:
    """Fetches http and https URLs of public hosts; safe to use from several threads.

    A host is resolved once per request. All its addresses must be public, and the connection is made to one of them,
    without resolving the name again. The same holds for each redirect. Proxies of the environment are not used.
    """

    def __init__(
        self,
        limits: WebLimits = WebLimits(),
        *,
        resolve: Resolver = getaddrinfo,
        tls: ssl.SSLContext | None = None,
        allow_private: frozenset[tuple[str, int]] = frozenset(),
    ) -> None:
        """Take the limits, the resolver of names, and the TLS settings (None: those of the system).

        `allow_private` is for tests only: pairs of address and port that may be fetched from although private.
        """
        self._limits = limits
        self._resolver = PublicResolver(resolve, allow_private)
        self._own_tls = tls

    def fetch(self, url: str, max_bytes: int, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the body of a URL; see `save`."""
        file = io.BytesIO()
        self.save(url, file, max_bytes, headers)
        return file.getvalue()

    def save(self, url: str, file: IO[bytes], max_bytes: int, headers: Mapping[str, str] | None = None) -> None:
        """Write the body of a URL to `file`; `headers` are only sent to the URL's own origin, not to other ones.

        Raises UrlBlocked, UrlUnreachable, ImageTooLarge beyond `max_bytes`, or UsageError for a header that may not
        be set. After an error, `file` may hold a part of the body.
        """
        extra = checked_headers(headers or {})
        target, deadline = WebUrl.parse(url), Deadline(self._limits.seconds)
        try:
            for _ in range(1 + self._limits.redirects):
                redirect = self._request(target, extra, deadline, file, max_bytes)
                if redirect is None:
                    return
                if redirect.origin != target.origin:
                    extra = {}
                target = redirect
        except _FAILURES as error:
            raise UrlUnreachable(field="url", temporary=True) from error
        raise UrlUnreachable(f"the URL leads through more than {self._limits.redirects} redirects", field="url")

    def _request(
        self, target: WebUrl, extra: Mapping[str, str], deadline: Deadline, file: IO[bytes], max_bytes: int
    ) -> WebUrl | None:
        """Write the body of one URL, or return the URL that it redirects to."""
        backend = PinnedBackend(self._resolver.addresses(target, deadline), deadline, self._limits.connect)
        url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.target)
        tls = self._tls if target.scheme == "https" else None
        with (
            httpcore.HTTPConnection(url.origin, tls, network_backend=backend) as connection,
            connection.stream(
                "GET", url, headers=_headers(target, extra), extensions={"sni_hostname": target.host.rstrip(".")}
            ) as response,
        ):
            received = {name.lower(): value.decode("utf-8", "replace") for name, value in reversed(response.headers)}
            if response.status in _REDIRECTS and b"location" in received:
                return target.joined(received[b"location"])
            _check(response.status, received, max_bytes)
            _copy(response, file, max_bytes)
            return None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._own_tls or httpcore.default_ssl_context()


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return a caller's headers. Raises UsageError for one that may not be set."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise UsageError(f"{name!r} is not a header of one line of ASCII", field="headers")
        if _RESERVED.fullmatch(name):
            raise UsageError(f"the header {name} is set by lookalike itself; leave it out", field="headers")
    return dict(headers)


def _headers(url: WebUrl, extra: Mapping[str, str]) -> list[tuple[str, str]]:
    defaults = {
        "Host": url.authority,
        "User-Agent": f"lookalike/{version('lookalike')}",
        "Accept": "image/*, */*;q=0.1",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    given = {name.lower() for name in extra}
    return [(name, value) for name, value in defaults.items() if name.lower() not in given] + list(extra.items())


def _check(status: int, headers: Mapping[bytes, str], max_bytes: int) -> None:
    """Raise UrlUnreachable or ImageTooLarge if the response cannot hold an image."""
    if status != HTTPStatus.OK:
        temporary = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        wait = _seconds(headers.get(b"retry-after", ""))
        text = f"the URL's server answered with status {status}"
        raise UrlUnreachable(text, field="url", temporary=temporary, retry_after=wait)
    encoding = headers.get(b"content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):  # a few bytes may become many, and the request accepts none
        raise UrlUnreachable("the URL's server sends a compressed answer although none was accepted", field="url")
    if int(headers.get(b"content-length", "0")) > max_bytes:
        raise _too_large(max_bytes)


def _copy(response: httpcore.Response, file: IO[bytes], max_bytes: int) -> None:
    count = 0
    for part in response.iter_stream():
        count += len(part)
        if count > max_bytes:  # the declared length may be wrong
            raise _too_large(max_bytes)
        file.write(part)


def _too_large(max_bytes: int) -> ImageTooLarge:
    return ImageTooLarge(f"the file at the URL has more than the {max_bytes:,} bytes allowed", field="url")


def _seconds(retry_after: str) -> float | None:
    """Return the seconds of a Retry-After header, None if it cannot be parsed."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
