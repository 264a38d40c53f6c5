"""Refuses excess connections at accept time, before the event loop handles them."""

import asyncio
import socket
import time
from collections import deque
from contextlib import suppress
from typing import Any

from api.errors import PROBLEMS, problem
from api.server.connection import LINGER_SECONDS, ConnectionCounter, answer_bytes
from embeddings.errors import Busy

MAX_REFUSALS_PER_ACCEPT = 16
MAX_LINGERING = 1024  # refused connections that are still open


class AdmissionListener(socket.socket):
    """A listening socket that gives its server only connections within the limits.

    A refusal here costs a fraction of what it costs in the event loop, where a flood of connections would delay all
    others.
    """

    def __init__(self, listener: socket.socket, counter: ConnectionCounter) -> None:
        """Take over a listening socket."""
        super().__init__(listener.family, listener.type, listener.proto, fileno=listener.detach())
        self._counter = counter
        self._answer = answer_bytes(problem(PROBLEMS[Busy], Busy.code, str(Busy.__doc__)))
        self._lingering: deque[tuple[float, socket.socket]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection within the limits. Raises BlockingIOError if there is none at the moment."""
        for _ in range(MAX_REFUSALS_PER_ACCEPT):
            connection, address = super().accept()
            if not self._counter.full(address[0]):
                self._counter.add(address[0])  # HttpConnection removes it
                return connection, address
            self._refuse(connection)
        raise BlockingIOError

    def close(self) -> None:
        """Stop listening."""
        if self._timer:
            self._timer.cancel()
        while self._lingering:
            _close(self._lingering.popleft()[1])
        super().close()

    def _refuse(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with suppress(OSError):  # the client is gone
            connection.send(self._answer)
            connection.shutdown(socket.SHUT_WR)
        self._lingering.append((time.monotonic() + LINGER_SECONDS, connection))
        if len(self._lingering) > MAX_LINGERING:
            _close(self._lingering.popleft()[1])
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._sweep)

    def _sweep(self) -> None:
        now = time.monotonic()
        while self._lingering and self._lingering[0][0] <= now:
            _close(self._lingering.popleft()[1])
        again = bool(self._lingering)
        self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS / 4, self._sweep) if again else None


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.recv(1 << 16)
    connection.close()
