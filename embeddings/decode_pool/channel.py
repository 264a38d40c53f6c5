"""The channel between the pool and a decode process: messages in JSON, contents through memory that both have mapped.

Nothing that is received is executed or trusted: a decode process may have been taken over by an image. Contents that
the parent keeps for a while are not copied: new memory costs more than a copy, in a virtual machine several times more.
"""

import contextlib
import fcntl
import json
import mmap
import os
import tempfile
import weakref
from collections.abc import Sequence
from itertools import accumulate
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

Buffer = bytes | memoryview | np.ndarray

SIZE = 4 << 20  # bytes of a slot; contents beyond them go through the socket. Untouched pages cost nothing
SLOTS = 10  # the first has what the parent sends, the second what it copies, the others what it keeps for a while
REQUEST, COPIED = 0, 1
MAX_MESSAGE = 1 << 20
MAX_CONTENT = 1 << 30


class ChannelError(Exception):
    """The other side has sent what is no message, or it is gone."""


def make_shared() -> int:
    """Return a descriptor of memory for both directions, which is freed when the last process closes it."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            file.truncate(SLOTS * SIZE)
            return os.dup(file.fileno())
    descriptor = os.memfd_create("lookalike", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(descriptor, SLOTS * SIZE)
    # if a broken process could shrink it, the parent's next access would kill the parent
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return descriptor


class Channel:
    """One side of the channel; used by one thread at a time."""

    def __init__(self, connection: Connection, shared: int) -> None:
        """Take the socket, and map the memory of `make_shared`, whose descriptor is closed."""
        self._connection = connection
        try:
            self._memory = mmap.mmap(shared, SLOTS * SIZE)
        finally:
            os.close(shared)
        self._free = list(range(COPIED + 1, SLOTS))
        self._claims: dict[int, weakref.ref[np.ndarray]] = {}

    def free_slot(self) -> int:
        """Return a slot whose contents nobody keeps, or COPIED if there is none."""
        return self._free[-1] if self._free else COPIED

    def send(self, message: Any, slot: int, contents: Sequence[Buffer] = ()) -> None:
        """Send a JSON value, and contents (contiguous buffers) in a slot. Raises ChannelError."""
        views = [memoryview(content).cast("B") for content in contents]  # type: ignore[arg-type]
        shared, apart = _divided([len(view) for view in views])
        position = slot * SIZE
        for i in shared:
            self._memory[position : position + len(views[i])] = views[i]
            position += len(views[i])
        try:
            self._connection.send_bytes(json.dumps([message, [len(view) for view in views]]).encode())
            for i in apart:
                self._connection.send_bytes(views[i])
        except OSError as error:
            raise ChannelError(str(error)) from error

    def wait(self, seconds: float) -> bool:
        """Return whether a message comes within some seconds; the end of the other side is one. Raises ChannelError."""
        try:
            return self._connection.poll(seconds)
        except OSError as error:
            raise ChannelError(str(error)) from error

    def receive(self, slot: int) -> tuple[Any, list[np.ndarray]]:
        """Return the next message and its contents in a slot, uint8 [length] each. Raises ChannelError.

        Contents of another slot than REQUEST and COPIED are no copies, and the slot is not free while any of them is
        kept.
        """
        try:
            message, sizes = json.loads(self._connection.recv_bytes(MAX_MESSAGE))
            shared, apart = _divided([_checked(size) for size in sizes])
            whole = np.frombuffer(self._memory, np.uint8, sum(sizes[i] for i in shared), slot * SIZE)
            whole = self._claimed(whole, slot) if slot > COPIED else whole.copy()
            ends = list(accumulate((sizes[i] for i in shared), initial=0))
            contents = {i: whole[ends[n] : ends[n + 1]] for n, i in enumerate(shared)}
            for i in apart:
                contents[i] = np.frombuffer(self._connection.recv_bytes(sizes[i]), np.uint8)
        except (EOFError, OSError, ValueError, TypeError, RecursionError) as error:
            raise ChannelError(str(error)) from error
        return message, [contents[i] for i in range(len(sizes))]

    def close(self) -> None:
        """Close the socket and unmap the memory, once nobody keeps contents of it."""
        with contextlib.suppress(OSError):
            self._connection.close()
        with contextlib.suppress(BufferError):
            self._memory.close()

    def _claimed(self, whole: np.ndarray, slot: int) -> np.ndarray:
        """Take a slot out of the free ones until an array, and all parts of it, are gone."""
        self._free.remove(slot)
        self._claims[slot] = weakref.ref(whole, lambda _: self._free.append(slot))
        return whole


def _divided(sizes: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return which contents go through the memory, and which do not fit; both sides come to the same answer."""
    shared, apart, used = [], [], 0
    for i, size in enumerate(sizes):
        if used + size <= SIZE:
            used += size
            shared.append(i)
        else:
            apart.append(i)
    return shared, apart


def _checked(size: Any) -> int:
    """Return a size that was received. Raises ValueError."""
    if type(size) is not int or not 0 <= size <= MAX_CONTENT:
        raise ValueError("no size of a content")
    return size
