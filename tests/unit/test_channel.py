import contextlib
import json
import mmap
import os
import sys
import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import numpy as np
import pytest

from embeddings.decode_pool.channel import COPIED, MAX_MESSAGE, REQUEST, SIZE, SLOTS, Channel, ChannelError, make_shared

Sides = tuple[Channel, Channel]


def channels(ours: Connection, theirs: Connection) -> Sides:
    descriptor = make_shared()
    return Channel(ours, os.dup(descriptor)), Channel(theirs, descriptor)


@pytest.fixture
def sides() -> Iterator[Sides]:
    parent, child = channels(*Pipe())
    yield parent, child
    parent.close()
    child.close()


def arrived(contents: list[np.ndarray]) -> list[bytes]:
    return [content.tobytes() for content in contents]


def test_messages_and_contents_arrive_in_both_directions(sides: Sides):
    parent, child = sides
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    parent.send({"file": "ünusual"}, REQUEST, [b"one", pixels, b""])
    child.send(["answer"], COPIED, [memoryview(b"two")])
    message, contents = child.receive(REQUEST)
    assert message == {"file": "ünusual"}
    assert arrived(contents) == [b"one", pixels.tobytes(), b""]
    message, contents = parent.receive(COPIED)
    assert (message, arrived(contents)) == (["answer"], [b"two"])


def test_contents_outlive_the_next_ones(sides: Sides):
    parent, child = sides
    child.send(None, COPIED, [b"first"])
    _, first = parent.receive(COPIED)
    child.send(None, COPIED, [b"other"])
    parent.receive(COPIED)
    assert arrived(first) == [b"first"]


def test_contents_that_are_not_copied_keep_their_slot(sides: Sides):
    parent, child = sides
    kept = []
    for number in range(2 * SLOTS):
        slot = parent.free_slot()
        child.send(None, slot, [bytes([number] * 9), bytes([100 + number])])
        _, (first, second) = parent.receive(slot)
        kept.append(second)
        del first
    assert [second.tolist() for second in kept] == [[100 + number] for number in range(2 * SLOTS)]
    assert parent.free_slot() == COPIED
    del second, kept[3]
    assert parent.free_slot() > COPIED
    kept.clear()
    taken = set()
    for _ in range(SLOTS):
        slot = parent.free_slot()
        child.send(None, slot, [b"x"])
        kept.append(parent.receive(slot)[1])
        taken.add(slot)
    assert taken == set(range(COPIED, SLOTS))


def test_contents_outlive_the_channel(sides: Sides):
    parent, child = sides
    slot = parent.free_slot()
    child.send(None, slot, [b"kept"])
    _, contents = parent.receive(slot)
    parent.close()
    child.close()
    assert arrived(contents) == [b"kept"]


def test_contents_beyond_the_memory_go_through_the_socket(sides: Sides):
    parent, child = sides
    sizes = (SIZE - 1, 2, 1)
    parent.send(None, REQUEST, [np.full(size, i, np.uint8) for i, size in enumerate(sizes)])
    _, contents = child.receive(REQUEST)
    assert [(len(content), set(content.tolist())) for content in contents] == [(s, {i}) for i, s in enumerate(sizes)]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x80\x04K\x01.",  # a pickle
        b"{}",
        b"[]",
        b"[null, 3]",
        b"[null, [-1]]",
        b"[null, [true]]",
        b"[null, [1.5]]",
        b"[null, [99999999999999]]",
        b'[null, ["1"]]',
        b"[" * 100_000,
        bytes(MAX_MESSAGE + 1),
    ],
)
def test_what_is_no_message_is_an_error(sent: bytes):
    ours, theirs = Pipe()
    parent, child = channels(ours, theirs)
    sender = threading.Thread(target=_send, args=(theirs, sent))  # a socket does not hold it all
    sender.start()
    with pytest.raises(ChannelError):
        parent.receive(COPIED)
    parent.close()
    sender.join()
    child.close()


def _send(connection: Connection, sent: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.send_bytes(sent)


def test_a_lost_side_is_an_error(sides: Sides):
    parent, child = sides
    child.close()
    assert parent.wait(0)
    with pytest.raises(ChannelError):
        parent.receive(COPIED)
    with pytest.raises(ChannelError):
        parent.send(None, REQUEST)


def test_a_message_says_no_more_than_its_sizes(sides: Sides):
    parent, child = sides
    child._connection.send_bytes(json.dumps([None, [5]]).encode())
    assert arrived(parent.receive(COPIED)[1]) == [bytes(5)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can forbid it")
def test_no_process_can_shrink_the_memory():
    descriptor = make_shared()
    with pytest.raises(PermissionError):
        os.truncate(descriptor, 0)
    os.close(descriptor)


def test_a_descriptor_that_cannot_be_mapped_is_closed():
    reading, writing = os.pipe()
    os.close(writing)
    connection, other = Pipe()
    with pytest.raises((OSError, ValueError, mmap.error)):
        Channel(connection, reading)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)
    connection.close()
    other.close()
