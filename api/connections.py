"""One client's connection: how long it may take, and how many there may be; uvicorn has no word for either."""

import asyncio
import logging
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.errors import KINDS, problem, problem_of
from embeddings.errors import Busy, MalformedRequest

log = logging.getLogger(__name__)

MOST = 1024  # connections that are served; those beyond are told that the service is busy
MOST_OPEN = 8192  # connections beyond these are closed without a word
HEAD_SECONDS = 15.0  # from the opening of a connection, or the last answer, to the end of a request's head
TICK = 5.0
PACE = 10_000  # bytes a second that a client must take of an answer
PATIENCE = 4  # ticks that it may be slower than that


class Connection(H11Protocol):
    """An HTTP/1.1 connection that does not wait for ever.

    The time for a request's body is measured where it is read (api.forms), since only there it is known who waits.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._cycle_seen: object = None
        self._idle_since = self.loop.time()
        self._unsent = 0
        self._slow_ticks = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch the clock."""
        super().connection_made(transport)
        if len(self.connections) > MOST_OPEN:
            transport.abort()
            return
        if len(self.connections) > MOST:
            self.app = _busy
        self._timer = self.loop.call_later(TICK, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP with a problem document."""
        error = MalformedRequest
        self._answer(problem(KINDS[error], error.code, str(error.__doc__)))

    def _check(self) -> None:
        if self._head_is_late():
            log.info("a client took more than %g seconds for the head of a request", HEAD_SECONDS)
            self.transport.abort()
        elif self._reads_too_slowly():
            log.info("a client took less than %d bytes a second of an answer", PACE)
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(TICK, self._check)

    def _head_is_late(self) -> bool:
        now = self.loop.time()
        under_way = self.cycle is not None and not self.cycle.response_complete
        if under_way or self.cycle is not self._cycle_seen:
            self._cycle_seen, self._idle_since = self.cycle, now
        return now - self._idle_since > HEAD_SECONDS

    def _reads_too_slowly(self) -> bool:
        unsent = self.transport.get_write_buffer_size()
        slow = unsent > 0 and self._unsent - unsent < PACE * TICK
        self._unsent, self._slow_ticks = unsent, self._slow_ticks + 1 if slow else 0
        return self._slow_ticks > PATIENCE

    def _answer(self, response: Response) -> None:
        """Send an answer past the app and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # for the app, which may be in the middle of an answer of its own
            if self.cycle.response_started:
                self.transport.abort()
                return
        head = [b"HTTP/1.1 %d %s" % (response.status_code, b"Bad Request")]
        head += [b"%s: %s" % header for header in response.raw_headers]
        self.transport.write(b"\r\n".join([*head, b"Connection: close", b"", bytes(response.body)]))
        self.transport.close()


async def _busy(scope: Any, receive: Any, send: Any) -> None:
    """Answer for the app while there are too many connections."""
    if scope["type"] == "http":
        response = problem_of(Busy())
        response.headers["Connection"] = "close"
        await response(scope, receive, send)
