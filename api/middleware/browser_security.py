"""Protection against other web sites: host names, origins, and security headers for browsers."""

from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embeddings.errors import CrossSite, HeadTooLarge, LookalikeError, UnknownHost

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PROBES = frozenset({"/health", "/ready"})  # orchestrators request these by IP address
MAX_HEAD = 32_768  # bytes of the URL and the headers together

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"x-frame-options", b"DENY"),
]


class TrustedHostAndOrigin:
    """ASGI middleware that refuses requests that a page of another site made a browser send.

    `hosts` are the accepted host names, None: any. A service on a loopback address must name them: otherwise a page
    whose host name resolves to 127.0.0.1 (DNS rebinding) has the same origin. `origins` are other sites whose pages may
    use the service.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str] | None,
        refuse: Callable[[LookalikeError], ASGIApp],
        origins: Collection[str] = (),
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = origins
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        error = self._refusal(scope["method"], scope["path"], Headers(scope=scope), _head_size(scope))
        app = self._refuse(error) if error else self._app
        await app(scope, receive, send)

    def _refusal(self, method: str, path: str, headers: Headers, size: int) -> LookalikeError | None:
        host = headers.get("host", "")
        if size > MAX_HEAD:
            return HeadTooLarge(f"URL and headers have {size:,} bytes, {MAX_HEAD:,} are allowed")
        if self._hosts is not None and _name(host) not in self._hosts and path not in PROBES:
            return UnknownHost(f"this service answers only to {', '.join(sorted(self._hosts))}, not to {host[:100]!r}")
        if method in _SAFE_METHODS or headers.get("origin") in self._origins:
            return None
        foreign = not _is_own_origin(headers) or headers.get("sec-fetch-site") == "cross-site"
        return CrossSite() if foreign else None


class SecurityHeaders:
    """ASGI middleware that adds security headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def same_origin(headers: Headers) -> bool:
    """Return whether a page of this service, or a program other than a browser, sent a request."""
    return _is_own_origin(headers) and headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def _head_size(scope: Scope) -> int:
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    return len(scope["path"]) + len(scope["query_string"]) + headers


def _is_own_origin(headers: Headers) -> bool:
    """Return whether the Origin header is missing or names this service."""
    origin = headers.get("origin")
    return origin is None or _authority(origin) in {_authority(f"//{headers.get('host', '')}")} - {None}


def _name(host: str) -> str | None:
    """Return the host name in a Host header, None if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _authority(url: str) -> str | None:
    """Return 'host:port' of a URL, without the default ports that browsers omit; None if it has no host."""
    try:
        netloc = urlsplit(url).netloc.lower()
    except ValueError:
        return None
    return netloc.removesuffix(":80").removesuffix(":443") or None
