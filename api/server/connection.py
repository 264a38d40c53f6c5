"""One client's connection: how long it may take, and how many there may be; uvicorn has no word for either."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.errors import PROBLEMS, problem
from embeddings.errors import MalformedRequest, RequestTooSlow

log = logging.getLogger(__name__)

# Connections that are served; api.server.listener counts them, and refuses those beyond.
MAX_CONNECTIONS = 1024
MAX_CONNECTIONS_PER_ADDRESS = 128  # those from one address, unless it is a proxy's
HEAD_SECONDS = 15.0  # from the opening of a connection, or the last answer, to the end of a request's head
TICK = 5.0
MIN_BYTES_PER_SECOND = 10_000  # bytes a second that a client must take of an answer
SLOW_TICKS = 4  # ticks that it may be slower than that
LAST_WORD = 1.0  # seconds that a refused client has to read its answer: a connection closed with unread data loses it


class ConnectionCounter:
    """How many connections each address has; `proxies` are addresses and networks that speak for many."""

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        self._proxies = [ip_network(proxy) for proxy in proxies]
        self._served: Counter[str] = Counter()
        self._all = 0

    def full(self, address: str) -> bool:
        """Return whether no further connection of this address is served."""
        if self._all >= MAX_CONNECTIONS:
            return True
        return self._served[address] >= MAX_CONNECTIONS_PER_ADDRESS and not any(
            ip_address(address) in net for net in self._proxies
        )

    def come(self, address: str) -> None:
        """Count a connection."""
        self._served[address] += 1
        self._all += 1

    def go(self, address: str) -> None:
        """Forget a connection."""
        self._all -= 1
        self._served[address] -= 1
        if not self._served[address]:
            del self._served[address]


class HttpConnection(H11Protocol):
    """An HTTP/1.1 connection that does not wait for ever.

    The time for a request's body is measured where it is read (api.request_body), since only there it is known who
    waits.
    """

    def __init__(self, *args: Any, peers: ConnectionCounter, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._peers = peers
        self._peer = ""
        self._timer: asyncio.TimerHandle | None = None
        self._cycle_seen: object = None
        self._idle_since = self.loop.time()
        self._unsent = 0
        self._slow_ticks = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch the clock."""
        super().connection_made(transport)
        self._peer = transport.get_extra_info("peername")[0]  # as the door has counted it
        self._timer = self.loop.call_later(TICK, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        if self._timer:
            self._timer.cancel()
            self._peers.go(self._peer)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP with a problem document."""
        error = MalformedRequest
        self._answer(problem(PROBLEMS[error], error.code, str(error.__doc__)))

    def _check(self) -> None:
        if self._head_is_late():
            log.info("a client took more than %g seconds for the head of a request", HEAD_SECONDS)
            self._end_late()
        elif self._reads_too_slowly():
            log.info("a client took less than %d bytes a second of an answer", MIN_BYTES_PER_SECOND)
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(TICK, self._check)

    def _head_is_late(self) -> bool:
        now = self.loop.time()
        under_way = self.cycle is not None and not self.cycle.response_complete
        if under_way or self.cycle is not self._cycle_seen:
            self._cycle_seen, self._idle_since = self.cycle, now
        return now - self._idle_since > HEAD_SECONDS

    def _end_late(self) -> None:
        """Say that the head is late where one was awaited; a connection that was kept after an answer just ends."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        elif self.cycle is None or self.conn.trailing_data[0]:
            self._answer(problem(PROBLEMS[RequestTooSlow], RequestTooSlow.code, str(RequestTooSlow.__doc__)))
        else:
            self.transport.close()

    def _reads_too_slowly(self) -> bool:
        unsent = self.transport.get_write_buffer_size()
        slow = unsent > 0 and self._unsent - unsent < MIN_BYTES_PER_SECOND * TICK
        self._unsent, self._slow_ticks = unsent, self._slow_ticks + 1 if slow else 0
        return self._slow_ticks > SLOW_TICKS

    def _answer(self, response: Response) -> None:
        """Send an answer past the app and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # for the app, which may be in the middle of an answer of its own
            if self.cycle.response_started:
                self.transport.abort()
                return
        self.transport.write(answer_bytes(response))
        with suppress(OSError):  # the client has gone already
            self.transport.write_eof()
        self.transport.pause_reading()  # what comes now is not looked at
        self.loop.call_later(LAST_WORD, self.transport.close)


def answer_bytes(response: Response) -> bytes:
    """Return an answer as it is sent past the app, before the connection closes."""
    phrase = HTTPStatus(response.status_code).phrase.encode()
    head = [b"HTTP/1.1 %d %s" % (response.status_code, phrase)]
    head += [b"%s: %s" % header for header in response.raw_headers]
    return b"\r\n".join([*head, b"Connection: close", b"", bytes(response.body)])
