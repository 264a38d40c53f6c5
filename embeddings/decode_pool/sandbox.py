"""The program of a decode process: it confines itself, then runs one operation after another for its parent.

Started as `python -m embeddings.decode_pool.sandbox SOCKET SHARED PARENT MEMORY MODULE ...`; the modules have the
operations. It imports only Pillow and numpy.
"""

import contextlib
import ctypes
import importlib
import io
import os
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PIL import AvifImagePlugin, Image

from embeddings.decode_pool.channel import COPIED, REQUEST, Buffer, Channel, ChannelError
from embeddings.decode_pool.confinement import confine
from embeddings.decode_pool.operations import described
from embeddings.errors import ImageUndecodable, LookalikeError
from embeddings.imaging import decode as imaging
from embeddings.imaging.geometry import InputSpec

Operation = Callable[..., tuple[dict[str, Any], Buffer]]

PR_SET_PDEATHSIG = 1
NICENESS = 10  # the network has priority: its cores do not wait for each other then
STATM = Path("/proc/self/statm")
_statm = os.open(STATM, os.O_RDONLY) if STATM.exists() else None  # opened before no file can be
WARM_UP = (("RGB", "JPEG"), ("RGBA", "PNG"), ("P", "GIF"), ("L", "TIFF"), ("RGB", "WEBP"))
ENCODINGS = ["ascii", "cp437", "cp1252", "idna", "latin_1", "punycode", "utf_16", "utf_16_be", "utf_16_le", "utf_32"]
# modules that decoders would import when they first need them
LATE = (
    "_strptime",
    "PIL.ExifTags",
    "PIL.ImageOps",
    "PIL.ImagePalette",
    "PIL.ImageSequence",
    "PIL.TiffTags",
    *(f"encodings.{name}" for name in ENCODINGS),
)


def serve(channel: Channel, memory: int, confined: bool) -> None:
    """Answer the parent's calls until it closes the channel, with `memory` bytes above the present use at maximum.

    A call names an operation, as module:function, and its arguments; its contents are files. An answer has for each
    file the facts or the error, and the content, and tells whether the process still holds so much memory that another
    one should replace it. A message before the first call means: ready.
    """
    start = _address_space()
    channel.send({"confined": confined}, COPIED)
    while True:
        try:
            call, files = channel.receive(REQUEST)
        except ChannelError:
            return
        operation = _imported(call["operation"])
        answers, contents = [], []
        for file in files:
            answer, content = _outcome(operation, file.tobytes(), call["arguments"], memory)
            answers.append(answer)
            contents.append(content)
        del files
        spent = _address_space() > start + memory // 2
        channel.send({"answers": answers, "spent": spent}, call["slot"], contents)
        del contents


def _imported(name: str) -> Operation:
    """Return the operation of that name, module:function; the parent alone names them."""
    module, _, function = name.partition(":")
    found: Operation = getattr(sys.modules[module], function)
    return found


def _outcome(
    operation: Operation, data: bytes, arguments: dict[str, Any], memory: int
) -> tuple[dict[str, Any], Buffer]:
    """Return the operation's facts and content, or the description of its error and no content."""
    try:
        facts, content = operation(data, **arguments)
        return {"facts": facts}, content
    except LookalikeError as error:
        return described(error), b""
    except MemoryError:
        needs = f"The image needs more memory than the {memory:,} bytes that decoding may take."
        return described(ImageUndecodable(needs)), b""
    except Exception as error:  # no image may end the process
        return described(ImageUndecodable(f"The image could not be decoded: {type(error).__name__}: {error}")), b""


def _address_space() -> int:
    """Return the bytes of address space in use; 0 where the system does not tell."""
    return int(os.pread(_statm, 100, 0).split()[0]) * resource.getpagesize() if _statm is not None else 0


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


def _warm_up() -> None:
    """Decode small images, so that all is loaded that decoding needs."""
    for mode, kind in WARM_UP:
        file = io.BytesIO()
        Image.new(mode, (64, 64)).save(file, kind)
        imaging.decode(file.getvalue(), InputSpec(32, 32), max_pixels=64 * 64)
        imaging.thumbnail(file.getvalue(), 32, max_pixels=64 * 64)


def main() -> None:
    """Set this process up and serve the parent on the given socket."""
    socket, shared, parent, memory = map(int, sys.argv[1:5])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    _die_with(parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is a process per processor
    Image.init()
    for module in (*LATE, *sys.argv[5:]):
        importlib.import_module(module)
    _warm_up()
    _silence_stderr()
    channel = Channel(Connection(socket), shared)
    _limit_address_space(_address_space(), memory)
    serve(channel, memory, confine())


if __name__ == "__main__":
    main()
