"""Fits the temperature that makes a model's confidences true, on photos whose classes are known.

    python -m benchmarks.quality.calibrate FOLDER LABELS.csv [--keep]

LABELS.csv has the columns `file` and `class_index` (0-based, the model's own). Prints top-1, top-5, and the expected
calibration error (15 bins) before, and after by two-fold cross-validation: each half with the temperature of the other.
--keep writes the temperature to LOOKALIKE_DATA/calibration.json, where `lookalike` finds it.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.reporting import arguments, write_results
from embeddings.embedder import BATCH, Embedder
from embeddings.errors import ImageError, LookalikeError
from embeddings.settings import read_settings
from embeddings.tagging.calibration import expected_calibration_error, fit_temperature, keep_temperature, softmax
from indexer.pipeline.lister import chunks


def main() -> None:
    """Fit and report."""
    asked = arguments(__doc__, folder=Path, labels=Path, keep=False)
    settings = read_settings()
    with Embedder(settings) as embedder:
        logits, classes = logits_of(asked.folder, asked.labels, embedder)
        temperature = fit_temperature(logits, classes)
        order = np.argsort(-logits, axis=1)
        if asked.keep:
            keep_temperature(embedder.identity.fingerprint, temperature, settings.data)
        write_results(
            "calibration",
            {
                "model": embedder.identity.name,
                "fingerprint": embedder.identity.fingerprint,
                "engine": embedder.engine.name,
                "photos": len(classes),
                "top1": round(float(np.mean(order[:, 0] == classes)), 4),
                "top5": round(float(np.mean((order[:, :5] == classes[:, None]).any(axis=1))), 4),
                "temperature": temperature,
                "ece_at_temperature_1": round(calibration_error(logits, classes, np.ones(len(classes))), 4),
                "ece_cross_validated": round(cross_validated_error(logits, classes), 4),
            },
        )


def logits_of(folder: Path, labels: Path, embedder: Embedder) -> tuple[np.ndarray, np.ndarray]:
    """Return logits [n, classes] and true classes [n] of the labelled photos."""
    true = true_classes(labels)
    _, logits, kept = embedded([folder / name for name in true], embedder)
    return logits, np.array(list(true.values()))[kept]


def true_classes(labels: Path) -> dict[str, int]:
    """Return the classes in a file of labels, by file name."""
    with labels.open(encoding="utf-8", newline="") as file:
        return {row["file"]: int(row["class_index"]) for row in csv.DictReader(file)}


def embedded(files: Sequence[Path], embedder: Embedder) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Return vectors and logits of the images that can be read, and their places. Raises LookalikeError."""
    vectors, logits, kept = [], [], []
    for places in chunks(range(len(files)), BATCH):
        results = embedder.embed([files[place].read_bytes() for place in places])
        for place, result in zip(places, results, strict=True):
            if isinstance(result, ImageError):
                continue
            if result.logits is None:
                raise LookalikeError(f"{embedder.identity.name} has no classes: there is nothing to measure or fit")
            vectors.append(result.vector)
            logits.append(result.logits)
            kept.append(place)
    return np.stack(vectors), np.stack(logits), kept


def cross_validated_error(logits: np.ndarray, classes: np.ndarray) -> float:
    """Return the calibration error with each half scaled by the temperature fitted on the other half."""
    half = np.random.default_rng(0).permutation(len(classes)) % 2 == 0
    ours, other = (fit_temperature(logits[part], classes[part]) for part in (half, ~half))
    return calibration_error(logits, classes, np.where(half, other, ours))


def calibration_error(logits: np.ndarray, classes: np.ndarray, temperatures: np.ndarray) -> float:
    """Return the expected calibration error with each photo's logits divided by a temperature."""
    probabilities = softmax(logits / temperatures[:, None])
    right = probabilities.argmax(axis=1) == classes
    return expected_calibration_error(probabilities.max(axis=1), right)


if __name__ == "__main__":
    main()
