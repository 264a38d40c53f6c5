"""HNSW's parameters on a real Milvus server: recall@10 against exact search, and the time of a query.

    python -m benchmarks.store.index_parameters FOLDER [--rows 10000 100000] [--dimensions 1280 128] [--links 16]

The server is that of LOOKALIKE_MILVUS_URI, else that of the tests (2.3.5). FOLDER has class folders, whose photos'
vectors become as many as wanted (photos and parts of the differences between photos of one class), projected as
`lookalike compact` does where there are fewer dimensions. Queries are made likewise and are not among them. M is the
number of links, and efConstruction 200; ef is what a search is asked for, 64 at least in ours. Recall counts by
distance: an answer that is no farther than the tenth of exact search is right. Times are medians of single queries,
sent one after another.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient

from benchmarks.common import fresh
from benchmarks.reporting import arguments, write_results
from benchmarks.rows import LIMIT, ExactNearest, all_rows, more_vectors
from benchmarks.store.server import server, wait_for_index
from indexer.pipeline.lister import chunks
from indexer.sources.folder import Folder
from store.pca import Moments
from store.projection import Projection
from store.records import Row

QUERIES = 200
CONSTRUCTION = 200
DEPTHS = (16, 32, 64, 128, 256)
ROWS_PER_CALL = 2_000
FITTED = 50_000
PART = 200_000
SECONDS = 600.0
NAME = "parameters"


def main() -> None:
    """Measure and write the results."""
    asked = arguments(__doc__, folder=Path, rows=[10_000, 100_000], dimensions=[1280, 128], links=[16])
    with fresh() as bench:
        model = bench.embedder.identity
        photos = all_rows(bench.index(Folder(asked.folder), "photos")[0])
    moments = Moments(model)
    results = []
    with server() as (uri, token):
        client = MilvusClient(uri, token=token, timeout=SECONDS)
        for rows in asked.rows:
            moments.add(more_vectors(photos, min(rows, FITTED)))
            for dimension in asked.dimensions:
                projection = None if dimension == model.dimension else moments.projection(dimension)
                seen = vectors_in_space(photos, rows + QUERIES, projection)
                results += [measured(client, seen[:-QUERIES], seen[-QUERIES:], links) for links in asked.links]
        client.close()
    facts = {"folder": asked.folder.name, "model": model.name}
    write_results(f"index_parameters-{max(asked.rows)}", {**facts, "measured": results})


def vectors_in_space(photos: Sequence[Row], count: int, projection: Projection | None) -> np.ndarray:
    """Make so many vectors up, a part at a time, in the space of a projection (None: the model's own)."""
    sizes = [min(PART, count - start) for start in range(0, count, PART)]
    parts = (more_vectors(photos, size, seed) for seed, size in enumerate(sizes))
    return np.concatenate([part if projection is None else projection.apply(part) for part in parts])


def measured(client: MilvusClient, vectors: np.ndarray, queries: np.ndarray, links: int) -> dict[str, Any]:
    """Index vectors and search them at several depths."""
    began = time.perf_counter()
    fill(client, vectors, links)
    seconds = time.perf_counter() - began
    exact = ExactNearest(vectors, queries)
    depths = {f"ef {depth}": searched(client, queries, exact, depth) for depth in DEPTHS}
    client.drop_collection(NAME)
    result = {
        "rows": len(vectors),
        "dimension": vectors.shape[1],
        "M": links,
        "efConstruction": CONSTRUCTION,
        "written_and_indexed_seconds": round(seconds, 1),
        **depths,
    }
    print(result, file=sys.stderr)
    return result


def fill(client: MilvusClient, vectors: np.ndarray, links: int) -> None:
    """Make a collection of vectors and wait until it is indexed."""
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    index = MilvusClient.prepare_index_params()
    params = {"M": links, "efConstruction": CONSTRUCTION}
    index.add_index("vector", index_type="HNSW", metric_type="IP", params=params)
    client.create_collection(NAME, schema=schema)
    for some in chunks(range(len(vectors)), ROWS_PER_CALL):
        client.insert(NAME, [{"id": n, "vector": vectors[n]} for n in some])
    client.flush(NAME)
    client.create_index(NAME, index)
    wait_for_index(client, NAME)
    client.load_collection(NAME)


def searched(client: MilvusClient, queries: np.ndarray, exact: ExactNearest, depth: int) -> dict[str, float]:
    """Return recall@10 and the median milliseconds of a query."""
    params = {"metric_type": "IP", "params": {"ef": depth}}
    found, times = [], []
    for query in queries:
        began = time.perf_counter()
        (hits,) = client.search(NAME, [query], limit=LIMIT, anns_field="vector", search_params=params)
        times.append(time.perf_counter() - began)
        found.append([hit["id"] for hit in hits])
    return {"recall@10": exact.recall(found), "ms": round(1000 * statistics.median(times), 2)}


if __name__ == "__main__":
    main()
