"""Authentication and authorisation; one table has the scope that each route needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from api.api_keys import ApiKeys, Key
from api.api_keys import Scope as KeyScope
from api.current_request import on_behalf_of
from api.limits.concurrency import PerCallerLimit
from api.limits.fair_scheduling import RequestPacer
from api.limits.rate_limiter import RateLimiter, is_loopback, network_of
from api.middleware.browser_security import PROBES, same_origin
from embeddings.errors import KeyRequired, KeyUnknown, LookalikeError, RateLimited, ScopeMissing

COOKIE = "lookalike_key"

# Every other route needs `read` for GET and `write` for all else, so that no route is open by mistake.
_PUBLIC = frozenset({"/", "/docs", "/docs/start.js", "/health", "/ready", "/v1/session"})
_QUERIES = frozenset({"/v1/search", "/v1/search/batch", "/v1/tags", "/v1/preview"})  # POST, but they change nothing
_OPERATORS = frozenset({"/metrics"})
_READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def needed_scope(method: str, route: str) -> KeyScope | None:
    """Return the scope that a route needs, None for a public one; `route` is its pattern, not the path of a request."""
    if route in _PUBLIC:
        return None
    if route in _OPERATORS:
        return KeyScope.ADMIN
    return KeyScope.READ if method in _READ_METHODS or route in _QUERIES else KeyScope.WRITE


@dataclass(frozen=True)
class Caller:
    """The sender of a request: the holder of a key or, if `key` is None, an address."""

    address: str
    key: Key | None = None
    auth_error: LookalikeError | None = None  # why it may use only public routes

    @property
    def account(self) -> str:
        """The name under which this caller's requests are counted."""
        return f"key {self.key.name}" if self.key else network_of(self.address)

    @property
    def display_name(self) -> str:
        """The caller's name in messages."""
        return f"the key {self.key.name}" if self.key else "this address"

    @property
    def is_local(self) -> bool:
        """True if this is a program on this machine and the service needs no keys."""
        return not self.key and not self.auth_error and is_loopback(self.address)

    @property
    def name(self) -> str:
        """The caller's name in the log."""
        return self.key.name if self.key else "-"

    def check(self, scope: KeyScope) -> None:
        """Check that the caller has this scope. Raises KeyRequired, KeyUnknown, KeysUnreadable or ScopeMissing."""
        if self.auth_error:
            raise self.auth_error
        if self.key and not self.key.scope.covers(scope):
            raise ScopeMissing(f"this needs a key with the scope {scope}; this one has {self.key.scope}")


def identify(keys: ApiKeys, address: str, secret: str | None) -> Caller:
    """Return the caller with this address and secret."""
    try:
        if not keys.needed_by(address):
            return Caller(address)
        key = keys.find(secret) if secret else None
    except LookalikeError as error:  # only public routes work while the keys cannot be read
        return Caller(address, auth_error=error)
    if key is None:
        return Caller(address, auth_error=KeyUnknown() if secret else KeyRequired())
    return Caller(address, key)


class Authentication:
    """ASGI middleware that identifies the caller before anything is read or done for the request.

    It limits the requests of a caller per minute, and those at the same time.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: ApiKeys,
        rates: RateLimiter,
        caller_limit: PerCallerLimit,
        refuse: Callable[[LookalikeError], ASGIApp],
    ) -> None:
        self._app = app
        self._keys = keys
        self._rates = rates
        self._caller_limit = caller_limit
        self._refuse = refuse
        self._pacer = RequestPacer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Store the caller in the request's state, or refuse the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        caller = identify(self._keys, client[0] if client else "-", secret_of(Headers(scope=scope)))
        scope.setdefault("state", {})["caller"] = caller
        with on_behalf_of(caller.account):
            await self._pacer.wait_turn()  # also before a refusal: many at once would delay others too
        if error := self._refusal(caller, scope):
            await self._refuse(error)(scope, receive, send)
            return
        with on_behalf_of(caller.account), self._caller_limit.counted(caller.account):
            await self._app(scope, receive, send)

    def _refusal(self, caller: Caller, scope: Scope) -> LookalikeError | None:
        """Return the reason to refuse a request; None for local programs without keys, which have no limits."""
        if scope["path"] in PROBES or caller.is_local:
            return None
        if self._caller_limit.full(caller.account):
            return RateLimited(
                f"{self._caller_limit.limit} requests of {caller.display_name} are in progress; send the next one later"
            )
        if wait := self._rates.wait(caller.account):
            text = f"too many requests from {caller.display_name}; try again in {wait:.1f} seconds"
            return RateLimited(text, retry_after=wait)
        # the routes check this too; here it comes before reading a body and finding a route
        return caller.auth_error if scope["path"].startswith("/v1/") and scope["path"] not in _PUBLIC else None


def secret_of(headers: Headers) -> str | None:
    """Return the secret of a request: its bearer token or, from our own page, the session cookie."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return cookie_parser(headers.get("cookie", "")).get(COOKIE) if same_origin(headers) else None


async def authorised(request: Request) -> None:
    """Refuse a caller whose key does not allow this route; every route depends on this."""
    scope = needed_scope(request.method, request.scope["route"].path)
    if scope is not None:
        caller: Caller = request.state.caller
        caller.check(scope)


def describe(path: str, method: str, operation: dict[str, Any], problems: Callable[..., dict[int | str, Any]]) -> None:
    """Add the required scope and the refusals to an operation of the OpenAPI document."""
    scope = needed_scope(method.upper(), path)
    if scope is None:
        operation["security"] = []
        return
    operation["security"] = [{"key": []}, {"session": []}]
    operation["description"] = (
        f"{operation.get('description', '')}\n\nRequires an API key with the scope `{scope}`.".strip()
    )
    for status, response in problems(401, 403, 429).items():
        operation["responses"].setdefault(status, response)


SECURITY_SCHEMES = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key from `lookalike keys create`. A loopback service without keys needs none.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "The cookie of `POST /v1/session`, for the web page.",
    },
}
