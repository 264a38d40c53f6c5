"""The listener: who gets a connection, and that those who do not are told so."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from api.server.connection import MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS, ConnectionCounter
from api.server.listener import MAX_LINGERING, MAX_REFUSALS_PER_ACCEPT, AdmissionListener


@contextmanager
def opened(counter: ConnectionCounter) -> Iterator[AdmissionListener]:
    with closing(AdmissionListener(socket.create_server(("127.0.0.1", 0), backlog=100), counter)) as listener:
        listener.setblocking(False)
        yield listener


def occupied(address: str, number: int, *proxies: str) -> ConnectionCounter:
    counter = ConnectionCounter(proxies)
    for _ in range(number):
        counter.add(address)
    return counter


@pytest.mark.parametrize(
    ("address", "number", "proxies", "full"),
    [
        ("127.0.0.1", MAX_CONNECTIONS_PER_ADDRESS - 1, (), False),
        ("127.0.0.1", MAX_CONNECTIONS_PER_ADDRESS, (), True),
        ("192.0.2.1", MAX_CONNECTIONS_PER_ADDRESS, (), False),
        ("127.0.0.1", MAX_CONNECTIONS_PER_ADDRESS, ("127.0.0.0/8",), False),
        ("192.0.2.1", MAX_CONNECTIONS, ("192.0.2.1",), True),
    ],
)
def test_connections_are_limited_for_each_address_and_in_all(
    address: str, number: int, proxies: tuple[str, ...], full: bool
) -> None:
    counter = occupied(address, number, *proxies)
    assert counter.full("127.0.0.1") is full
    counter.remove(address)
    assert not counter.full("127.0.0.1")


def test_a_connection_too_many_is_answered_whatever_it_sends() -> None:
    async def scene() -> bytes:
        with opened(occupied("127.0.0.1", MAX_CONNECTIONS_PER_ADDRESS)) as listener:
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 100_000)
            with pytest.raises(BlockingIOError):
                listener.accept()
            answer = await reader.read()
            writer.close()
            return answer

    head, _, body = asyncio.run(scene()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"connection: close" in head.lower()
    assert json.loads(body)["code"] == "busy"


def test_refused_connections_are_closed_soon_and_never_more_than_some_are_open() -> None:
    async def scene() -> None:
        with opened(occupied("127.0.0.1", MAX_CONNECTIONS_PER_ADDRESS)) as listener:
            for _ in range(MAX_LINGERING + 10):
                with socket.create_connection(listener.getsockname()), pytest.raises(BlockingIOError):
                    listener.accept()
            assert len(listener._lingering) == MAX_LINGERING
            async with asyncio.timeout(10):
                while listener._lingering:
                    await asyncio.sleep(0.1)

    asyncio.run(scene())


def test_others_come_in_behind_those_who_do_not() -> None:
    async def scene() -> None:
        with opened(occupied("127.0.0.2", MAX_CONNECTIONS_PER_ADDRESS)) as listener:
            place = listener.getsockname()
            crowd = [
                socket.create_connection(place, source_address=("127.0.0.2", 0))
                for _ in range(MAX_REFUSALS_PER_ACCEPT - 1)
            ]
            with socket.create_connection(place) as guest:
                connection, address = listener.accept()
                assert address == guest.getsockname()
                connection.close()
            for one in crowd:
                one.close()

    asyncio.run(scene())


def test_who_came_in_counts_at_once() -> None:
    async def scene() -> None:
        with (
            opened(occupied("127.0.0.1", MAX_CONNECTIONS_PER_ADDRESS - 1)) as listener,
            socket.create_connection(listener.getsockname()),
            socket.create_connection(listener.getsockname()),
        ):
            listener.accept()[0].close()
            with pytest.raises(BlockingIOError):
                listener.accept()

    asyncio.run(scene())
