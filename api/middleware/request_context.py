"""Request id, access log, metrics, and the answer to unexpected errors.

Other code reads the id and the caller from `api.current_request`.
"""

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.current_request import current_request_id, request_id_var

log = logging.getLogger("lookalike.access")

_HEADER = b"x-request-id"
_VALID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

CLIENT_GONE = 499  # the status that proxies log for it; it is never sent

Observer = Callable[[str, str, int, float], None]  # method, route, status, seconds


class RequestContext:
    """ASGI middleware that gives each request an id, one log line and one observation.

    `on_failure` returns the ASGI app that answers if the wrapped app raises; no exception passes this point.
    """

    def __init__(self, app: ASGIApp, observe: Observer, on_failure: Callable[[], ASGIApp]) -> None:
        self._app = app
        self._observe = observe
        self._on_failure = on_failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        token = request_id_var.set(_incoming_id(scope) or uuid.uuid4().hex)
        try:
            await self._traced(scope, receive, send)
        finally:
            request_id_var.reset(token)

    async def _traced(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        answer = _Answer(send, current_request_id())
        try:
            await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            answer.status = CLIENT_GONE
        except Exception:  # the last boundary: logged in full, while the client learns no internals
            log.exception("unexpected error")
            if answer.status:
                raise  # part of the answer is sent: only closing the connection tells the client
            await self._on_failure()(scope, receive, answer.send)
        finally:
            seconds = time.perf_counter() - started
            self._observe(scope["method"], _route(scope), answer.status, seconds)
            path = quote(scope["path"])  # a line break in a path must not start a log line
            log.info("%s %s %d %.1f ms", scope["method"], path, answer.status, seconds * 1000)


class _Answer:
    """Adds the request id to an answer and remembers its status."""

    def __init__(self, send: Callable[[Message], Awaitable[None]], request_id: str) -> None:
        self._send = send
        self._header = (_HEADER, request_id.encode())
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", []), self._header]
        await self._send(message)


def _incoming_id(scope: Scope) -> str | None:
    """Return the request id that the caller sent, if it is safe to log."""
    values = [value for name, value in scope["headers"] if name == _HEADER]
    return values[0].decode() if values and _VALID.fullmatch(values[0]) else None


def _route(scope: Scope) -> str:
    """Return the pattern of the route, not the path: a metric must not have a label per image."""
    return getattr(scope.get("route"), "path", "other")
