"""A web server on a loopback address with scripted answers, and a listener that must not be reached."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from embeddings.web.fetcher import WebFetcher, WebLimits

LOOPBACK = "127.0.0.1"

Answer = Callable[["Exchange"], None]


class Exchange:
    """One request, and the connection on which it is answered."""

    def __init__(self, connection: socket.socket, head: str, stopping: threading.Event) -> None:
        self._connection = connection
        lines = head.split("\r\n")
        self.line = lines[0]
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        self._stopping = stopping

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def reply(self, body: bytes = b"", *headers: str, status: str = "200 OK") -> None:
        """Send a whole answer; a Content-Length is added unless there is one."""
        given = "".join(f"{header}\r\n" for header in headers)
        if "content-length" not in given.lower():
            given += f"Content-Length: {len(body)}\r\n"
        self.send(f"HTTP/1.1 {status}\r\n{given}\r\n".encode() + body)

    def trickle(self, part: bytes, every: float = 0.02) -> None:
        """Send the same bytes repeatedly until the other side closes the connection."""
        while not self._stopping.wait(every):
            self.send(part)

    def flood(self, part: bytes) -> None:
        """Do as `trickle`, without a pause."""
        self.trickle(part, 0)


class WebServer:
    """Answers each path as `answers` says; `requests` has all requests in order."""

    def __init__(self, host: str = LOOPBACK, tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[Exchange] = []
        self.stopping = threading.Event()
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                outer._handle(self.request, tls)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        self._server = Server((host, 0), Handler)
        self.host = host
        self.port: int = self._server.server_address[1]

    @property
    def base(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def place(self) -> tuple[str, int]:
        return self.host, self.port

    def fetcher(self, limits: WebLimits | None = None, **options: Any) -> WebFetcher:
        """Return a fetcher that treats this server as public."""
        return WebFetcher(limits or WebLimits(), allow_private=frozenset({self.place}), **options)

    @contextmanager
    def running(self) -> Iterator["WebServer"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.stopping.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def _handle(self, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
        try:
            with tls.wrap_socket(connection, server_side=True) if tls else connection as stream:
                stream.settimeout(10)
                head = b""
                while b"\r\n\r\n" not in head and (part := stream.recv(65536)):
                    head += part
                exchange = Exchange(stream, head.decode(), self.stopping)
                self.requests.append(exchange)
                self.answers[exchange.line.split(" ")[1].partition("?")[0]](exchange)
        except OSError:
            pass  # the fetcher has closed the connection, as it should


class Inner:
    """A listener on all loopback addresses that stands for a private network and must not be reached."""

    def __init__(self) -> None:
        self._sockets = [self._listening(socket.AF_INET, "0.0.0.0", 0)]
        self.port: int = self._sockets[0].getsockname()[1]
        if socket.has_dualstack_ipv6():
            self._sockets.append(self._listening(socket.AF_INET6, "::", self.port))

    @staticmethod
    def _listening(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
        listener = socket.socket(family)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen()
        listener.setblocking(False)
        return listener

    @property
    def connections(self) -> int:
        """The number of connections since the last call; the system completes them without our help."""
        count = 0
        for listener in self._sockets:
            while True:
                try:
                    listener.accept()[0].close()
                except BlockingIOError:
                    break
                count += 1
        return count

    def close(self) -> None:
        for listener in self._sockets:
            listener.close()


def names(**hosts: list[str]) -> Callable[..., list[tuple[Any, ...]]]:
    """Return a resolver for these names, with '_' for '.'; it leaves addresses to the real one."""

    def resolve(host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        found = hosts.get(host.replace(".", "_"), [host])
        return [entry for one in found for entry in socket.getaddrinfo(one, port, **options)]

    return resolve
