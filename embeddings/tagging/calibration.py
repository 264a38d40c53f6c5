"""Temperature scaling: makes a model's confidences calibrated probabilities.

Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017): dividing the logits by one number, fitted by maximum
likelihood on labelled photos, keeps the order of the classes and makes the softmax a probability.
"""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np

from embeddings.utils import write_atomically

FILE = "calibration.json"


def temperature(fingerprint: str, data: Path) -> float:
    """Return the temperature fitted for a model: on this machine, else the shipped one, else 1."""
    own = data / FILE
    fitted = json.loads(own.read_text(encoding="utf-8")) if own.is_file() else {}
    shipped = json.loads((files("embeddings") / "data" / FILE).read_text(encoding="utf-8"))
    return float((shipped | fitted).get(fingerprint, 1.0))


def keep_temperature(fingerprint: str, value: float, data: Path) -> None:
    """Write a fitted temperature to the data directory, where it has precedence over the shipped one."""
    own = data / FILE
    fitted = json.loads(own.read_text(encoding="utf-8")) if own.is_file() else {}
    write_atomically(own, json.dumps(fitted | {fingerprint: value}, indent=1).encode())


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities float32 [n, classes] of logits [n, classes]."""
    scaled = logits / temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def fit_temperature(logits: np.ndarray, classes: np.ndarray) -> float:
    """Return the temperature in 0.05..20 with the lowest negative log-likelihood, to about three digits.

    `logits` is [n, classes], `classes` int [n]. The likelihood has one maximum, so a narrowing grid finds it.
    """
    low, high = np.log(0.05), np.log(20.0)
    for _ in range(6):
        grid = np.linspace(low, high, 21)
        losses = [_negative_log_likelihood(logits, classes, float(np.exp(t))) for t in grid]
        best = int(np.argmin(losses))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 20)]
    return round(float(np.exp((low + high) / 2)), 4)


def expected_calibration_error(confidences: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy over equal-width bins, weighted by their size.

    `confidences` is [n] in 0..1, `right` bool [n].
    """
    edges = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    which = np.digitize(confidences, edges, right=True)
    gaps = [
        abs(confidences[which == b].mean() - right[which == b].mean()) * np.mean(which == b)
        for b in range(bins)
        if np.any(which == b)
    ]
    return float(sum(gaps))


def _negative_log_likelihood(logits: np.ndarray, classes: np.ndarray, temperature: float) -> float:
    probabilities = softmax(logits, temperature)[np.arange(len(classes)), classes]
    return float(-np.log(np.maximum(probabilities, 1e-30)).mean())
