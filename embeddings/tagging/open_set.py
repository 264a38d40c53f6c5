"""Open-set gate: the probability that an image shows one of the network's classes at all.

A softmax always names a class, also for a wall or a page of text. One more row, fitted on images with and without a
class, tells the two apart: `u = w . sqrt(max(v, 0)) + b` of the unit vector v. The gate is the logistic function of u
and of the log odds of the most probable class. It scales all confidences of an image alike, so their order stays.
`python -m benchmarks.quality.tags` measures it, and fits it with `--keep`.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.utils import write_atomically

FILE = "open_set.json"
_CERTAIN = 1e-6  # the odds of a probability of 1 stay finite


@dataclass(frozen=True, eq=False)
class OpenSetGate:
    """The fitted gate of one model.

    `row` is float32 [dimension] and `bias` its offset: together they score 'shows none of the classes'. The gate is the
    logistic function of `by_row` * that score + `by_odds` * log odds of the best class + `offset`.
    """

    row: np.ndarray
    bias: float
    by_row: float
    by_odds: float
    offset: float

    def probabilities(self, vectors: np.ndarray, best: np.ndarray) -> np.ndarray:
        """Return the probability, float32 [n], that an image shows one of the classes.

        Takes unit vectors float32 [n, dimension] and the calibrated probability of the best class, float32 [n] in 0..1.
        """
        score = none_features(vectors) @ self.row + self.bias
        exponent = self.by_row * score + self.by_odds * log_odds(best) + self.offset
        gates: np.ndarray = (1.0 / (1.0 + np.exp(-exponent))).astype(np.float32)
        return gates


def none_features(vectors: np.ndarray) -> np.ndarray:
    """Return the features of the row: square roots of the positive parts, [n, dimension]."""
    roots: np.ndarray = np.sqrt(np.maximum(vectors, 0.0))
    return roots


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Return log(p / (1 - p)), finite at both ends."""
    odds = np.maximum(probabilities, _CERTAIN) / np.maximum(1.0 - probabilities, _CERTAIN)
    logarithms: np.ndarray = np.log(odds)
    return logarithms


def open_set_gate(fingerprint: str, data: Path) -> OpenSetGate | None:
    """Return the gate fitted for a model: on this machine, else the shipped one, else None."""
    shipped = json.loads((files("embeddings") / "data" / FILE).read_text(encoding="utf-8"))
    fitted = (shipped | _own(data)).get(fingerprint)
    return None if fitted is None else OpenSetGate(**fitted | {"row": np.array(fitted["row"], np.float32)})


def keep_gate(fingerprint: str, gate: OpenSetGate, data: Path) -> None:
    """Write a fitted gate to the data directory, where it has precedence over the shipped one."""
    numbers = {name: round(float(getattr(gate, name)), 6) for name in ("bias", "by_row", "by_odds", "offset")}
    values = {"row": [round(float(weight), 4) for weight in gate.row], **numbers}
    write_atomically(data / FILE, json.dumps(_own(data) | {fingerprint: values}).encode())


def _own(data: Path) -> dict[str, Any]:
    file = data / FILE
    own: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return own
