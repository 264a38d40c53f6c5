"""Keeps other web sites out: host names, origins, and the headers that tell browsers what they may do."""

from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embeddings.errors import CrossSite, HeadTooLarge, LookalikeError, UnknownHost

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PROBES = frozenset({"/health", "/ready"})  # asked for by address, by what keeps the service running
MAX_HEAD = 32_768  # bytes of an address and its headers together

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_RULES = [
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


class HostAndOriginCheck:
    """ASGI middleware that refuses requests which a page of another site has made a visitor's browser send.

    `hosts` are the names the service answers to, None: any. A service on a loopback address must name them: a page
    whose own host name was made to resolve to 127.0.0.1 (DNS rebinding) is otherwise of the same origin.
    `origins` are other sites whose pages may use it.
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
        error = self._fault(scope["method"], scope["path"], Headers(scope=scope), _head_size(scope))
        app = self._refuse(error) if error else self._app
        await app(scope, receive, send)

    def _fault(self, method: str, path: str, headers: Headers, size: int) -> LookalikeError | None:
        host = headers.get("host", "")
        if size > MAX_HEAD:
            return HeadTooLarge(f"address and headers have {size:,} bytes, {MAX_HEAD:,} are allowed")
        if self._hosts is not None and _name(host) not in self._hosts and path not in PROBES:
            return UnknownHost(f"this service answers only to {', '.join(sorted(self._hosts))}, not to {host[:100]!r}")
        if method in _SAFE_METHODS or headers.get("origin") in self._origins:
            return None
        foreign = not _own(headers) or headers.get("sec-fetch-site") == "cross-site"
        return CrossSite() if foreign else None


class SecurityHeaders:
    """ASGI middleware that adds to every answer what browsers may do with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_rules(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_RULES]
            await send(message)

        await self._app(scope, receive, send_with_rules)


def same_origin(headers: Headers) -> bool:
    """Return whether a browser says that a page of this very service sent a request; programs say nothing, and may."""
    return _own(headers) and headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def _head_size(scope: Scope) -> int:
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    return len(scope["path"]) + len(scope["query_string"]) + headers


def _own(headers: Headers) -> bool:
    """Return whether the Origin header, where there is one, is that of this service."""
    origin = headers.get("origin")
    return origin is None or _authority(origin) in {_authority(f"//{headers.get('host', '')}")} - {None}


def _name(host: str) -> str | None:
    """Return the name in a Host header, None if it is not one."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _authority(url: str) -> str | None:
    """Return 'host:port' of an address, without the ports that browsers leave out; None if it has no host."""
    try:
        netloc = urlsplit(url).netloc.lower()
    except ValueError:
        return None
    return netloc.removesuffix(":80").removesuffix(":443") or None
