"""Compact collections: quality before and after, and time and neighbours at a size where they matter.

    python -m benchmarks.compact FOLDER [--rows 50000] [--rounds 5]

FOLDER has class folders. Quality is that of benchmarks.quality, on its photos, with full vectors and after
`lookalike compact` at 128 and 256 dimensions, half-whitened and not whitened.

For time, FOLDER's vectors become `rows` of them in Milvus Lite: a photo's vector and a part (0 to 1, at random) of the
difference between two photos of one class, so that rows differ from each other as photos of one thing do. Queries are
made likewise and are not among the rows. One by one at full dimension and 32 in a call at 128 take turns; a round's
ratio is that of the median times of a query. Recall is that of the ten nearest against exact search with full vectors.
"""

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.common import Bench, fresh, write_results
from benchmarks.quality import all_rows, class_of, mean_average_precision, neighbours, precision_at, recall_at_1
from indexer.migration.compact import Compaction
from indexer.pipeline.index_source import index_source
from indexer.pipeline.lister import chunks
from indexer.sources.folder import Folder
from store.base import Collection, Store
from store.projection import normalised
from store.records import Row

LIMIT = 10
TOGETHER = 32
QUERIES = 200


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with fresh() as bench:
        qualities, rows = quality(bench, Folder(arguments.folder))
        vectors = made_up(rows, arguments.rows + QUERIES)
        fill(bench.store.create("photos", bench.embedder.identity), rows, vectors[:-QUERIES])
        results = compared(bench.store, vectors[:-QUERIES], vectors[-QUERIES:], arguments.rounds)
        model = bench.embedder.identity.name
    write_results(
        "compact",
        {
            "folder": arguments.folder.name,
            "model": model,
            "engine": "Milvus Lite",
            "quality": {"images": len(rows), **qualities},
            "time": {"rows": arguments.rows, "limit": LIMIT, **results},
        },
    )


def quality(bench: Bench, source: Folder) -> tuple[dict[str, dict[str, float]], list[Row]]:
    """Return the quality of each version of the folder's collection, and its rows."""
    collection = bench.store.create("quality", bench.embedder.identity)
    index_source(source, collection, bench.embedder, bench.settings.max_bytes, False, lambda _: None)
    rows = all_rows(collection)
    results = {"full": measured(collection)}
    for dimension in (128, 256):
        for whitening in (0.5, 0.0):
            task = Compaction(bench.store, "quality", dimension, quiet, whitening)
            kept = task.build().kept
            task.switch()
            name = f"{dimension}, whitening {whitening:g}"
            results[name] = {**measured(bench.store.open("quality")), "neighbours_kept": round(kept, 4)}
            full = bench.store.full("quality")
            assert full is not None
            bench.store.switch("quality", full)
    bench.store.drop("quality")
    return results, rows


def measured(collection: Collection) -> dict[str, float]:
    """Return recall@1, precision@10 and mAP, as benchmarks.quality does."""
    rows = all_rows(collection)
    classes = [class_of(row) for row in rows]
    labelled = {row.id: label for row, label in zip(rows, classes, strict=True)}
    found = neighbours(collection, rows, LIMIT)
    ranked = [[labelled[i] == label for i in ids] for ids, label in zip(found, classes, strict=True)]
    vectors = np.stack([row.vector for row in rows if row.vector is not None])
    return {
        "recall@1": round(recall_at_1(ranked), 4),
        "precision@10": round(precision_at(ranked, LIMIT), 4),
        "mAP": round(mean_average_precision(vectors, classes), 4),
    }


def made_up(rows: Sequence[Row], count: int, seed: int = 0) -> np.ndarray:
    """Return vectors near those of rows, that differ from them as rows of one class differ."""
    random = np.random.default_rng(seed)
    vectors = np.stack([row.vector for row in rows if row.vector is not None])
    of_class = defaultdict(list)
    for place, row in enumerate(rows):
        of_class[class_of(row)].append(place)
    several = [places for places in of_class.values() if len(places) > 1]
    pairs = np.array([random.choice(several[random.integers(len(several))], 2, replace=False) for _ in range(4000)])
    differences = (vectors[pairs[:, 0]] - vectors[pairs[:, 1]])[random.integers(0, len(pairs), count)]
    parts = random.random((count, 1), np.float32)
    return normalised(vectors[random.integers(0, len(vectors), count)] + parts * differences)


def fill(collection: Collection, rows: Sequence[Row], vectors: np.ndarray) -> None:
    """Write one row for each vector."""
    numbered = (
        replace(rows[n % len(rows)], id=f"{n:032x}", path=f"{n}.jpg", content_hash=f"{n:064x}", vector=vector)
        for n, vector in enumerate(vectors)
    )
    for some in chunks(numbered, 1000):
        collection.upsert(some)
    collection.flush()


def compared(store: Store, vectors: np.ndarray, queries: np.ndarray, rounds: int) -> dict[str, object]:
    """Compare searches of the full collection and of the compact one, which take turns."""
    full = store.open("photos")
    task = Compaction(store, "photos", 128, quiet)
    began = time.perf_counter()
    kept = task.build().kept
    task.switch()
    seconds = time.perf_counter() - began
    compact = store.open("photos")
    ways: dict[str, Callable[[int], float]] = {
        "full_one_by_one": lambda n: one_by_one(full, queries, n),
        "full_gathered": lambda n: gathered(full, queries, n),
        "compact_one_by_one": lambda n: one_by_one(compact, queries, n),
        "compact_gathered": lambda n: gathered(compact, queries, n),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            milliseconds = way(number)
            if number:  # the first round warms up
                taken[name].append(milliseconds)
                print(f"{name}: {milliseconds:.2f} ms a query", file=sys.stderr)
    pairs = zip(taken["full_one_by_one"], taken["compact_gathered"], strict=True)
    ratios = [before / after for before, after in pairs]
    return {
        "dimension": compact.model.dimension,
        "queries_a_call": TOGETHER,
        "ms_a_query": {name: round(statistics.median(times), 2) for name, times in taken.items()},
        "ratios": [round(ratio, 1) for ratio in ratios],
        "median_ratio": round(statistics.median(ratios), 1),
        "recall_at_10": recall(compact, vectors, queries),
        "neighbours_kept_as_reported": round(kept, 4),
        "compacting_seconds": round(seconds, 1),
    }


def one_by_one(collection: Collection, queries: np.ndarray, number: int) -> float:
    """Return the median milliseconds of a query that goes alone."""
    times = []
    for query in rolled(queries, number):
        began = time.perf_counter()
        collection.search(query[np.newaxis], LIMIT)
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def gathered(collection: Collection, queries: np.ndarray, number: int) -> float:
    """Return the median milliseconds of a query, of several calls with 32 in each."""
    times = []
    for again in range(3):
        began = time.perf_counter()
        collection.search(rolled(queries, number + again), LIMIT)
        times.append((time.perf_counter() - began) / TOGETHER)
    return 1000 * statistics.median(times)


def rolled(queries: np.ndarray, number: int) -> np.ndarray:
    """Return 32 of the queries, others for another number."""
    return np.roll(queries, -TOGETHER * number, axis=0)[:TOGETHER]


def recall(collection: Collection, vectors: np.ndarray, queries: np.ndarray) -> float:
    """Return the share of the ten nearest that are among the ten nearest by exact search with full vectors."""
    tenth = np.sort(queries @ vectors.T, axis=1)[:, -LIMIT]
    good = 0
    for query, least, hits in zip(queries, tenth, collection.search(queries, LIMIT), strict=True):
        good += sum(float(query @ vectors[int(hit.row.id, 16)]) >= least - 1e-5 for hit in hits)
    return round(good / (len(queries) * LIMIT), 4)


def quiet(stage: str, done: int, total: int) -> None:
    """Say nothing of the progress."""


if __name__ == "__main__":
    main()
