"""Class scores into tags: calibrated confidence, a threshold, broader categories."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

import numpy as np

from embeddings.models.card import ModelClass
from embeddings.tagging.calibration import softmax
from embeddings.tagging.tag import Tag

CATEGORIES = "imagenet_categories.csv"


@dataclass(frozen=True)
class Label:
    """One class that a picture may show, with its calibrated probability in 0..1; `class_id` is the model's index."""

    name: str
    confidence: float
    class_id: int
    categories: tuple[str, ...]


@dataclass(frozen=True)
class NamedClass:
    """A class as people know it."""

    name: str
    categories: tuple[str, ...]


class Tagger:
    """Names what a model's logits say.

    Classes that ImageNet-1k has too get its names and broader categories, whatever label set they come in.
    """

    def __init__(self, classes: Sequence[ModelClass], temperature: float, threshold: float) -> None:
        """Take the classes in the order of the logits, the temperature, and the confidence from which a tag is kept."""
        known = read_categories()
        self._classes = [known.get(c.key) or NamedClass(c.name, ()) for c in classes]
        self._temperature = temperature
        self._threshold = threshold

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every tag that can be given."""
        return frozenset(self._names)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities float32 [n, classes] of logits [n, classes]."""
        return softmax(logits, self._temperature)

    def labels(self, probabilities: np.ndarray, limit: int = 5, minimum: float = 0.0) -> tuple[Label, ...]:
        """Return the most probable classes of one picture (probabilities [classes]), best first."""
        best = _best(probabilities, limit)
        return tuple(
            Label(self._classes[i].name, round(float(probabilities[i]), 6), int(i), self._classes[i].categories)
            for i in best
            if probabilities[i] >= minimum
        )

    def tags(self, probabilities: np.ndarray) -> tuple[Tag, ...]:
        """Return the names and categories of one picture that reach the threshold, best first.

        A category's probability is the sum over its classes: a dog of doubtful breed is still a dog.
        """
        if not len(probabilities):
            return ()
        sums = np.minimum(np.bincount(self._members[1], probabilities[self._members[0]], len(self._names)), 1.0)
        reached = np.flatnonzero(sums >= self._threshold)
        kept = reached[np.argsort(-sums[reached], kind="stable")]
        return tuple(Tag(self._names[i], round(float(sums[i]), 4)) for i in kept)

    @cached_property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for c in self._classes for name in (c.name, *c.categories)))

    @cached_property
    def _members(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (class, name) of what each class counts towards, as two int arrays."""
        place = {name: i for i, name in enumerate(self._names)}
        pairs = [(i, place[n]) for i, c in enumerate(self._classes) for n in {c.name, *c.categories}]
        classes, names = zip(*pairs, strict=True) if pairs else ((), ())
        return np.array(classes, dtype=np.intp), np.array(names, dtype=np.intp)


def read_categories() -> dict[str, NamedClass]:
    """Return name and broader categories of the ImageNet-1k classes by WordNet id."""
    text = (files("embeddings") / "data" / CATEGORIES).read_text(encoding="utf-8")
    return {
        row["wordnet_id"]: NamedClass(row["name"], tuple(row["categories"].split("|")))
        for row in csv.DictReader(text.splitlines())
    }


def _best(probabilities: np.ndarray, limit: int) -> np.ndarray:
    """Return the places of the largest ones, best first and equal ones in their order; all are not worth sorting."""
    places = np.arange(len(probabilities))
    if limit < len(probabilities):
        least = np.partition(probabilities, -limit)[-limit]
        places = np.flatnonzero(probabilities >= least)
    return places[np.argsort(-probabilities[places], kind="stable")][:limit]
