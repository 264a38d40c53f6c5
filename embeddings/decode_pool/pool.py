"""The pool of decode processes: a bad image fails alone, without harm to the caller or to other images."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from embeddings.decode_pool.process import DecodeProcess
from embeddings.errors import ImageTooLarge, LookalikeError
from embeddings.imaging import decode
from embeddings.imaging.decode import Box, DecodedImage, InputSpec
from embeddings.utils import Closing, processors

T = TypeVar("T")
Picture = (
    bytes | Callable[[], bytes]
)  # the bytes of an image file, or a function that reads them when a process is free
Arguments = Callable[[], tuple[Any, ...]]


@dataclass(frozen=True)
class DecodeLimits:
    """Limits for one image: bytes of the file, pixels, seconds, and bytes of memory on top of the process's own."""

    max_bytes: int
    max_pixels: int
    seconds: float
    memory: int


class DecodePool(Closing):
    """Decodes images in child processes, which are started on demand; safe to use from several threads.

    The queue is unbounded; callers limit how many images they submit. The futures raise ImageError for an image that
    cannot be decoded, LookalikeError where processes cannot start or the pool was closed, and every error of the
    function that reads an image.
    """

    def __init__(self, limits: DecodeLimits, processes: int = 0) -> None:
        """Take the limits and the number of processes (0: one per processor); start nothing."""
        self._limits = limits
        self.processes = processes or processors()
        self._executor = ThreadPoolExecutor(self.processes, thread_name_prefix="decode")
        self._lock = threading.Lock()
        self._decoders: set[DecodeProcess] = set()
        self._idle: list[DecodeProcess] = []
        self._closed = False
        self.seconds = 0.0  # decode time, summed over all processes

    def decode(self, picture: Picture, spec: InputSpec, box: Box | None = None) -> Future[DecodedImage]:
        """Start decoding an image (the part of it in `box`) to the model's input."""
        max_pixels = self._limits.max_pixels
        return self._run(decode.decode, lambda: (self._read(picture), spec), max_pixels=max_pixels, box=box)

    def thumbnail(self, picture: Picture, side: int) -> Future[bytes]:
        """Start making a small upright JPEG of an image, its longer side `side` at maximum."""
        return self._run(decode.thumbnail, lambda: (self._read(picture), side), max_pixels=self._limits.max_pixels)

    def close(self) -> None:
        """End all processes at once and wait for them; images that are not decoded yet fail."""
        with self._lock:
            self._closed = True
            for decoder in self._decoders:
                decoder.kill()
        self._executor.shutdown()
        for decoder in self._decoders:
            decoder.close()
        self._decoders.clear()

    def _run(self, function: Callable[..., T], args: Arguments, **named: Any) -> Future[T]:
        """Start calling an importable function in a child process; `args` is called when the process is free."""
        with self._lock:
            if self._closed:
                raise _stopped()
            return self._executor.submit(self._call, function, args, named)

    def _call(self, function: Callable[..., T], args: Arguments, named: dict[str, Any]) -> T:
        if self._closed:
            raise _stopped()  # the caller has gone, and may have closed the image's file
        values = args()
        decoder = self._take()
        began = time.perf_counter()
        try:
            return decoder.call(function, values, named, self._limits.seconds)
        except LookalikeError:
            if self._closed:  # killed by us, not by the image
                raise _stopped() from None
            raise
        finally:
            self._give_back(decoder, time.perf_counter() - began)

    def _read(self, picture: Picture) -> bytes:
        data = picture() if callable(picture) else picture
        if len(data) > self._limits.max_bytes:
            limit = self._limits.max_bytes
            raise ImageTooLarge(f"The file has {len(data):,} bytes; at most {limit:,} are allowed.")
        return data

    def _take(self) -> DecodeProcess:
        """Return a free process, the one used last if there is one, else a new one."""
        with self._lock:
            if self._closed:
                raise _stopped()
            while self._idle:
                decoder = self._idle.pop()
                if decoder.usable:
                    return decoder
                self._drop(decoder)
            decoder = DecodeProcess(self._limits.memory)
            self._decoders.add(decoder)
            return decoder

    def _give_back(self, decoder: DecodeProcess, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds
            if self._closed:
                return
            if decoder.usable:
                self._idle.append(decoder)
            else:
                self._drop(decoder)

    def _drop(self, decoder: DecodeProcess) -> None:
        self._decoders.discard(decoder)
        decoder.close()


def _stopped() -> LookalikeError:
    return LookalikeError("Decoding was stopped before this image was done.")
