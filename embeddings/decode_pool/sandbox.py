"""The program of a decode process: it limits itself, then runs one function after another for its parent.

Started as `python -m embeddings.decode_pool.sandbox SOCKET SHARED PARENT MEMORY`. It imports only Pillow and numpy.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PIL import AvifImagePlugin, Image

import embeddings.imaging.decode  # noqa: F401 - loaded before memory is measured and the first image comes
from embeddings.decode_pool.shared_memory import ResponseBuffer
from embeddings.errors import ImageUndecodable, LookalikeError

PR_SET_PDEATHSIG = 1
NICENESS = 10  # the network has priority: its cores do not wait for each other then
STATM = Path("/proc/self/statm")


def serve(connection: Connection, buffer: ResponseBuffer, memory: int) -> None:
    """Answer the parent's calls until it closes the connection, with `memory` bytes above the present use at maximum.

    A call is (function, arguments, named arguments), an answer (value, error, spent). `spent` tells that the process
    still holds so much memory that another one should replace it. An answer before the first call means: ready.
    """
    start = _address_space()
    _limit_address_space(start, memory)
    connection.send_bytes(buffer.write((None, None, False)))
    while True:
        try:
            function, args, named = connection.recv()
        except (EOFError, ConnectionError):
            return
        value, error = _outcome(function, args, named, memory)
        del args  # frees the image's bytes; the traceback of an error would keep its pixels too
        if error is not None:
            error.__traceback__ = error.__context__ = error.__cause__ = None
        connection.send_bytes(buffer.write((value, error, _address_space() > start + memory // 2)))


def _outcome(
    function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any], memory: int
) -> tuple[Any, LookalikeError | None]:
    """Return the function's result, or its error as a LookalikeError."""
    try:
        return function(*args, **named), None
    except LookalikeError as error:
        return None, error
    except MemoryError:
        return None, ImageUndecodable(f"The image needs more memory than the {memory:,} bytes that decoding may take.")
    except Exception as error:  # no image may end the process
        return None, ImageUndecodable(f"The image could not be decoded: {type(error).__name__}: {error}")


def _address_space() -> int:
    """Return the bytes of address space in use; 0 where the system does not tell."""
    return int(STATM.read_text().split()[0]) * resource.getpagesize() if STATM.exists() else 0


def _limit_address_space(used: int, memory: int) -> None:
    if used:
        with contextlib.suppress(OSError, ValueError):  # macOS refuses, and the hard limit may be lower
            resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))


def _die_with(parent: int) -> None:
    """Have this process killed when its parent dies, even while it decodes.

    On other systems than Linux it ends when it next reads from the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before that
            sys.exit()


def _silence_stderr() -> None:
    """Discard messages that C libraries write to the terminal about damaged files."""
    with Path(os.devnull).open("w") as null:
        os.dup2(null.fileno(), sys.stderr.fileno())


def main() -> None:
    """Set this process up and serve the parent on the given socket."""
    socket, shared, parent, memory = map(int, sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    _die_with(parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is a process per processor
    Image.init()
    buffer = ResponseBuffer(shared)
    with Connection(socket) as connection:
        _silence_stderr()
        serve(connection, buffer, memory)


if __name__ == "__main__":
    main()
