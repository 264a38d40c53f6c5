"""HNSW's parameters on a real Milvus server: recall@10 against exact search, and the time of a query.

    python -m benchmarks.index_parameters FOLDER [--rows 10000 100000] [--dimensions 1280 128] [--links 16]

The server is that of the tests (2.3.5). FOLDER has class folders, whose photos' vectors become as many as wanted (see
benchmarks.compact: photos and parts of the differences between photos of one class), projected as `lookalike compact`
does where there are fewer dimensions. Queries are made likewise and are not among them. M is the number of links, and
efConstruction 200; ef is what a search is asked for, 64 at least in ours. Recall counts by distance: an answer that is
no farther than the tenth of exact search is right. Times are medians of single queries, sent one after another.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pymilvus import DataType, MilvusClient
from support.milvus_server import running_server

from benchmarks.common import fresh, write_results
from benchmarks.compact import made_up
from benchmarks.quality import all_rows
from benchmarks.store import wait_for_index
from indexer.pipeline.index_source import index_source
from indexer.pipeline.lister import chunks
from indexer.sources.folder import Folder
from store.pca import Moments
from store.projection import Projection
from store.records import Row

LIMIT = 10
QUERIES = 200
CONSTRUCTION = 200
DEPTHS = (16, 32, 64, 128, 256)
ROWS_PER_CALL = 2_000
FITTED = 50_000
PART = 200_000
SECONDS = 600.0
INDEX_SECONDS = 3600.0
NAME = "parameters"


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[1280, 128])
    parser.add_argument("--links", type=int, nargs="+", default=[16])
    arguments = parser.parse_args()
    with fresh() as bench:
        model = bench.embedder.identity
        collection = bench.store.create("photos", model)
        settings = bench.settings
        index_source(Folder(arguments.folder), collection, bench.embedder, settings.max_bytes, False, lambda _: None)
        photos = all_rows(collection)
    moments = Moments(model)
    results = []
    with TemporaryDirectory() as folder, running_server(Path(folder)) as uri:
        client = MilvusClient(uri, timeout=SECONDS)
        for rows in arguments.rows:
            moments.add(made_up(photos, min(rows, FITTED)))
            for dimension in arguments.dimensions:
                projection = None if dimension == model.dimension else moments.projection(dimension)
                seen = vectors_in_space(photos, rows + QUERIES, projection)
                results += [measured(client, seen[:-QUERIES], seen[-QUERIES:], links) for links in arguments.links]
        client.close()
    results_name = f"index_parameters-{max(arguments.rows)}"
    write_results(results_name, {"folder": arguments.folder.name, "model": model.name, "measured": results})


def vectors_in_space(photos: Sequence[Row], count: int, projection: Projection | None) -> np.ndarray:
    """Make so many vectors up, a part at a time, in the space of a projection (None: the model's own)."""
    sizes = [min(PART, count - start) for start in range(0, count, PART)]
    parts = (made_up(photos, size, seed) for seed, size in enumerate(sizes))
    return np.concatenate([part if projection is None else projection.apply(part) for part in parts])


def measured(client: MilvusClient, vectors: np.ndarray, queries: np.ndarray, links: int) -> dict[str, Any]:
    """Index vectors and search them at several depths."""
    began = time.perf_counter()
    fill(client, vectors, links)
    seconds = time.perf_counter() - began
    tenth = np.sort(queries @ vectors.T, axis=1)[:, -LIMIT]
    depths = {f"ef {depth}": searched(client, vectors, queries, tenth, depth) for depth in DEPTHS}
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
    wait_for_index(client, NAME, INDEX_SECONDS)
    client.load_collection(NAME)


def searched(
    client: MilvusClient, vectors: np.ndarray, queries: np.ndarray, tenth: np.ndarray, depth: int
) -> dict[str, float]:
    """Return recall@10 and the median milliseconds of a query."""
    good, times = 0, []
    for query, least in zip(queries, tenth, strict=True):
        began = time.perf_counter()
        (hits,) = client.search(
            NAME,
            [query],
            limit=LIMIT,
            anns_field="vector",
            search_params={"metric_type": "IP", "params": {"ef": depth}},
        )
        times.append(time.perf_counter() - began)
        good += sum(float(query @ vectors[hit["id"]]) >= least - 1e-5 for hit in hits)
    return {
        "recall@10": round(good / (len(queries) * LIMIT), 4),
        "ms": round(1000 * statistics.median(times), 2),
    }


if __name__ == "__main__":
    main()
