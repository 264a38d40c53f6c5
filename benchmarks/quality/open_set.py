"""Fitting of the open-set gate (embeddings.tagging.open_set) on labelled images and images without a class.

The row is an L2-regularised logistic regression of 'has no class'. The gate's three numbers maximise the likelihood of
'the best class is right'. They are fitted on scores of rows that did not see the image: five folds, and half of each
kind of empty images by a row that never saw that kind. Otherwise the gate would trust the row about twice too much.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from embeddings.tagging.calibration import softmax
from embeddings.tagging.open_set import OpenSetGate, log_odds, none_features

L2 = 1e-2
FOLDS = 5
LABELLED, EVERYDAY = "labelled", "everyday"
ROW_SHARES = {LABELLED: 0.40, EVERYDAY: 0.30}  # the kinds of empty images share the rest
GATE_SHARES = {LABELLED: 0.45, EVERYDAY: 0.25}
START = (-0.5, 0.4, -1.5)


@dataclass(frozen=True)
class Samples:
    """Images with what they show.

    `vectors` [n, dimension], `logits` [n, classes], `kind` [n] of LABELLED, EVERYDAY or a kind of empty images;
    `classes` has the right classes of each image, none for an empty one; `decidable` are the classes that can be told
    right or wrong on everyday images.
    """

    vectors: np.ndarray
    logits: np.ndarray
    kind: np.ndarray
    classes: Sequence[frozenset[int]]
    decidable: frozenset[int]

    @property
    def empty(self) -> np.ndarray:
        """Which images have no class, bool [n]."""
        return ~np.isin(self.kind, (LABELLED, EVERYDAY))

    @property
    def empty_kinds(self) -> list[str]:
        """The kinds of empty images."""
        return sorted(set(self.kind[self.empty]))

    def part(self, which: np.ndarray) -> "Samples":
        """Return the images at some indices."""
        classes = [self.classes[i] for i in which]
        return Samples(self.vectors[which], self.logits[which], self.kind[which], classes, self.decidable)

    def best(self, temperature: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the best class, its probability, and whether it is right: 1, 0, or nan where that can't be told."""
        probabilities = softmax(self.logits, temperature)
        best = probabilities.argmax(axis=1)
        right = np.array([float(c in classes) for c, classes in zip(best, self.classes, strict=True)])
        unknown = (self.kind == EVERYDAY) & ~np.isin(best, list(self.decidable))
        return best, probabilities.max(axis=1), np.where(unknown, np.nan, right)


def fit_gate(samples: Samples, temperature: float, seed: int = 0) -> OpenSetGate:
    """Return the gate fitted on samples, which hold labelled and empty images at least."""
    row, bias = fit_row(samples)
    scores = _held_out_scores(samples, np.random.default_rng(seed))
    _, best, right = samples.best(temperature)
    told = ~np.isnan(right)
    weights = _weights(samples.kind[told], GATE_SHARES)
    columns = np.stack([scores, log_odds(best), np.ones(len(scores))], axis=1)[told]
    by_row, by_odds, offset = _fit_numbers(columns, best[told], right[told], weights)
    return OpenSetGate(row.astype(np.float32), bias, by_row, by_odds, offset)


def fit_row(samples: Samples) -> tuple[np.ndarray, float]:
    """Return weights [dimension] and bias of 'shows none of the classes'."""
    features = none_features(samples.vectors.astype(np.float64))
    scale = features.std()
    x = torch.from_numpy(features / scale)
    y = torch.from_numpy(samples.empty.astype(np.float64))
    w = torch.from_numpy(_weights(samples.kind, ROW_SHARES))
    parameters = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        scores = x @ parameters[:-1] + parameters[-1]
        errors = torch.nn.functional.binary_cross_entropy_with_logits(scores, y, reduction="none")
        return (w * errors).sum() + 0.5 * L2 * parameters[:-1].square().sum()

    found = _minimised(loss, parameters)
    return found[:-1] / scale, float(found[-1])


def _held_out_scores(samples: Samples, random: np.random.Generator) -> np.ndarray:
    """Return, for each image, the score of a row that did not see it."""
    features = none_features(samples.vectors.astype(np.float64))
    scores = np.zeros(len(features))

    def score(unseen: np.ndarray, left_out: np.ndarray) -> None:
        row, bias = fit_row(samples.part(np.flatnonzero(~left_out)))
        scores[unseen] = features[unseen] @ row + bias

    fold = random.integers(0, FOLDS, len(features))
    for number in range(FOLDS):
        score(fold == number, fold == number)
    if len(samples.empty_kinds) > 1:
        for kind in samples.empty_kinds:
            of_kind = samples.kind == kind
            score(of_kind & (random.random(len(features)) < 0.5), of_kind)
    return scores


def _fit_numbers(
    columns: np.ndarray, best: np.ndarray, right: np.ndarray, weights: np.ndarray
) -> tuple[float, float, float]:
    x, p, y, w = (torch.from_numpy(a.astype(np.float64)) for a in (columns, best, right, weights))
    parameters = torch.tensor(START, dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        confidence = (torch.sigmoid(x @ parameters) * p).clamp(1e-9, 1 - 1e-9)
        return (w * torch.nn.functional.binary_cross_entropy(confidence, y, reduction="none")).sum()

    by_row, by_odds, offset = _minimised(loss, parameters)
    return float(by_row), float(by_odds), float(offset)


def _minimised(loss: Callable[[], torch.Tensor], parameters: torch.Tensor) -> np.ndarray:
    optimizer = torch.optim.LBFGS([parameters], max_iter=1000, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
    return parameters.detach().numpy()


def _weights(kinds: np.ndarray, shares: dict[str, float]) -> np.ndarray:
    """Return weights that give each kind of images its share, and the kinds of empty images equal parts of the rest."""
    present = {str(kind) for kind in kinds}
    empty = present - shares.keys()
    share = {kind: shares[kind] for kind in present & shares.keys()}
    share |= {kind: (1 - sum(shares.values())) / len(empty) for kind in empty}
    counts = {kind: int((kinds == kind).sum()) for kind in present}
    return np.array([share[kind] / counts[kind] for kind in kinds.tolist()])
