"""Fits the temperature that makes a model's confidences true, on photos whose classes are known.

    python -m benchmarks.calibrate FOLDER LABELS.csv [--keep]

LABELS.csv has the columns `file` and `class_index` (0-based, the model's own). Prints top-1, top-5, and the expected
calibration error (15 bins) before, and after by two-fold cross-validation: each half with the temperature of the other.
--keep writes the temperature to LOOKALIKE_DATA/calibration.json, where `lookalike` finds it.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from benchmarks.common import write_results
from embeddings.embedder import Embedder
from embeddings.errors import LookalikeError
from embeddings.settings import read_settings
from embeddings.tagging.calibration import expected_calibration_error, fit_temperature, keep_temperature, softmax
from indexer.pipeline.lister import chunks


def main() -> None:
    """Fit and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    settings = read_settings()
    with Embedder(settings) as embedder:
        logits, classes = logits_of(arguments.folder, arguments.labels, embedder)
        temperature = fit_temperature(logits, classes)
        order = np.argsort(-logits, axis=1)
        if arguments.keep:
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
                "ece_at_temperature_1": round(_error(logits, classes, np.ones(len(classes))), 4),
                "ece_cross_validated": round(cross_validated_error(logits, classes), 4),
            },
        )


def logits_of(folder: Path, labels: Path, embedder: Embedder) -> tuple[np.ndarray, np.ndarray]:
    """Return logits [n, classes] and true classes [n] of the labelled photos."""
    with labels.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    parts = []
    for chunk in chunks(rows, 32):
        decoded = [embedder.submit((folder / row["file"]).read_bytes()).result() for row in chunk]
        logits = embedder.engine.run(np.stack([image.pixels for image in decoded])).logits
        if logits is None:
            raise LookalikeError(f"{embedder.identity.name} has no classes: there is nothing to calibrate")
        parts.append(logits)
    return np.concatenate(parts), np.array([int(row["class_index"]) for row in rows])


def cross_validated_error(logits: np.ndarray, classes: np.ndarray) -> float:
    """Return the calibration error with each half scaled by the temperature fitted on the other half."""
    half = np.random.default_rng(0).permutation(len(classes)) % 2 == 0
    temperatures = np.where(
        half, fit_temperature(logits[~half], classes[~half]), fit_temperature(logits[half], classes[half])
    )
    return _error(logits, classes, temperatures)


def _error(logits: np.ndarray, classes: np.ndarray, temperatures: np.ndarray) -> float:
    probabilities = softmax(logits / temperatures[:, None])
    right = probabilities.argmax(axis=1) == classes
    return expected_calibration_error(probabilities.max(axis=1), right)


if __name__ == "__main__":
    main()
