"""Starts one decode process, calls operations in it and kills it when a call takes too long."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from embeddings.decode_pool.channel import COPIED, REQUEST, Buffer, Channel, ChannelError, make_shared
from embeddings.decode_pool.operations import Facts, told
from embeddings.errors import ImageUndecodable, LookalikeError

STARTUP_SECONDS = 60.0
INHERITED = (
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE",
    "LC_ALL",
    "LC_CTYPE",
    "LANG",
)
SINGLE_THREAD_ENV = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


@dataclass(frozen=True)
class Answer:
    """The answer of an operation: facts, which nobody has checked, and a content, uint8 [length]."""

    facts: Facts
    content: np.ndarray


class DecodeProcess:
    """A child process that runs operations; used by one thread at a time, except `kill`.

    It is started as `python -m embeddings.decode_pool.sandbox`, not by multiprocessing: so it imports nothing of the
    main program, and shares no lock that another process could hold when it dies. Start it in a thread that outlives
    it: on Linux the process dies with that thread.
    """

    def __init__(self, memory: int, modules: Sequence[str] = ()) -> None:
        """Start the process with the operations of `modules`, without waiting until it is ready.

        Raises LookalikeError.
        """
        ours, theirs = socket.socketpair()
        shared = make_shared()
        with theirs:
            numbers = theirs.fileno(), shared, os.getpid(), memory
            try:
                self._process = subprocess.Popen(  # noqa: S603 - no shell, and no part comes from outside
                    [sys.executable, "-P", "-m", "embeddings.decode_pool.sandbox", *map(str, numbers), *modules],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env=_environment(),
                    pass_fds=[theirs.fileno(), shared],
                    process_group=0,  # only the parent handles Ctrl-C
                )
            except OSError as error:
                ours.close()
                os.close(shared)
                raise LookalikeError(f"cannot start a process that decodes images: {error}") from error
        self._channel = Channel(Connection(ours.detach()), shared)
        self.confined = False  # known once it is ready
        self._ready = False
        self._spent = False  # it reported so, or was killed, which takes effect a moment later

    @property
    def usable(self) -> bool:
        """True if the process is alive and has not accumulated memory."""
        return not self._spent and self._process.poll() is None

    def call(
        self,
        operation: str,
        files: Sequence[Buffer],
        arguments: Mapping[str, Any],
        seconds: float,
        copied: bool = True,
    ) -> list[Answer | LookalikeError]:
        """Return the answer of an operation (module:function) for each file, or the error that it gave for the file.

        Unless `copied`, contents may lie in memory that is shared with the process: do not keep them for long.

        Raises ImageUndecodable if the process dies or all files together take longer than `seconds`, and LookalikeError
        if the process does not start.
        """
        self._wait_until_ready()
        try:
            slot = COPIED if copied else self._channel.free_slot()
            self._channel.send({"operation": operation, "arguments": arguments, "slot": slot}, REQUEST, files)
            if not self._channel.wait(seconds):
                self.kill()
                raise ImageUndecodable(f"Decoding the file took longer than {seconds:g} seconds.")
            message, contents = self._channel.receive(slot)
            answers = [_answer(answer, content) for answer, content in zip(message["answers"], contents, strict=True)]
            self._spent = bool(message["spent"])
        except (ChannelError, ValueError, TypeError, LookupError) as broken:
            self.kill()
            raise ImageUndecodable("The decoder crashed on this file.") from broken
        return answers

    def kill(self) -> None:
        """End the process at once, even while it is busy."""
        self._spent = True
        self._process.kill()

    def close(self) -> None:
        """End the process and release its connection and memory."""
        self.kill()
        self._process.wait()
        self._channel.close()

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        with contextlib.suppress(ChannelError):
            if self._channel.wait(STARTUP_SECONDS):
                message, _ = self._channel.receive(COPIED)
                self._ready = True
                self.confined = bool(message["confined"])
        if not self._ready:
            self.kill()
            raise LookalikeError(f"the process that decodes images does not start (status {self._process.wait()})")


def _answer(answer: Mapping[str, Any], content: np.ndarray) -> Answer | LookalikeError:
    return told(answer) if "error" in answer else Answer(dict(answer["facts"]), content)


def _environment() -> dict[str, str]:
    """Return the environment of a decode process: no secret of ours."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return kept | SINGLE_THREAD_ENV | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
