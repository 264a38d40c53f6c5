"""Bytes of images to vectors and labels: the decode pool, the engine and the tagger in one place."""

import io
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np
from PIL import Image

from embeddings.decode_pool.pool import DecodeLimits, DecodePool, Picture
from embeddings.engines.base import Engine
from embeddings.engines.registry import make_engine
from embeddings.errors import LookalikeError
from embeddings.imaging.decode import Box, DecodedImage, InputSpec
from embeddings.models.identity import ModelIdentity
from embeddings.models.model import Model
from embeddings.settings import Settings
from embeddings.tagging.calibration import temperature
from embeddings.tagging.tag import Tag
from embeddings.tagging.tagger import Label, Tagger
from embeddings.utils import Closing

BATCH = 32


@dataclass(frozen=True)
class Embedding:
    """What a picture is to the model: `vector` float32 [dimension], `probabilities` float32 [classes], its facts."""

    vector: np.ndarray = field(repr=False)
    probabilities: np.ndarray = field(repr=False)
    width: int
    height: int
    phash: int
    taken_at: datetime | None
    tagger: Tagger = field(repr=False)

    def labels(self, limit: int = 5, minimum: float = 0.0) -> tuple[Label, ...]:
        """Return the most probable classes, best first; none for a headless model."""
        return self.tagger.labels(self.probabilities, limit, minimum)

    @cached_property
    def tags(self) -> tuple[Tag, ...]:
        """The names and categories that reach the threshold, best first."""
        return self.tagger.tags(self.probabilities)


class Embedder(Closing):
    """Embeds images with one model; safe to use from several threads.

    The network is loaded when the first image needs it, so that what is already embedded costs no start-up.
    """

    def __init__(self, settings: Settings) -> None:
        """Take model, engine, limits and threshold from the settings; load nothing."""
        self._settings = settings
        self._model = Model(settings.model, settings.data)
        self._loading = threading.Lock()
        self.pool = DecodePool(
            DecodeLimits(settings.max_bytes, settings.max_pixels, settings.decode_timeout, settings.decode_memory),
            settings.decode_processes,
        )

    @property
    def identity(self) -> ModelIdentity:
        """The model's name, fingerprint and dimension. Raises ModelError if there is no such model."""
        return self._model.card.identity

    @property
    def spec(self) -> InputSpec:
        """The pixels that the model takes."""
        return self._model.card.spec

    @property
    def headless(self) -> bool:
        """Whether the model has no classes, and so gives no tags."""
        return not self._model.card.classes

    @property
    def vocabulary(self) -> frozenset[str]:
        """Every tag that the model can give."""
        return self._tagger.vocabulary

    @property
    def engine(self) -> Engine:
        """The engine with the network loaded. Raises ModelError if that fails."""
        with self._loading:
            return self._engine

    def warm_up(self) -> None:
        """Start the decode processes and load the network, so that the first images find them ready.

        Raises what would keep every image from being embedded.
        """
        picture = io.BytesIO()
        Image.new("RGB", (64, 64), (90, 120, 150)).save(picture, "PNG")
        for result in self.embed([picture.getvalue()] * self.pool.processes):
            if isinstance(result, LookalikeError):
                raise result

    def submit(self, picture: Picture, box: Box | None = None) -> Future[DecodedImage]:
        """Start decoding one image; the future raises ImageError, and what the reading of the picture raises."""
        return self.pool.decode(picture, self.spec, box)

    def finish(self, decoded: Sequence[DecodedImage]) -> list[Embedding]:
        """Run the network on decoded images, as one batch."""
        if not decoded:
            return []
        vectors, logits = self.engine.run(np.stack([image.pixels for image in decoded]))
        scores = np.empty((len(decoded), 0), np.float32) if logits is None else self._tagger.probabilities(logits)
        return [
            Embedding(vector, probabilities, image.width, image.height, image.phash, image.taken_at, self._tagger)
            for image, vector, probabilities in zip(decoded, vectors, scores, strict=True)
        ]

    def embed(self, images: Sequence[bytes], box: Box | None = None) -> list[Embedding | LookalikeError]:
        """Return, for each image, its embedding or the ImageError that tells why there is none."""
        futures = [self.submit(data, box) for data in images]
        results: list[Embedding | LookalikeError | None] = [None] * len(images)
        ready: list[tuple[int, DecodedImage]] = []
        for i, future in enumerate(futures):
            try:
                ready.append((i, future.result()))
            except LookalikeError as error:
                results[i] = error
        for start in range(0, len(ready), BATCH):
            part = ready[start : start + BATCH]
            for (i, _), embedding in zip(part, self.finish([image for _, image in part]), strict=True):
                results[i] = embedding
        return [result for result in results if result is not None]

    def close(self) -> None:
        """Stop the decode processes."""
        self.pool.close()

    @cached_property
    def _engine(self) -> Engine:
        return make_engine(self._model, self._settings.engine, self._settings.device, self._settings.precision)

    @cached_property
    def _tagger(self) -> Tagger:
        card = self._model.card
        fitted = temperature(card.identity.fingerprint, self._settings.data)
        return Tagger(card.classes, fitted, self._settings.min_confidence)
