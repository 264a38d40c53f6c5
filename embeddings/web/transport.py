"""Connects to the resolved addresses of a host, only if all of them are public, and before a deadline."""

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

Resolver = Callable[..., Iterable[Sequence[Any]]]  # has the signature of socket.getaddrinfo

MAX_ADDRESSES = 4  # of one host that are tried


class Deadline:
    """A moment at which all waiting ends."""

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
    """Resolves hosts and checks that all their addresses are public.

    `allow_private` is for tests only: pairs of address and port that are allowed although they are private.
    """

    def __init__(self, resolve: Resolver, allow_private: frozenset[tuple[str, int]]) -> None:
        self._resolve = resolve
        self._allow_private = allow_private

    def addresses(self, url: WebUrl, deadline: Deadline) -> list[Address]:
        """Return the addresses of a URL's host, resolved once.

        Raises UrlBlocked if any of them is not public, or if there are none: a different error would reveal which
        names exist in a private network. Raises UrlUnreachable if resolving fails or takes too long.
        """
        try:
            addresses = [ip_address(str(entry[4][0])) for entry in self._resolve_within(url, deadline.left())]
        except TimeoutError as error:
            raise UrlUnreachable(field="url", temporary=True) from error
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise UrlUnreachable(field="url", temporary=True) from error
            raise _refused(url, str(error)) from error
        except ValueError as error:  # not a host name, or an address of another family
            raise _refused(url, str(error)) from error
        for address in addresses:
            if not is_public(address) and (str(address), url.port) not in self._allow_private:
                raise _refused(url, f"{address} is not public")
        if not addresses:
            raise _refused(url, "no addresses")
        return list(dict.fromkeys(addresses))

    def _resolve_within(self, url: WebUrl, seconds: float) -> Iterable[Sequence[Any]]:
        """Return the resolver's answer. Raises TimeoutError after `seconds`; the resolver itself has no time limit."""
        answer: Future[Iterable[Sequence[Any]]] = Future()

        def work() -> None:
            try:
                answer.set_result(self._resolve(url.host, url.port, type=socket.SOCK_STREAM))
            except BaseException as error:  # raised again in the waiting thread
                answer.set_exception(error)

        threading.Thread(target=work, name="look-up", daemon=True).start()
        return answer.result(seconds)


class PinnedBackend(httpcore.NetworkBackend):
    """Connects to given addresses instead of resolving the host of a request."""

    def __init__(self, addresses: Sequence[Address], deadline: Deadline, seconds: float) -> None:
        """Take checked addresses, the deadline of the request, and the maximum seconds to connect, TLS included."""
        self._addresses = addresses[:MAX_ADDRESSES]
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
        """Connect to the first address that answers; each has an equal share of the time."""
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
    """A connection on which no call exceeds the deadline, even if the server sends slowly."""

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
    """Return the same error for all refusals; the reason is only logged."""
    log.info("did not fetch from %r: %s", url.host, reason)
    return UrlBlocked(field="url")
