"""Retrieval quality on any folder of class folders: recall@1, precision@10 and mAP, each photo asking for its class.

    python -m benchmarks.quality.retrieval FOLDER

A photo's class is the folder it lies in. Recall@1 and precision@10 are what searches of the store give; mAP (mean over
photos of the mean precision at the rank of each photo of the class) is computed from the stored vectors, exactly.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.common import fresh
from benchmarks.reporting import arguments, write_results
from benchmarks.rows import LIMIT, all_rows, class_of, vectors_of
from indexer.pipeline.lister import chunks
from indexer.sources.folder import Folder
from store.base import Collection
from store.records import Row

QUERIES_A_CALL = 64


def main() -> None:
    """Index the folder into a fresh collection and measure."""
    asked = arguments(__doc__, folder=Path)
    with fresh() as bench:
        collection, progress = bench.index(Folder(asked.folder), "quality")
        rows = all_rows(collection)
        write_results(
            "quality",
            {
                **bench.facts(asked.folder),
                "images": len(rows),
                "failed": progress.failed,
                "classes": len({class_of(row) for row in rows}),
                **retrieval(collection, rows),
            },
        )


def retrieval(collection: Collection, rows: Sequence[Row]) -> dict[str, float]:
    """Return recall@1, precision@10 and mAP of a collection, whose rows with vectors are given."""
    classes = [class_of(row) for row in rows]
    labelled = {row.id: label for row, label in zip(rows, classes, strict=True)}
    found = neighbours(collection, rows, LIMIT)
    ranked = [[labelled[i] == label for i in ids] for ids, label in zip(found, classes, strict=True)]
    return {
        "recall@1": round(recall_at_1(ranked), 4),
        "precision@10": round(precision_at(ranked, LIMIT), 4),
        "mAP": round(mean_average_precision(vectors_of(rows), classes), 4),
    }


def neighbours(collection: Collection, rows: Sequence[Row], number: int) -> list[list[str]]:
    """Return the ids of the nearest other rows of each row, as the store's search gives them."""
    found = []
    for chunk in chunks(rows, QUERIES_A_CALL):
        for row, hits in zip(chunk, collection.search(vectors_of(chunk), number + 1), strict=True):
            found.append([hit.row.id for hit in hits if hit.row.id != row.id][:number])
    return found


def recall_at_1(ranked: Sequence[Sequence[bool]]) -> float:
    """Return the share of queries whose nearest other photo is of their class."""
    return float(np.mean([bool(hits) and hits[0] for hits in ranked]))


def precision_at(ranked: Sequence[Sequence[bool]], number: int) -> float:
    """Return the mean share of the first `number` results that are of the query's class."""
    return float(np.mean([sum(hits[:number]) / number for hits in ranked]))


def mean_average_precision(vectors: np.ndarray, classes: Sequence[str]) -> float:
    """Return mAP over all other photos, by exact cosine; queries whose class has no other photo are left out."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    labels = np.unique(classes, return_inverse=True)[1]
    precisions = []
    for i, label in enumerate(labels):
        order = np.argsort(-scores[i], kind="stable")[:-1]
        right = labels[order] == label
        if right.any():
            ranks = np.flatnonzero(right) + 1
            precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    return float(np.mean(precisions))


if __name__ == "__main__":
    main()
