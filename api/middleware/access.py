"""Who is calling, and what that caller may do: one table says which route needs which scope."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from api.api_keys import Key, KeyRing
from api.api_keys import Scope as KeyScope
from api.limits.caller import on_behalf_of
from api.limits.concurrency import PerCallerLimit
from api.limits.fair_scheduling import RequestPacer
from api.limits.rate_limiter import RateLimiter, is_this_machine, network_of
from api.middleware.browser_security import PROBES, same_origin
from embeddings.errors import KeyRequired, KeyUnknown, LookalikeError, RateLimited, ScopeMissing

COOKIE = "lookalike_key"

REFUSALS = 600  # a minute that one caller is told at once; further ones come slowly
MAX_HELD = 128  # refusals of one caller that are kept back at a time: as many as an address has connections
HOLD = 1.0  # seconds; no Retry-After says less

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
    auth_error: LookalikeError | None = None  # why it may use public routes alone

    @property
    def account(self) -> str:
        """What this caller's requests are counted under."""
        return f"key {self.key.name}" if self.key else network_of(self.address)

    @property
    def display_name(self) -> str:
        """What the caller is told of whom they are counted for."""
        return f"the key {self.key.name}" if self.key else "this address"

    @property
    def is_local(self) -> bool:
        """Whether this is a program of this machine, where nobody needs a key."""
        return not self.key and not self.auth_error and is_this_machine(self.address)

    @property
    def name(self) -> str:
        """What the log calls the caller."""
        return self.key.name if self.key else "-"

    def check(self, scope: KeyScope) -> None:
        """Return if the caller has this scope. Raises KeyRequired, KeyUnknown, KeysUnreadable or ScopeMissing."""
        if self.auth_error:
            raise self.auth_error
        if self.key and not self.key.scope.covers(scope):
            raise ScopeMissing(f"this needs a key with the scope {scope}; this one has {self.key.scope}")


def identify(ring: KeyRing, address: str, secret: str | None) -> Caller:
    """Return who comes with a secret from an address."""
    try:
        if not ring.needed:
            return Caller(address)
        key = ring.find(secret) if secret else None
    except LookalikeError as error:  # nobody gets in while the keys cannot be read, but health is still told
        return Caller(address, auth_error=error)
    if key is None:
        return Caller(address, auth_error=KeyUnknown() if secret else KeyRequired())
    return Caller(address, key)


class Authentication:
    """ASGI middleware that finds out who is calling, before anything is read or done for them.

    A caller may make so many requests a minute, and have so many under way. Whoever goes on asking after that is
    answered slowly: a refusal costs little, but thousands of them a second would cost the others their time.
    """

    def __init__(
        self,
        app: ASGIApp,
        ring: KeyRing,
        rates: RateLimiter,
        shares: PerCallerLimit,
        refuse: Callable[[LookalikeError], ASGIApp],
    ) -> None:
        self._app = app
        self._ring = ring
        self._rates = rates
        self._shares = shares
        self._refuse = refuse
        self._refusals = RateLimiter(REFUSALS)
        self._held = PerCallerLimit(MAX_HELD)
        self._turnstile = RequestPacer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the caller in the request's state, or refuse one who may not use this route or asks too much."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        caller = identify(self._ring, client[0] if client else "-", secret_of(Headers(scope=scope)))
        scope.setdefault("state", {})["caller"] = caller
        with on_behalf_of(caller.account):
            await self._turnstile.wait_turn()  # refusals too: many at once keep others waiting as well
        if error := self._fault(caller, scope):
            if isinstance(error, RateLimited):
                await self._hold(caller.account)
            await self._refuse(error)(scope, receive, send)
            return
        with on_behalf_of(caller.account), self._shares.counted(caller.account):
            await self._app(scope, receive, send)

    def _fault(self, caller: Caller, scope: Scope) -> LookalikeError | None:
        """Return why a request is refused; programs of this machine may do all where nobody needs a key."""
        if scope["path"] in PROBES or caller.is_local:
            return None
        if self._shares.full(caller.account):
            return RateLimited(
                f"{self._shares.most} requests of {caller.display_name} are being answered; send the next later"
            )
        if wait := self._rates.wait(caller.account):
            text = f"too many requests from {caller.display_name}; try again in {wait:.1f} seconds"
            return RateLimited(text, retry_after=wait)
        # the routes check this too; here it is done before a body is read or a route is looked for
        return caller.auth_error if scope["path"].startswith("/v1/") and scope["path"] not in _PUBLIC else None

    async def _hold(self, who: str) -> None:
        """Keep a refusal back for a while where a caller hears them again and again."""
        if self._refusals.wait(who) and not self._held.full(who):
            with self._held.counted(who):
                await asyncio.sleep(HOLD)


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
