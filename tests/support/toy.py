"""A toy model whose vectors and labels can be worked out by eye, and pictures for it.

The vector of a picture is its mean colour, made length 1; the probability of the class 'red', 'green' or 'blue' is that
channel's share of the mean: half red and half green gives (0.707, 0.707, 0), red 0.5, green 0.5, blue 0.
"""

import io
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from PIL import Image

from embeddings.decode_pool.pool import Picture
from embeddings.embedder import BATCH, Embedding
from embeddings.errors import ImageError, LookalikeError
from embeddings.imaging.decode import Box, DecodedImage, InputSpec, decode, thumbnail
from embeddings.models.card import ModelClass
from embeddings.models.identity import ModelIdentity
from embeddings.tagging.tagger import Tagger
from embeddings.utils import Closing

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "black": (0, 0, 0),
}
TOY = ModelIdentity("toy", "000000000001", 3)
SPEC = InputSpec(height=8, width=8, crop_pct=1.0, crop_mode="squash", interpolation="bilinear")
MAX_PIXELS = 1_000_000


def _read(picture: Picture) -> bytes:
    return picture() if callable(picture) else picture


class Collected(Future[list[DecodedImage | ImageError]]):
    """The image or the ImageError of each of several futures."""

    def __init__(self, futures: Sequence[Future[DecodedImage]]) -> None:
        super().__init__()
        self._futures = futures

    def result(self, timeout: float | None = None) -> list[DecodedImage | ImageError]:
        return [self._outcome(future) for future in self._futures]

    @staticmethod
    def _outcome(future: Future[DecodedImage]) -> DecodedImage | ImageError:
        try:
            return future.result()
        except ImageError as error:
            return error


class ToyPool:
    """Decodes real bytes with the real code, in one thread, as it wants to be."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1, "toy-decode")

    def decode(self, picture: Picture, spec: InputSpec, box: Box | None = None) -> Future[DecodedImage]:
        return self._threads.submit(lambda: decode(_read(picture), spec, max_pixels=MAX_PIXELS, box=box))

    def thumbnail(self, picture: Picture, side: int) -> Future[bytes]:
        return self._threads.submit(lambda: thumbnail(_read(picture), side, max_pixels=MAX_PIXELS))

    def close(self) -> None:
        self._threads.shutdown()


class ToyEmbedder(Closing):
    """An Embedder without a network; `runs` counts its batches, by their sizes."""

    identity = TOY
    spec = SPEC
    batch = BATCH

    def __init__(self, headless: bool = False, threshold: float = 0.3) -> None:
        self.headless = headless
        self.pool = ToyPool()
        self.runs: list[int] = []
        names = () if headless else ("red", "green", "blue")
        self.tagger = Tagger([ModelClass(f"toy-{name}", name) for name in names], 1.0, threshold)

    @property
    def vocabulary(self) -> frozenset[str]:
        return self.tagger.vocabulary

    def warm_up(self) -> None:
        self.embed([picture("red")])

    def submit(self, picture: Picture, box: Box | None = None) -> Future[DecodedImage]:
        return self.pool.decode(picture, SPEC, box)

    def submit_group(self, files: Sequence[bytes]) -> Future[list[DecodedImage | ImageError]]:
        return Collected([self.submit(file) for file in files])

    def finish(self, decoded: Sequence[DecodedImage]) -> list[Embedding]:
        self.runs.append(len(decoded))
        return [self._embedding(image) for image in decoded]

    def embed(self, images: Sequence[bytes], box: Box | None = None) -> list[Embedding | LookalikeError]:
        return list(self.finish([self.submit(data, box).result() for data in images]))

    def _embedding(self, image: DecodedImage) -> Embedding:
        mean = image.pixels.reshape(-1, 3).mean(axis=0).astype(np.float32) + 1e-6
        logits = None if self.headless else np.log(mean / mean.sum())
        vector = mean / np.linalg.norm(mean)
        return Embedding(vector, logits, image.width, image.height, image.phash, image.taken_at)

    def close(self) -> None:
        self.pool.close()


def picture(left: str, right: str | None = None, size: tuple[int, int] = (64, 64), format: str = "PNG") -> bytes:
    """Return the bytes of a picture in one colour, or with two halves."""
    image = Image.new("RGB", size, COLOURS[left])
    if right is not None:
        image.paste(COLOURS[right], (size[0] // 2, 0, *size))
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()
