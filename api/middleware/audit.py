"""Who changed what, and who was refused: one log line for each, without secrets."""

import logging
from http import HTTPStatus
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.api_keys import Scope as KeyScope
from api.middleware.access import Caller, needed_scope

log = logging.getLogger("lookalike.audit")

_REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
_SIGNING = "/v1/session"


class Audit:
    """ASGI middleware around Access; addresses are logged without their query, and headers not at all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request and note it where it changed something or was refused."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started: dict[str, str] = {"status": "failed", "location": ""}

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                started["status"] = str(message["status"])
                places = [value for name, value in message.get("headers", []) if name.lower() == b"location"]
                started["location"] = places[0].decode().partition("?")[0] if places else ""
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            if _matters(scope, started["status"]):
                log.info("%s", _line(scope, started["status"], started["location"]))


def _matters(scope: Scope, status: str) -> bool:
    if status in map(str, map(int, _REFUSALS)):
        return True
    if scope["path"] == _SIGNING:
        return scope["method"] in ("POST", "DELETE")
    return needed_scope(scope["method"], scope["path"]) == KeyScope.WRITE


def _line(scope: Scope, status: str, location: str) -> str:
    caller: Caller | None = scope.get("state", {}).get("caller")
    who = f"key={caller.name} address={quote(caller.address, safe=':')}" if caller else "key=- address=-"
    made = f" made={location}" if location else ""
    return f"{who} {scope['method']} {quote(scope['path'])} {status}{made}"
