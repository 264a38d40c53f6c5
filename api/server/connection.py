"""HTTP connections with time limits, and their number per address; uvicorn has no setting for either."""

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

# api.server.listener counts connections and refuses those beyond these limits
MAX_CONNECTIONS = 1024
MAX_CONNECTIONS_PER_ADDRESS = 128  # unless the address is a proxy's
HEAD_SECONDS = 15.0  # from the start of a connection, or the last answer, to the end of a request's head
TICK = 5.0
MIN_BYTES_PER_SECOND = 10_000  # of an answer that a client must read
MAX_SLOW_TICKS = 4
LINGER_SECONDS = 1.0  # for a refused client to read its answer, which closing at once would lose


class ConnectionCounter:
    """Counts the connections of each address; `proxies` are addresses and networks of many clients."""

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        self._proxies = [ip_network(proxy) for proxy in proxies]
        self._by_address: Counter[str] = Counter()
        self._total = 0

    def full(self, address: str) -> bool:
        """Return whether a further connection of this address is refused."""
        if self._total >= MAX_CONNECTIONS:
            return True
        return self._by_address[address] >= MAX_CONNECTIONS_PER_ADDRESS and not any(
            ip_address(address) in net for net in self._proxies
        )

    def add(self, address: str) -> None:
        """Count a connection."""
        self._by_address[address] += 1
        self._total += 1

    def remove(self, address: str) -> None:
        """Stop counting a connection."""
        self._total -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]


class HttpConnection(H11Protocol):
    """An HTTP/1.1 connection with time limits for heads of requests and for answers.

    api.request_body has the time limit for bodies.
    """

    def __init__(self, *args: Any, counter: ConnectionCounter, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._counter = counter
        self._peer = ""
        self._timer: asyncio.TimerHandle | None = None
        self._cycle_seen: object = None
        self._idle_since = self.loop.time()
        self._unsent = 0
        self._slow_ticks = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer."""
        super().connection_made(transport)
        self._peer = transport.get_extra_info("peername")[0]  # as the listener has counted it
        self._timer = self.loop.call_later(TICK, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer and the count."""
        if self._timer:
            self._timer.cancel()
            self._counter.remove(self._peer)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed request with a problem document."""
        error = MalformedRequest
        self._answer(problem(PROBLEMS[error], error.code, str(error.__doc__)))

    def _check(self) -> None:
        if self._head_is_late():
            log.info("a client took more than %g seconds for the head of a request", HEAD_SECONDS)
            self._end_late()
        elif self._reads_too_slowly():
            log.info("a client read less than %d bytes a second of an answer", MIN_BYTES_PER_SECOND)
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(TICK, self._check)

    def _head_is_late(self) -> bool:
        now = self.loop.time()
        is_active = self.cycle is not None and not self.cycle.response_complete
        if is_active or self.cycle is not self._cycle_seen:
            self._cycle_seen, self._idle_since = self.cycle, now
        return now - self._idle_since > HEAD_SECONDS

    def _end_late(self) -> None:
        """Answer 408 if a head was begun or is the first; close a connection that idles after an answer."""
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
        return self._slow_ticks > MAX_SLOW_TICKS

    def _answer(self, response: Response) -> None:
        """Send an answer without the app, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # tells the app, which may be answering
            if self.cycle.response_started:
                self.transport.abort()
                return
        self.transport.write(answer_bytes(response))
        with suppress(OSError):  # the client is gone
            self.transport.write_eof()
        self.transport.pause_reading()  # further data is ignored
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def answer_bytes(response: Response) -> bytes:
    """Return the bytes of an answer that is sent without the app, before the connection closes."""
    phrase = HTTPStatus(response.status_code).phrase.encode()
    head = [b"HTTP/1.1 %d %s" % (response.status_code, phrase)]
    head += [b"%s: %s" % header for header in response.raw_headers]
    return b"\r\n".join([*head, b"Connection: close", b"", bytes(response.body)])
