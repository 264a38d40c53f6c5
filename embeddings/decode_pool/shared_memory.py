"""Passes answers of a decode process to its parent; arrays go through memory that both have mapped."""

import fcntl
import mmap
import os
import pickle
import tempfile
from itertools import pairwise
from typing import Any

SIZE = 4 << 20  # holds the pixels of a model's input; larger arrays go in the message. Untouched pages cost nothing


def make_shared() -> int:
    """Return a descriptor of SIZE bytes of memory that is freed when the last process closes it."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            file.truncate(SIZE)
            return os.dup(file.fileno())
    descriptor = os.memfd_create("lookalike", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(descriptor, SIZE)
    # if a broken process could shrink it, the parent's next access would kill the parent
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return descriptor


class ResponseBuffer:
    """One side's mapping of the shared memory; it holds one answer at a time."""

    def __init__(self, descriptor: int) -> None:
        """Map the memory of `make_shared` and close the descriptor."""
        try:
            self._memory = mmap.mmap(descriptor, SIZE)
        finally:
            os.close(descriptor)

    def write(self, answer: Any) -> bytes:
        """Copy the arrays of an answer into the memory and return the message with the rest."""
        ends = [0]

        def keep_in_message(buffer: pickle.PickleBuffer) -> bool:
            with buffer.raw() as content:
                end = ends[-1] + content.nbytes
                if end > SIZE:
                    return True
                self._memory[ends[-1] : end] = content
            ends.append(end)
            return False

        body = pickle.dumps(answer, 5, buffer_callback=keep_in_message)
        return pickle.dumps((ends, body))

    def read(self, message: bytes) -> Any:
        """Return the answer; its arrays are copies."""
        ends, body = pickle.loads(message)  # noqa: S301 - from our own process
        return pickle.loads(body, buffers=[self._memory[a:b] for a, b in pairwise(ends)])  # noqa: S301

    def close(self) -> None:
        """Unmap the memory."""
        self._memory.close()
