"""What the tests have decode processes do: good and bad."""

import ctypes
import io
import os
import sys
from pathlib import Path

from PIL import Image

from embeddings.imaging.open_image import MAX_SIDE

MAX_PIXELS = 180_000_000


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


def announce_and_hang(fifo: Path) -> None:
    """Write the number of this process to a named pipe and never return."""
    fifo.write_text(f"{os.getpid()}\n")
    hang()


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


def modules() -> set[str]:
    """Return the names of the packages that are loaded."""
    return {name.partition(".")[0] for name in sys.modules}


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
