"""Starts one decode process, calls functions in it and kills it when a call takes too long."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from embeddings.decode_pool.shared_memory import ResponseBuffer, make_shared
from embeddings.errors import ImageUndecodable, LookalikeError

T = TypeVar("T")
STARTUP_SECONDS = 60.0
SINGLE_THREAD_ENV = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class DecodeProcess:
    """A child process that runs functions; used by one thread at a time, except `kill`.

    It is started as `python -m embeddings.decode_pool.sandbox`, not by multiprocessing: so it imports nothing of the
    main program, and shares no lock that another process could hold when it dies. Start it in a thread that outlives
    it: on Linux the process dies with that thread.
    """

    def __init__(self, memory: int) -> None:
        """Start the process, without waiting until it is ready. Raises LookalikeError."""
        ours, theirs = socket.socketpair()
        shared = make_shared()
        with theirs:
            numbers = theirs.fileno(), shared, os.getpid(), memory
            try:
                self._process = subprocess.Popen(  # noqa: S603 - no shell, and no part comes from outside
                    [sys.executable, "-P", "-m", "embeddings.decode_pool.sandbox", *map(str, numbers)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=os.environ | SINGLE_THREAD_ENV | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    pass_fds=[theirs.fileno(), shared],
                    process_group=0,  # only the parent handles Ctrl-C
                )
            except OSError as error:
                ours.close()
                os.close(shared)
                raise LookalikeError(f"cannot start a process that decodes images: {error}") from error
        self._connection = Connection(ours.detach())
        self._buffer = ResponseBuffer(shared)
        self._ready = False
        self._spent = False  # it reported so, or was killed, which takes effect a moment later

    @property
    def usable(self) -> bool:
        """True if the process is alive and has not accumulated memory."""
        return not self._spent and self._process.poll() is None

    def call(self, function: Callable[..., T], args: tuple[Any, ...], named: Mapping[str, Any], seconds: float) -> T:
        """Return the result of a function, which the process must be able to import.

        A LookalikeError of the function is raised as it is. Raises ImageUndecodable if the function fails otherwise,
        the process dies or the call takes longer than `seconds`, and LookalikeError if the process does not start.
        """
        self._wait_until_ready()
        try:
            self._connection.send((function, args, named))
            if not self._connection.poll(seconds):
                self.kill()
                raise ImageUndecodable(f"Decoding the file took longer than {seconds:g} seconds.")
            value, error, self._spent = self._buffer.read(self._connection.recv_bytes())
        except (EOFError, OSError) as broken:
            self.kill()
            raise ImageUndecodable("The decoder crashed on this file.") from broken
        if error is not None:
            raise error
        return value

    def kill(self) -> None:
        """End the process at once, even while it is busy."""
        self._spent = True
        self._process.kill()

    def close(self) -> None:
        """End the process and release its connection and memory."""
        self.kill()
        self._process.wait()
        self._connection.close()
        self._buffer.close()

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        with contextlib.suppress(EOFError, OSError):
            if self._connection.poll(STARTUP_SECONDS):
                self._connection.recv_bytes()
                self._ready = True
        if not self._ready:
            self.kill()
            raise LookalikeError(f"the process that decodes images does not start (status {self._process.wait()})")
