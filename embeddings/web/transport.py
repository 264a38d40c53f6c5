"""Connects to a host only if all its addresses are public, to those very addresses, and within a time."""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from ipaddress import ip_address
from typing import Any

import httpcore

from embeddings.errors import UrlBlocked, UrlUnreachable
from embeddings.web.public_ip import Address, is_public
from embeddings.web.url import WebUrl

log = logging.getLogger(__name__)

Resolver = Callable[..., Iterable[Sequence[Any]]]  # used and answering as socket.getaddrinfo

MAX_TRIED = 4  # addresses of one host


class Deadline:
    """A moment after which nothing is waited for."""

    def __init__(self, seconds: float) -> None:
        """Set it `seconds` from now."""
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left. Raises httpcore.ReadTimeout if there are none."""
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise httpcore.ReadTimeout("no time is left")
        return seconds


class PublicResolver:
    """Looks hosts up and checks what they resolve to.

    `allow_private` is for tests alone: pairs of address and port that are taken although they are private.
    """

    def __init__(self, resolve: Resolver, allow_private: frozenset[tuple[str, int]]) -> None:
        self._resolve = resolve
        self._allow_private = allow_private

    def addresses(self, url: WebUrl, deadline: Deadline) -> list[Address]:
        """Return the addresses of a URL's host, looked up once.

        Raises UrlBlocked if any of them is not public, or if there are none: else one could learn which names a
        private network has. Raises UrlUnreachable if the look-up fails or takes too long.
        """
        try:
            found = [ip_address(str(entry[4][0])) for entry in self._look_up(url, deadline.left())]
        except TimeoutError as error:
            raise UrlUnreachable(field="url", temporary=True) from error
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise UrlUnreachable(field="url", temporary=True) from error
            raise _refused(url, str(error)) from error
        except ValueError as error:  # a name that is none, or an address of a strange family
            raise _refused(url, str(error)) from error
        for address in found:
            if not is_public(address) and (str(address), url.port) not in self._allow_private:
                raise _refused(url, f"{address} is not public")
        if not found:
            raise _refused(url, "no addresses")
        return list(dict.fromkeys(found))

    def _look_up(self, url: WebUrl, seconds: float) -> Iterable[Sequence[Any]]:
        """Return what the resolver says, which takes as long as it likes: it is given up after `seconds`."""
        answer: Future[Iterable[Sequence[Any]]] = Future()

        def work() -> None:
            try:
                answer.set_result(self._resolve(url.host, url.port, type=socket.SOCK_STREAM))
            except BaseException as error:  # not swallowed: raised again for the one who waits
                answer.set_exception(error)

        threading.Thread(target=work, name="look-up", daemon=True).start()
        return answer.result(seconds)


class PinnedBackend(httpcore.NetworkBackend):
    """Connects to given addresses, whatever host it is asked for."""

    def __init__(self, addresses: Sequence[Address], deadline: Deadline, seconds: float) -> None:
        """Take checked addresses, when all must be over, and the seconds that connecting may take, TLS included."""
        self._addresses = addresses[:MAX_TRIED]
        self._deadline = deadline
        self._connecting = Deadline(min(seconds, deadline.left()))

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers; each has its share of the time."""
        failure: Exception = httpcore.ConnectError("no addresses")
        for tried, address in enumerate(self._addresses):
            share = self._connecting.left() / (len(self._addresses) - tried)
            try:
                stream = httpcore.SyncBackend().connect_tcp(str(address), port, share)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream, self._connecting, self._deadline)
        raise failure


class _TimedStream(httpcore.NetworkStream):
    """A connection on which no call outlasts the deadline, however slowly the other side sends."""

    def __init__(self, stream: httpcore.NetworkStream, connecting: Deadline, deadline: Deadline) -> None:
        self._stream = stream
        self._connecting = connecting
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            secured = self._stream.start_tls(ssl_context, server_hostname, self._connecting.left())
        except BaseException:
            self.close()
            raise
        return _TimedStream(secured, self._connecting, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _refused(url: WebUrl, reason: str) -> UrlBlocked:
    """Return the one answer to all refusals; why is for the log."""
    log.info("did not fetch from %r: %s", url.host, reason)
    return UrlBlocked(field="url")
