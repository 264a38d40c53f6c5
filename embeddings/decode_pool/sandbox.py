"""The inside of a decode process: it limits itself, then runs one function after another for its parent.

Started as `python -m embeddings.decode_pool.sandbox SOCKET SHARED PARENT MEMORY`; it knows nothing but Pillow
and numpy.
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

import embeddings.imaging.decode  # noqa: F401 - loaded before memory is counted and the first image comes
from embeddings.decode_pool.shared_memory import ResponseBuffer
from embeddings.errors import ImageUndecodable, LookalikeError

PR_SET_PDEATHSIG = 1
NICENESS = 10  # the network, which waits for no one else, goes before: its cores do not wait for each other then
STATM = Path("/proc/self/statm")


def serve(connection: Connection, handover: ResponseBuffer, memory: int) -> None:
    """Answer the parent's calls until it hangs up, never taking more than `memory` bytes above what is taken now.

    A call is (function, arguments, named arguments), an answer (value, error, spent): spent says that so much memory
    is still held that another process should take this one's place. An answer before the first call says: ready.
    """
    start = _address_space()
    _limit_address_space(start, memory)
    connection.send_bytes(handover.write((None, None, False)))
    while True:
        try:
            function, args, named = connection.recv()
        except (EOFError, ConnectionError):
            return
        value, error = _outcome(function, args, named, memory)
        del args  # the image's bytes; the trace of an error would keep its pixels too
        if error is not None:
            error.__traceback__ = error.__context__ = error.__cause__ = None
        connection.send_bytes(handover.write((value, error, _address_space() > start + memory // 2)))


def _outcome(
    function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any], memory: int
) -> tuple[Any, LookalikeError | None]:
    """Return the function's result, or an error of ours."""
    try:
        return function(*args, **named), None
    except LookalikeError as error:
        return None, error
    except MemoryError:
        return None, ImageUndecodable(f"The image needs more memory than the {memory:,} bytes that decoding may take.")
    except Exception as error:  # one image must not end the others' process, whatever is wrong with it
        return None, ImageUndecodable(f"The image could not be decoded: {type(error).__name__}: {error}")


def _address_space() -> int:
    """Return the bytes of address space in use; 0 where the system does not say."""
    return int(STATM.read_text().split()[0]) * resource.getpagesize() if STATM.exists() else 0


def _limit_address_space(used: int, memory: int) -> None:
    if used:
        with contextlib.suppress(OSError, ValueError):  # macOS refuses, and a hard limit may be lower already
            resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))


def _die_with(parent: int) -> None:
    """Have this process killed when its parent dies, even while a decoder is busy.

    Elsewhere than on Linux it ends when it next reads from the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before that
            sys.exit()


def _be_quiet() -> None:
    """Drop what C libraries write to the terminal about damaged files."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())


def main() -> None:
    """Set this process up and serve the parent on the socket it gave."""
    socket, shared, parent, memory = map(int, sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _die_with(parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # a process for each processor is enough
    Image.init()
    handover = ResponseBuffer(shared)
    with Connection(socket) as connection:
        _be_quiet()
        serve(connection, handover, memory)


if __name__ == "__main__":
    main()
