"""Who is calling, and what that caller may do: one table says which route needs which scope."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from api.guard import PROBES, same_origin
from api.keys import Key, KeyRing
from api.keys import Scope as KeyScope
from api.rates import Rates, is_this_machine, network_of
from embeddings.errors import KeyRequired, KeyUnknown, LookalikeError, RateLimited, ScopeMissing

COOKIE = "lookalike_key"

# What is not named here needs `read` to look and `write` for everything else, so that no route is left open by mistake.
_PUBLIC = frozenset({"/", "/health", "/ready", "/v1/session"})
_QUERIES = frozenset({"/v1/search", "/v1/search/batch", "/v1/tags", "/v1/preview"})  # sent by POST, and change nothing
_OPERATORS = frozenset({"/metrics"})
_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})


def needed_scope(method: str, route: str) -> KeyScope | None:
    """Return the scope that a route needs, None if it is everybody's; `route` is its pattern, not a request's path."""
    if route in _PUBLIC:
        return None
    if route in _OPERATORS:
        return KeyScope.ADMIN
    return KeyScope.READ if method in _LOOKING or route in _QUERIES else KeyScope.WRITE


@dataclass(frozen=True)
class Caller:
    """Who sent a request: a key's holder, or, with `key` None, somebody at an address."""

    address: str
    key: Key | None = None
    fault: LookalikeError | None = None  # why it may use public routes alone

    @property
    def name(self) -> str:
        """What the log calls the caller."""
        return self.key.name if self.key else "-"

    def check(self, scope: KeyScope) -> None:
        """Return if the caller has this scope. Raises KeyRequired, KeyUnknown, KeysUnreadable or ScopeMissing."""
        if self.fault:
            raise self.fault
        if self.key and not self.key.scope.covers(scope):
            raise ScopeMissing(f"this needs a key with the scope {scope}; this one has {self.key.scope}")


def identify(ring: KeyRing, address: str, secret: str | None) -> Caller:
    """Return who comes with a secret from an address."""
    try:
        if not ring.needed:
            return Caller(address)
        key = ring.find(secret) if secret else None
    except LookalikeError as error:  # nobody gets in while the keys cannot be read, but health is still told
        return Caller(address, fault=error)
    if key is None:
        return Caller(address, fault=KeyUnknown() if secret else KeyRequired())
    return Caller(address, key)


class Access:
    """ASGI middleware that finds out who is calling, before anything is read or done for them."""

    def __init__(self, app: ASGIApp, ring: KeyRing, rates: Rates, refuse: Callable[[LookalikeError], ASGIApp]) -> None:
        self._app = app
        self._ring = ring
        self._rates = rates
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the caller in the request's state, or refuse one who asks too often."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        caller = identify(self._ring, client[0] if client else "-", secret_of(Headers(scope=scope)))
        scope.setdefault("state", {})["caller"] = caller
        wait = 0.0 if scope["path"] in PROBES else self._wait(caller)
        app = self._refuse(_too_many(caller, wait)) if wait else self._app
        await app(scope, receive, send)

    def _wait(self, caller: Caller) -> float:
        """Return the seconds that a caller must wait; programs of this machine need not where nobody needs a key."""
        if caller.key:
            return self._rates.wait(f"key {caller.key.name}")
        if not caller.fault and is_this_machine(caller.address):
            return 0.0
        return self._rates.wait(network_of(caller.address))


def _too_many(caller: Caller, wait: float) -> RateLimited:
    whose = f"the key {caller.key.name}" if caller.key else "this address"
    return RateLimited(f"too many requests from {whose}; try again in {wait:.1f} seconds", retry_after=wait)


def secret_of(headers: Headers) -> str | None:
    """Return the secret of a request: its bearer token or, where a page of ours sent it, the session's cookie."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return cookie_parser(headers.get("cookie", "")).get(COOKIE) if same_origin(headers) else None


async def authorised(request: Request) -> None:
    """Refuse a caller whose key does not allow this route: every route of the app depends on it."""
    scope = needed_scope(request.method, request.scope["route"].path)
    if scope is not None:
        caller: Caller = request.state.caller
        caller.check(scope)


def describe(path: str, method: str, operation: dict[str, Any], problems: Callable[..., dict[int | str, Any]]) -> None:
    """Say in an operation of the OpenAPI document which key it needs and how it refuses."""
    scope = needed_scope(method.upper(), path)
    if scope is None:
        operation["security"] = []
        return
    operation["security"] = [{"key": []}, {"session": []}]
    operation["description"] = f"{operation.get('description', '')}\n\nNeeds a key with the scope `{scope}`.".strip()
    for status, response in problems(401, 403, 429).items():
        operation["responses"].setdefault(status, response)


SECURITY_SCHEMES = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key of `lookalike keys create`; without keys, a loopback service takes none.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "The cookie of `POST /v1/session`, for the web page.",
    },
}
