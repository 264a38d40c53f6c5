"""The network as a source of tags: calibrated class probabilities, a threshold, broader categories."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

import numpy as np

from embeddings.models.card import ModelClass
from embeddings.tagging.calibration import softmax
from embeddings.tagging.open_set import OpenSetGate
from embeddings.tagging.tag import Tag

CATEGORIES = "imagenet_categories.csv"


@dataclass(frozen=True)
class Label:
    """One class that an image may show, with its calibrated probability in 0..1; `class_id` is the model's index."""

    name: str
    confidence: float
    class_id: int
    categories: tuple[str, ...]


@dataclass(frozen=True)
class NamedClass:
    """A class with an everyday name."""

    name: str
    categories: tuple[str, ...]


class Tagger:
    """Turns a model's logits into labels (classes) and tags (classes and categories); a TagSource.

    Classes that are also in ImageNet-1k get its names and broader categories, in any label set.
    """

    def __init__(
        self, classes: Sequence[ModelClass], temperature: float, threshold: float, gate: OpenSetGate | None = None
    ) -> None:
        """Take the classes in the order of the logits, the temperature, and the lowest confidence of a tag.

        Without a `gate`, a confidence is the probability that a class is the right one of an image that shows a class.
        """
        imagenet = read_categories()
        self._classes = [imagenet.get(c.key) or NamedClass(c.name, ()) for c in classes]
        self._temperature = temperature
        self._threshold = threshold
        self._gate = gate

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every tag that can be given."""
        return frozenset(self._names)

    @cached_property
    def classes_of(self) -> dict[str, frozenset[int]]:
        """The indices of the classes that count towards each tag."""
        classes, firsts = self._members
        parts = np.split(classes, firsts[1:])
        return {name: frozenset(part.tolist()) for name, part in zip(self._names, parts, strict=True)}

    def labels(
        self, vector: np.ndarray, logits: np.ndarray | None, limit: int = 5, minimum: float = 0.0
    ) -> tuple[Label, ...]:
        """Return the most probable classes of one image, best first; none without logits.

        Takes the vector [dimension] and the logits [classes].
        """
        if logits is None:
            return ()
        (gate,), (probabilities,) = self._gated(vector[None], logits[None])
        confidences = gate * probabilities
        return tuple(
            Label(self._classes[i].name, round(float(confidences[i]), 6), int(i), self._classes[i].categories)
            for i in _largest(confidences, limit)
            if confidences[i] >= minimum
        )

    def tags(self, vectors: np.ndarray, logits: np.ndarray | None) -> list[tuple[Tag, ...]]:
        """Return the names and categories that reach the threshold; see TagSource.

        A category's probability is the sum over its classes: a dog of doubtful breed is still a dog.
        """
        if logits is None:
            return [()] * len(vectors)
        gate, probabilities = self._gated(vectors, logits)
        sums = gate[:, None] * np.minimum(self._sums(probabilities), 1.0)
        images, names = np.nonzero(sums >= self._threshold)
        confidences = sums[images, names]
        tags: list[list[Tag]] = [[] for _ in range(len(vectors))]
        for i in np.lexsort((-confidences, images)):  # stable: equal ones keep their order
            tags[images[i]].append(Tag(self._names[names[i]], round(float(confidences[i]), 4)))
        return [tuple(some) for some in tags]

    def _gated(self, vectors: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the probability that each image shows a class, float32 [n], and those of the classes if it does."""
        probabilities = softmax(logits, self._temperature)
        if self._gate is None:
            return np.ones(len(vectors), np.float32), probabilities
        return self._gate.probabilities(vectors, probabilities.max(axis=1)), probabilities

    def _sums(self, probabilities: np.ndarray) -> np.ndarray:
        """Return for each image the sums over the classes of every name, float64 [n, names]."""
        classes, firsts = self._members
        return np.add.reduceat(np.take(probabilities, classes, axis=1), firsts, axis=1, dtype=np.float64)

    @cached_property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for c in self._classes for name in (c.name, *c.categories)))

    @cached_property
    def _members(self) -> tuple[np.ndarray, np.ndarray]:
        """The classes of every name, one name after the other, and where those of each name begin, as int arrays."""
        classes: dict[str, list[int]] = {name: [] for name in self._names}
        for i, named in enumerate(self._classes):
            for name in {named.name, *named.categories}:
                classes[name].append(i)
        sizes = np.array([len(some) for some in classes.values()], dtype=np.intp)
        return np.array([i for some in classes.values() for i in some], dtype=np.intp), np.cumsum(sizes) - sizes


def read_categories() -> dict[str, NamedClass]:
    """Return name and broader categories of the ImageNet-1k classes by WordNet id."""
    text = (files("embeddings") / "data" / CATEGORIES).read_text(encoding="utf-8")
    return {
        row["wordnet_id"]: NamedClass(row["name"], tuple(row["categories"].split("|")))
        for row in csv.DictReader(text.splitlines())
    }


def _largest(values: np.ndarray, limit: int) -> np.ndarray:
    """Return the indices of the largest values, largest first and equal ones in their order, without a full sort."""
    indices = np.arange(len(values))
    if limit < len(values):
        least = np.partition(values, -limit)[-limit]
        indices = np.flatnonzero(values >= least)
    return indices[np.argsort(-values[indices], kind="stable")][:limit]
