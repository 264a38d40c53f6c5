"""Embeds images: from bytes to vectors and logits, with the decode pool, the engine and the tagger of one model."""

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
from embeddings.errors import ImageError, LookalikeError
from embeddings.imaging.decode import DecodedImage
from embeddings.imaging.geometry import Box, InputSpec
from embeddings.models.identity import ModelIdentity
from embeddings.models.model import Model
from embeddings.settings import Settings
from embeddings.tagging.base import TagSource
from embeddings.tagging.calibration import temperature
from embeddings.tagging.open_set import open_set_gate
from embeddings.tagging.tag import Tag
from embeddings.tagging.tagger import Tagger
from embeddings.utils import Closing

BATCH = 32


@dataclass(frozen=True)
class Embedding:
    """The output of the model for one image, and facts of the image.

    `vector` is float32 [dimension]; `logits` is float32 [classes], None for a headless model.
    """

    vector: np.ndarray = field(repr=False)
    logits: np.ndarray | None = field(repr=False)
    width: int
    height: int
    phash: int
    taken_at: datetime | None


def tags_of(embeddings: Sequence[Embedding], source: TagSource) -> list[tuple[Tag, ...]]:
    """Return the tags that a source gives to images embedded by one model."""
    tags: list[tuple[Tag, ...]] = []
    for start in range(0, len(embeddings), BATCH):  # larger arrays would be new memory each time
        part = embeddings[start : start + BATCH]
        logits = [embedding.logits for embedding in part if embedding.logits is not None]
        vectors = np.stack([embedding.vector for embedding in part])
        tags.extend(source.tags(vectors, np.stack(logits) if logits else None))
    return tags


class Embedder(Closing):
    """Embeds images with one model; safe to use from several threads.

    The network is loaded when the first image needs it, so that work on images that are embedded already starts fast.
    """

    def __init__(self, settings: Settings) -> None:
        """Take model, engine, limits and threshold from the settings; load nothing yet."""
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
        """The model's input."""
        return self._model.card.spec

    @property
    def headless(self) -> bool:
        """True if the model has no classes, and therefore gives no tags."""
        return not self._model.card.classes

    @cached_property
    def tagger(self) -> Tagger:
        """The source of labels and tags from the model's logits."""
        card = self._model.card
        fingerprint, data = card.identity.fingerprint, self._settings.data
        gate = open_set_gate(fingerprint, data)
        return Tagger(card.classes, temperature(fingerprint, data), self._settings.min_confidence, gate)

    @property
    def vocabulary(self) -> frozenset[str]:
        """Every tag that the model can give."""
        return self.tagger.vocabulary

    @property
    def engine(self) -> Engine:
        """The engine with the network loaded. Raises ModelError if that fails."""
        with self._loading:
            return self._engine

    def warm_up(self) -> None:
        """Start the decode processes and load the network, so that the first images need not wait for them.

        Raises an error that would prevent every image from being embedded.
        """
        file = io.BytesIO()
        Image.new("RGB", (64, 64), (90, 120, 150)).save(file, "PNG")
        for result in self.embed([file.getvalue()] * self.pool.processes):
            if isinstance(result, LookalikeError):
                raise result

    def submit(self, picture: Picture, box: Box | None = None) -> Future[DecodedImage]:
        """Start decoding one image; the future raises ImageError, and every error of the function that reads it."""
        return self.pool.decode(picture, self.spec, box)

    def submit_group(self, files: Sequence[bytes]) -> Future[list[DecodedImage | ImageError]]:
        """Start decoding several images together; the result has an image or an error for each."""
        return self.pool.decode_group(files, self.spec)

    @property
    def batch(self) -> int:
        """The number of images for which the network is fastest. Raises ModelError if it cannot be loaded."""
        return self.engine.batch

    def finish(self, decoded: Sequence[DecodedImage]) -> list[Embedding]:
        """Run the network on decoded images, as one batch."""
        if not decoded:
            return []
        output = self.engine.run([image.pixels for image in decoded])
        logits = [None] * len(decoded) if output.logits is None else output.logits
        return [
            Embedding(vector, scores, image.width, image.height, image.phash, image.taken_at)
            for image, vector, scores in zip(decoded, output.vectors, logits, strict=True)
        ]

    def embed(self, images: Sequence[bytes], box: Box | None = None) -> list[Embedding | LookalikeError]:
        """Return the embedding of each image, or the ImageError that prevented it."""
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
