"""The door: who gets a connection, and that those who do not are told so."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from api.server.connection import MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS, ConnectionCounter
from api.server.listener import LINGERING, REFUSED_AT_ONCE, AdmissionListener


@contextmanager
def opened(peers: ConnectionCounter) -> Iterator[AdmissionListener]:
    with closing(AdmissionListener(socket.create_server(("127.0.0.1", 0), backlog=100), peers)) as door:
        door.setblocking(False)
        yield door


def occupied(address: str, number: int, *proxies: str) -> ConnectionCounter:
    peers = ConnectionCounter(proxies)
    for _ in range(number):
        peers.come(address)
    return peers


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
def test_who_is_let_in(address: str, number: int, proxies: tuple[str, ...], full: bool) -> None:
    peers = occupied(address, number, *proxies)
    assert peers.full("127.0.0.1") is full
    peers.go(address)
    assert not peers.full("127.0.0.1")


def test_a_connection_too_many_is_answered_whatever_it_sends() -> None:
    async def scene() -> bytes:
        with opened(occupied("127.0.0.1", MAX_CONNECTIONS_PER_ADDRESS)) as door:
            reader, writer = await asyncio.open_connection(*door.getsockname())
            writer.write(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 100_000)
            with pytest.raises(BlockingIOError):
                door.accept()
            answer = await reader.read()
            writer.close()
            return answer

    head, _, body = asyncio.run(scene()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"connection: close" in head.lower()
    assert json.loads(body)["code"] == "busy"


def test_refused_connections_are_closed_soon_and_never_more_than_some_are_open() -> None:
    async def scene() -> None:
        with opened(occupied("127.0.0.1", MAX_CONNECTIONS_PER_ADDRESS)) as door:
            for _ in range(LINGERING + 10):
                with socket.create_connection(door.getsockname()), pytest.raises(BlockingIOError):
                    door.accept()
            assert len(door._lingering) == LINGERING
            async with asyncio.timeout(10):
                while door._lingering:
                    await asyncio.sleep(0.1)

    asyncio.run(scene())


def test_others_come_in_behind_those_who_do_not() -> None:
    async def scene() -> None:
        with opened(occupied("127.0.0.2", MAX_CONNECTIONS_PER_ADDRESS)) as door:
            place = door.getsockname()
            crowd = [
                socket.create_connection(place, source_address=("127.0.0.2", 0)) for _ in range(REFUSED_AT_ONCE - 1)
            ]
            with socket.create_connection(place) as guest:
                connection, address = door.accept()
                assert address == guest.getsockname()
                connection.close()
            for one in crowd:
                one.close()

    asyncio.run(scene())


def test_who_came_in_counts_at_once() -> None:
    async def scene() -> None:
        with (
            opened(occupied("127.0.0.1", MAX_CONNECTIONS_PER_ADDRESS - 1)) as door,
            socket.create_connection(door.getsockname()),
            socket.create_connection(door.getsockname()),
        ):
            door.accept()[0].close()
            with pytest.raises(BlockingIOError):
                door.accept()

    asyncio.run(scene())
