"""Operations that the tests have decode processes run: good and bad."""

import ctypes
import io
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from embeddings.imaging.open_image import MAX_SIDE

if TYPE_CHECKING:
    from embeddings.decode_pool.pool import DecodeLimits, DecodePool

MAX_PIXELS = 180_000_000


def perform(data: bytes, name: str, arguments: list[Any]) -> tuple[dict[str, Any], bytes]:
    """Call a function of this module, as an operation of embeddings.decode_pool.operations."""
    function = globals()[name]
    return {"value": function(data, *arguments) if name == "opens_soundly" else function(*arguments)}, b""


def pool(limits: "DecodeLimits", processes: int = 0) -> "DecodePool":
    """Return a pool whose processes know the functions of this module."""
    from embeddings.decode_pool.pool import DecodePool  # a decode process does not need it

    return DecodePool(limits, processes, [__name__])


def run(pool: "DecodePool", function: Callable[..., object], *arguments: object, data: bytes = b"") -> Future[Any]:
    """Have a process of the pool call a function of this module."""
    asked = {"name": function.__name__, "arguments": list(arguments)}
    operation = f"{__name__}:{perform.__name__}"
    return pool._submit(lambda: pool._one(operation, data, asked).facts["value"])


def pid() -> int:
    """Return the number of this process."""
    return os.getpid()


def group() -> int:
    """Return the group of this process."""
    return os.getpgrp()


def crash() -> None:
    """Do what a memory error in a decoder does."""
    ctypes.string_at(0)


def leave() -> None:
    """End the process without a word."""
    os._exit(0)


def hang() -> None:
    """Never return."""
    while True:
        pass


def open_file() -> None:
    """Read a file."""
    Path(__file__).read_bytes()


def open_socket() -> None:
    """Make a socket."""
    socket.socket().close()


def start_process() -> None:
    """Start another program."""
    os.posix_spawn("/bin/true", ["true"], {})


def fork() -> None:
    """Start another process."""
    if os.fork() == 0:
        os._exit(0)


def start_thread() -> None:
    """Start a thread and wait for it."""
    thread = threading.Thread(target=time.sleep, args=(0,))
    thread.start()
    thread.join()


def kill_parent() -> None:
    """Send a signal to the process that started this one."""
    os.kill(os.getppid(), 0)


def environment() -> list[str]:
    """Return the names of the environment's variables."""
    return sorted(os.environ)


def take(size: int) -> int:
    """Take memory, and give it back."""
    return len(bytearray(size))


def keep(size: int) -> None:
    """Take memory for good."""
    sys.modules[f"kept {size}"] = bytearray(size)  # type: ignore[assignment]


def fail() -> None:
    """Raise what no decoder should."""
    raise ZeroDivisionError("by nothing")


def complain() -> None:
    """Write to the terminal as C libraries do."""
    os.write(2, b"libtiff: this file is odd\n")
    os.write(1, b"{}")


def modules() -> list[str]:
    """Return the names of the packages that are loaded."""
    return sorted({name.partition(".")[0] for name in sys.modules})


def opens_soundly(data: bytes) -> bool:
    """Return whether Pillow, with all of its formats, decodes a file that is within our limits."""
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
                return False
            image.load()
    except Exception:  # whatever it is, the file is not sound
        return False
    return True
