"""The audit log: one line for each change and each refusal, without secrets."""

import logging
from http import HTTPStatus
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.api_keys import Scope as KeyScope
from api.middleware.access import Caller, needed_scope

log = logging.getLogger("lookalike.audit")

_REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
_SESSION_PATH = "/v1/session"


class Audit:
    """ASGI middleware around Authentication; logs paths without their query strings, and no headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; log it if it changed something or was refused."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started: dict[str, str] = {"status": "failed", "location": ""}

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                started["status"] = str(message["status"])
                locations = [value for name, value in message.get("headers", []) if name.lower() == b"location"]
                started["location"] = locations[0].decode().partition("?")[0] if locations else ""
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            if _is_logged(scope, started["status"]):
                log.info("%s", _line(scope, started["status"], started["location"]))


def _is_logged(scope: Scope, status: str) -> bool:
    if status in map(str, map(int, _REFUSALS)):
        return True
    if scope["path"] == _SESSION_PATH:
        return scope["method"] in ("POST", "DELETE")
    return needed_scope(scope["method"], scope["path"]) == KeyScope.WRITE


def _line(scope: Scope, status: str, location: str) -> str:
    caller: Caller | None = scope.get("state", {}).get("caller")
    who = f"key={caller.name} address={quote(caller.address, safe=':')}" if caller else "key=- address=-"
    made = f" made={location}" if location else ""
    return f"{who} {scope['method']} {quote(scope['path'])} {status}{made}"
