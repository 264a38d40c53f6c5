"""A request's id, its line in the log, its place in the metrics, and the answer to an error that nobody foresaw."""

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.request_id import current_request_id, request_id_var

log = logging.getLogger("lookalike.access")

_HEADER = b"x-request-id"
_SANE = re.compile(rb"[A-Za-z0-9._-]{1,64}")

CLIENT_GONE = 499  # what proxies write in their logs; nobody is there to receive it

Observer = Callable[[str, str, int, float], None]  # method, route, status, seconds


class RequestContext:
    """Outermost ASGI middleware: an id, one log line and one observation for each request.

    `on_failure` is the ASGI app that answers when the wrapped one raised; nothing gets past this point.
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
        except Exception:  # the last boundary: whatever it is, it is logged in full and the client learns no internals
            log.exception("unexpected error")
            if answer.status:
                raise  # half an answer is out: only closing the connection tells the client
            await self._on_failure()(scope, receive, answer.send)
        finally:
            seconds = time.perf_counter() - started
            self._observe(scope["method"], _route(scope), answer.status, seconds)
            path = quote(scope["path"])  # a line break in a path must not start a log line
            log.info("%s %s %d %.1f ms", scope["method"], path, answer.status, seconds * 1000)


class _Answer:
    """Adds the id to the answer and remembers its status."""

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
    """Return the caller's own request id if it is safe to write into a log."""
    values = [value for name, value in scope["headers"] if name == _HEADER]
    return values[0].decode() if values and _SANE.fullmatch(values[0]) else None


def _route(scope: Scope) -> str:
    """Return the route's pattern, not the path: a metric must not have a label for each image."""
    return getattr(scope.get("route"), "path", "other")
