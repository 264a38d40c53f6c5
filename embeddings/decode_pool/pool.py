"""The pool of decode processes: a bad image fails alone, without harm to the caller or to other images."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from embeddings.decode_pool.operations import DECODE, THUMBNAIL, decode_arguments, decoded_image
from embeddings.decode_pool.process import Answer, DecodeProcess
from embeddings.errors import ImageError, ImageTooLarge, ImageUndecodable, LookalikeError
from embeddings.imaging.decode import Box, DecodedImage, InputSpec
from embeddings.utils import Closing, processors

T = TypeVar("T")
Picture = (
    bytes | Callable[[], bytes]
)  # the bytes of an image file, or a function that reads them when a process is free


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

    def __init__(self, limits: DecodeLimits, processes: int = 0, modules: Sequence[str] = ()) -> None:
        """Take the limits, the number of processes (0: one per processor) and modules of more operations.

        Nothing is started. The processes import the modules before they are confined.
        """
        self._limits = limits
        self._modules = modules
        self.processes = processes or processors()
        self._executor = ThreadPoolExecutor(self.processes, thread_name_prefix="decode")
        self._lock = threading.Lock()
        self._decoders: set[DecodeProcess] = set()
        self._idle: list[DecodeProcess] = []
        self._closed = False
        self.seconds = 0.0  # decode time, summed over all processes

    def decode(self, picture: Picture, spec: InputSpec, box: Box | None = None) -> Future[DecodedImage]:
        """Start decoding an image (the part of it in `box`) to the model's input."""
        arguments = decode_arguments(spec, box, self._limits.max_pixels)
        return self._submit(lambda: _image(self._one(DECODE, picture, arguments), spec))

    def decode_group(self, files: Sequence[bytes], spec: InputSpec) -> Future[list[DecodedImage | ImageError]]:
        """Start decoding several image files in one process, which costs its parent much less than one by one.

        The result has an image or an error for each file; the pixels lie in memory that is used again once all images
        of the group are gone. A file that ends the process, or takes too long, does no harm
        to the others: they are decoded again, each by itself.
        """
        arguments = decode_arguments(spec, None, self._limits.max_pixels)
        return self._submit(lambda: self._group(files, spec, arguments))

    def thumbnail(self, picture: Picture, side: int) -> Future[bytes]:
        """Start making a small upright JPEG of an image, its longer side `side` at maximum."""
        arguments = {"side": side, "max_pixels": self._limits.max_pixels}
        return self._submit(lambda: self._one(THUMBNAIL, picture, arguments).content.tobytes())

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

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        with self._lock:
            if self._closed:
                raise _stopped()
            return self._executor.submit(self._unless_closed, work)

    def _unless_closed(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise _stopped()  # the caller has gone, and may have closed the image's file
        return work()

    def _group(
        self, files: Sequence[bytes], spec: InputSpec, arguments: Mapping[str, Any]
    ) -> list[DecodedImage | ImageError]:
        try:
            for file in files:
                self._check_size(file)
            return [_image_or_error(answer, spec) for answer in self._call(DECODE, files, arguments, copied=False)]
        except ImageError as error:
            if len(files) == 1:
                return [error]
        return [outcome for file in files for outcome in self._group([file], spec, arguments)]

    def _one(self, operation: str, picture: Picture, arguments: Mapping[str, Any]) -> Answer:
        """Return the answer of an operation (module:function) for one image."""
        (answer,) = self._call(operation, [self._read(picture)], arguments)
        if isinstance(answer, LookalikeError):
            raise answer
        return answer

    def _call(
        self, operation: str, files: Sequence[bytes], arguments: Mapping[str, Any], copied: bool = True
    ) -> list[Answer | LookalikeError]:
        decoder = self._take()
        began = time.perf_counter()
        try:
            return decoder.call(operation, files, arguments, self._limits.seconds, copied)
        except LookalikeError:
            if self._closed:  # killed by us, not by the image
                raise _stopped() from None
            raise
        finally:
            self._give_back(decoder, time.perf_counter() - began)

    def _read(self, picture: Picture) -> bytes:
        data = picture() if callable(picture) else picture
        self._check_size(data)
        return data

    def _check_size(self, data: bytes) -> None:
        if len(data) > self._limits.max_bytes:
            limit = self._limits.max_bytes
            raise ImageTooLarge(f"The file has {len(data):,} bytes; at most {limit:,} are allowed.")

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
            decoder = DecodeProcess(self._limits.memory, self._modules)
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


def _image(answer: Answer, spec: InputSpec) -> DecodedImage:
    try:
        return decoded_image(answer.facts, answer.content, spec)
    except (ValueError, TypeError, LookupError) as error:
        raise ImageUndecodable("The decoder answered with what is no image.") from error


def _image_or_error(answer: Answer | LookalikeError, spec: InputSpec) -> DecodedImage | ImageError:
    if isinstance(answer, ImageError):
        return answer
    if isinstance(answer, LookalikeError):
        raise answer
    try:
        return _image(answer, spec)
    except ImageUndecodable as error:
        return error
