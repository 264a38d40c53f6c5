"""Where connections come in: those that are not served are told so here, before they cost anything."""

import asyncio
import socket
import time
from collections import deque
from contextlib import suppress
from typing import Any

from api.errors import PROBLEMS, problem
from api.server.connection import LAST_WORD, ConnectionCounter, answer_bytes
from embeddings.errors import Busy

REFUSED_AT_ONCE = 16  # connections, before anything else is looked at
LINGERING = 1024  # refused connections that are still open


class AdmissionListener(socket.socket):
    """A listening socket that gives its server only the connections for which there is a place.

    A connection that the event loop takes over costs several times what it costs to say no here, and a flood of them
    would keep everybody else's from being looked at.
    """

    def __init__(self, listener: socket.socket, peers: ConnectionCounter) -> None:
        """Take over a listening socket."""
        super().__init__(listener.family, listener.type, listener.proto, fileno=listener.detach())
        self._peers = peers
        self._answer = answer_bytes(problem(PROBLEMS[Busy], Busy.code, str(Busy.__doc__)))
        self._lingering: deque[tuple[float, socket.socket]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection that is served. Raises BlockingIOError where there is none at the moment."""
        for _ in range(REFUSED_AT_ONCE):
            connection, address = super().accept()
            if not self._peers.full(address[0]):
                self._peers.come(address[0])  # counted before the event loop gets round to it; it goes in Connection
                return connection, address
            self._refuse(connection)
        raise BlockingIOError

    def close(self) -> None:
        """Stop listening."""
        if self._timer:
            self._timer.cancel()
        while self._lingering:
            _hang_up(self._lingering.popleft()[1])
        super().close()

    def _refuse(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with suppress(OSError):  # it has gone already
            connection.send(self._answer)
            connection.shutdown(socket.SHUT_WR)
        self._lingering.append((time.monotonic() + LAST_WORD, connection))
        if len(self._lingering) > LINGERING:
            _hang_up(self._lingering.popleft()[1])
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LAST_WORD, self._sweep)

    def _sweep(self) -> None:
        now = time.monotonic()
        while self._lingering and self._lingering[0][0] <= now:
            _hang_up(self._lingering.popleft()[1])
        again = bool(self._lingering)
        self._timer = asyncio.get_running_loop().call_later(LAST_WORD / 4, self._sweep) if again else None


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.recv(1 << 16)
    connection.close()
