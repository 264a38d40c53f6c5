"""Compact collections: quality before and after, and time and neighbours at a size where they matter.

    python -m benchmarks.store.compact FOLDER [--rows 50000] [--rounds 5]

FOLDER has class folders. Quality is that of benchmarks.quality.retrieval, on its photos, with full vectors and after
`lookalike compact` at 128 and 256 dimensions, half-whitened and not whitened.

For time, FOLDER's vectors become `rows` of them in Milvus Lite: a photo's vector and a part (0 to 1, at random) of the
difference between two photos of one class, so that rows differ from each other as photos of one thing do. Queries are
made likewise and are not among the rows. One by one at full dimension and 32 in a call at 128 take turns; a round's
ratio is that of the median times of a query. Recall is that of the ten nearest against exact search with full vectors.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Bench, fresh
from benchmarks.quality.retrieval import retrieval
from benchmarks.reporting import arguments, in_turns, medians, ratios, write_results
from benchmarks.rows import LIMIT, ExactNearest, all_rows, fill, more_vectors
from indexer.migration.compact import Compaction
from indexer.sources.folder import Folder
from store.base import Collection, Store
from store.records import Row

TOGETHER = 32
QUERIES = 200


def main() -> None:
    """Measure and write the results."""
    asked = arguments(__doc__, folder=Path, rows=50_000, rounds=5)
    with fresh() as bench:
        qualities, rows = quality(bench, Folder(asked.folder))
        vectors = more_vectors(rows, asked.rows + QUERIES)
        fill(bench.store.create("photos", bench.embedder.identity), vectors[:-QUERIES])
        results = compared(bench.store, vectors[:-QUERIES], vectors[-QUERIES:], asked.rounds)
        facts = bench.facts(asked.folder)
    write_results(
        "compact",
        {
            **facts,
            "store": "server" if bench.settings.milvus_uri else "lite",
            "quality": {"images": len(rows), **qualities},
            "time": {"rows": asked.rows, "limit": LIMIT, **results},
        },
    )


def quality(bench: Bench, source: Folder) -> tuple[dict[str, dict[str, float]], list[Row]]:
    """Return the quality of each version of the folder's collection, and its rows."""
    collection, _ = bench.index(source, "quality")
    rows = all_rows(collection)
    results = {"full": retrieval(collection, rows)}
    for dimension in (128, 256):
        for whitening in (0.5, 0.0):
            task = Compaction(bench.store, "quality", dimension, quiet, whitening)
            kept = task.build().kept
            task.switch()
            compact = bench.store.open("quality")
            measured = retrieval(compact, all_rows(compact))
            results[f"{dimension}, whitening {whitening:g}"] = {**measured, "neighbours_kept": round(kept, 4)}
            full = bench.store.full("quality")
            assert full is not None
            bench.store.switch("quality", full)
    bench.store.drop("quality")
    return results, rows


def compared(store: Store, vectors: np.ndarray, queries: np.ndarray, rounds: int) -> dict[str, Any]:
    """Compare searches of the full collection and of the compact one, which take turns."""
    full = store.open("photos")
    task = Compaction(store, "photos", 128, quiet)
    began = time.perf_counter()
    kept = task.build().kept
    task.switch()
    seconds = time.perf_counter() - began
    compact = store.open("photos")
    ways: dict[str, Callable[[], float]] = {
        "full_one_by_one": partial(milliseconds, full, queries, 1),
        "full_gathered": partial(milliseconds, full, queries, TOGETHER),
        "compact_one_by_one": partial(milliseconds, compact, queries, 1),
        "compact_gathered": partial(milliseconds, compact, queries, TOGETHER),
    }
    taken = in_turns(ways, rounds, warm_up=True)
    gains = ratios(taken["full_one_by_one"], taken["compact_gathered"])
    return {
        "dimension": compact.model.dimension,
        "queries_a_call": TOGETHER,
        "ms_a_query": medians(taken),
        "ratios": [round(gain, 1) for gain in gains],
        "median_ratio": round(statistics.median(gains), 1),
        "recall_at_10": ExactNearest(vectors, queries).recall_of(compact),
        "neighbours_kept_as_reported": round(kept, 4),
        "compacting_seconds": round(seconds, 1),
    }


def milliseconds(collection: Collection, queries: np.ndarray, together: int) -> float:
    """Return the median milliseconds of a query, with so many in a call."""
    times = []
    for start in range(0, len(queries) - together + 1, together):
        began = time.perf_counter()
        collection.search(queries[start : start + together], LIMIT)
        times.append((time.perf_counter() - began) / together)
    return 1000 * statistics.median(times)


def quiet(stage: str, done: int, total: int) -> None:
    """Say nothing of the progress."""


if __name__ == "__main__":
    main()
