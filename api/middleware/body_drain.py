"""Reads the rest of a request's body before the answer goes out, so that the client receives the answer.

A client that is still sending when the connection closes loses the answer: 'too large' and 'busy' must arrive.
"""

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 256 << 20
MAX_SECONDS = 10.0
RATE = 50_000_000  # maximum bytes a second, so that other requests are not delayed


class DrainRequestBody:
    """ASGI middleware that discards the unread rest of a body, within limits, before an answer starts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(Headers(scope=scope), receive)

        async def send_after_body(message: Message) -> None:
            # a client that was too slow for the body is too slow for the rest
            starts = message["type"] == "http.response.start" and message["status"] != HTTPStatus.REQUEST_TIMEOUT
            if starts and not await body.drained():
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        await self._app(scope, body.receive, send_after_body)


class _Body:
    """A request's body, and whether more of it follows."""

    def __init__(self, headers: Headers, receive: Receive) -> None:
        self._receive = receive
        self._done = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._client_waits = headers.get("expect", "").lower() == "100-continue"  # until the first chunk is requested

    async def receive(self) -> Message:
        self._client_waits = False
        message = await self._receive()
        self._done = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def drained(self) -> bool:
        """Read the rest within the limits; return whether the body is complete."""
        if self._done or self._client_waits:
            return True
        count = 0
        try:
            async with asyncio.timeout(MAX_SECONDS):
                while not self._done and count < MAX_BYTES:
                    part = len((await self.receive()).get("body", b""))
                    count += part
                    await asyncio.sleep(part / RATE)
        except TimeoutError:
            return False
        return self._done
