"""How true tags are: on photos with a class, on everyday photos, and on photos that show none of the classes.

    python -m benchmarks.quality.tags FOLDER [--keep]

FOLDER holds `imagenet_labelled/` (images/, labels.csv), `everyday/` (images/, annotations.json, coco2imagenet.json) and
`empty/KIND/...`. Compares the softmax alone ('before') with the open-set gate. All figures of the gate are of images
that it was not fitted on: labelled and everyday photos by five folds, each kind of empty photos by a gate that never
saw the kind (`held_out_kinds`: banded, cracked, ... each for itself) or the whole family (`held_out_families`: no
texture at all). --keep fits the gate on everything and writes it to LOOKALIKE_DATA/open_set.json.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import photos
from benchmarks.quality.calibrate import embedded, true_classes
from benchmarks.quality.open_set import EVERYDAY, FOLDS, LABELLED, Samples, fit_gate
from benchmarks.reporting import arguments, write_results
from embeddings.embedder import Embedder
from embeddings.settings import read_settings
from embeddings.tagging.calibration import expected_calibration_error, softmax, temperature
from embeddings.tagging.open_set import keep_gate
from embeddings.tagging.tagger import Tagger

LABEL, CATEGORY = 0.2, 0.5  # confidences from which a label, and a category, is judged
THRESHOLDS = (0.2, 0.5, 0.8)
SEVERAL = {"textures"}  # families whose folders are kinds that have little in common
UNDECIDED = {"person"}  # ImageNet has ball players and grooms, but no people

Objects = list[frozenset[int]]


def main() -> None:
    """Measure, and keep the gate if asked to."""
    asked = arguments(__doc__, folder=Path, keep=False)
    settings = read_settings()
    with Embedder(settings) as embedder:
        fingerprint = embedder.identity.fingerprint
        heat = temperature(fingerprint, settings.data)
        samples, objects, kinds = read(asked.folder, embedder)
        judge = Judge(samples, objects, embedder.tagger, softmax(samples.logits, heat))
        results = {
            "model": embedder.identity.name,
            "fingerprint": fingerprint,
            "engine": embedder.engine.name,
            "images": {kind: int((samples.kind == kind).sum()) for kind in sorted(set(samples.kind))},
            "before": judge.report(np.ones(len(samples.kind))),
            "held_out_families": judge.report(held_out(samples, samples.kind, heat)),
            "held_out_kinds": judge.report(held_out(samples, kinds, heat), kinds),
        }
        if asked.keep:
            keep_gate(fingerprint, fit_gate(samples, heat), settings.data)
        write_results("tags", results)


def read(folder: Path, embedder: Embedder) -> tuple[Samples, list[Objects], np.ndarray]:
    """Return the images as samples, and for each object of an everyday image the classes that are right for it.

    The samples' kinds of empty images are families (folders of `empty/`); the third value has the finer kinds, where a
    family has several (its own folders), of each image.
    """
    folder = folder.resolve()
    labels = true_classes(folder / "imagenet_labelled" / "labels.csv")
    mapping = json.loads((folder / "everyday" / "coco2imagenet.json").read_text(encoding="utf-8"))["map"]
    of_object = {name: frozenset(index for index, _ in classes) for name, classes in mapping.items()}
    annotations = json.loads((folder / "everyday" / "annotations.json").read_text(encoding="utf-8"))
    objects = {image["file"]: frozenset(thing["name"] for thing in image["objects"]) for image in annotations}
    listed: list[tuple[Path, str, frozenset[int], Objects]] = []
    for file in photos(folder / "imagenet_labelled" / "images"):
        listed.append((file, LABELLED, frozenset({labels[file.name]}), []))
    for file in photos(folder / "everyday" / "images"):
        names = objects[file.name]
        classes = frozenset().union(*(of_object.get(name, frozenset()) for name in names))
        listed.append((file, EVERYDAY, classes, [of_object[n] for n in names & (of_object.keys() - UNDECIDED)]))
    for file in photos(folder / "empty"):
        listed.append((file, file.relative_to(folder / "empty").parts[0], frozenset(), []))
    decidable = frozenset().union(*of_object.values())
    vectors, logits, kept = embedded([file for file, *_ in listed], embedder)
    listed = [listed[i] for i in kept]
    families = np.array([family for _, family, _, _ in listed])
    kinds = np.array([_kind(file, family) for file, family, _, _ in listed])
    samples = Samples(vectors, logits, families, [c for _, _, c, _ in listed], decidable)
    return samples, [o for *_, o in listed], kinds


def _kind(file: Path, family: str) -> str:
    return f"{family}/{file.parent.name}" if family in SEVERAL else family


def held_out(samples: Samples, kinds: np.ndarray, heat: float) -> np.ndarray:
    """Return the gate's probability for each image, by a gate that was not fitted on it or on its kind of `kinds`."""
    best = softmax(samples.logits, heat).max(axis=1)
    gates = np.zeros(len(best))
    fold = np.random.default_rng(0).integers(0, FOLDS, len(best))
    left_out = [~samples.empty & (fold == number) for number in range(FOLDS)]
    left_out += [kinds == kind for kind in sorted(set(kinds[samples.empty]))]
    for unseen in left_out:
        gate = fit_gate(samples.part(np.flatnonzero(~unseen)), heat)
        gates[unseen] = gate.probabilities(samples.vectors[unseen], best[unseen])
    return gates


class Judge:
    """Tells how many labels and categories are right."""

    def __init__(self, samples: Samples, objects: list[Objects], tagger: Tagger, probabilities: np.ndarray) -> None:
        self._samples = samples
        self._objects = objects
        self._probabilities = probabilities
        self._classes = tagger.classes_of  # by the name of a tag
        names = list(self._classes)
        self._members = np.zeros((probabilities.shape[1], len(names)), np.float32)
        for column, name in enumerate(names):
            self._members[list(self._classes[name]), column] = 1
        self._categories = {c: self._classes[name] for c, name in enumerate(names) if len(self._classes[name]) > 1}

    def report(self, gates: np.ndarray, kinds: np.ndarray | None = None) -> dict[str, Any]:
        """Return the figures where each image's confidences are scaled by its gate, [n]; empty images by `kinds`."""
        labels = gates[:, None] * self._probabilities
        tags = gates[:, None] * np.minimum(self._probabilities @ self._members, 1)
        best = labels.max(axis=1)
        right = np.array(
            [c in classes for c, classes in zip(labels.argmax(axis=1), self._samples.classes, strict=True)]
        )
        labelled = self._samples.kind == LABELLED
        mixed = labelled | self._samples.empty
        return {
            "empty": self._empty(tags.max(axis=1), self._samples.kind if kinds is None else kinds),
            "everyday": self._everyday(labels, tags),
            "labelled": {
                "top1": _rounded(right[labelled].mean()),
                "top5": _rounded(np.mean([self._in_first(i, labels[i]) for i in np.flatnonzero(labelled)])),
                "label_kept": _rounded((best[labelled] >= LABEL).mean()),
                "ece": _rounded(expected_calibration_error(best[labelled], right[labelled])),
            },
            "mixed_ece": _rounded(expected_calibration_error(best[mixed], right[mixed])),
        }

    def _in_first(self, i: int, labels: np.ndarray, number: int = 5) -> bool:
        return bool(self._samples.classes[i] & set(np.argsort(-labels)[:number].tolist()))

    def _empty(self, highest: np.ndarray, of_kind: np.ndarray) -> dict[str, Any]:
        """Return the share of empty images with a false tag, by kind and threshold."""
        kinds = sorted(set(of_kind[self._samples.empty]))
        false = {
            str(kind): {str(t): _rounded((highest[of_kind == kind] >= t).mean()) for t in THRESHOLDS} for kind in kinds
        }
        for name, of in (("mean", np.mean), ("worst", np.max)):
            false[name] = {str(t): _rounded(of([false[kind][str(t)] for kind in kinds])) for t in THRESHOLDS}
        return false

    def _everyday(self, labels: np.ndarray, tags: np.ndarray) -> dict[str, float]:
        """Return precision and recall of labels, and precision of categories, as far as the objects tell."""
        label_right: list[bool] = []
        category_right: list[bool] = []
        found: list[bool] = []
        decidable = self._samples.decidable
        for i in np.flatnonzero(self._samples.kind == EVERYDAY):
            shown, given = self._samples.classes[i], set(np.flatnonzero(labels[i] >= LABEL).tolist())
            label_right += [c in shown for c in given & decidable]
            found += [bool(given & classes) for classes in self._objects[i]]
            category_right += [
                bool(classes & shown)
                for column, classes in self._categories.items()
                if tags[i, column] >= CATEGORY and classes & decidable
            ]
        return {
            "label_precision": _rounded(np.mean(label_right)),
            "label_recall": _rounded(np.mean(found)),
            "category_precision": _rounded(np.mean(category_right)),
        }


def _rounded(value: Any) -> float:
    return round(float(value), 3)


if __name__ == "__main__":
    main()
