"""Writing and searching through the store against bare pymilvus, side by side in one run.

    python -m benchmarks.store.overhead [--rows 5120] [--rounds 9]

On a real Milvus server: that of LOOKALIKE_MILVUS_URI, else the one that tests start. Bare pymilvus gets ready records
of the same rows, with the same float32 arrays, and only makes the call; the store starts from rows, checks and converts
them, and gives rows back when it searches. Both write the same batches to collections of one schema and index. Both
search the same index with the same queries, `ef`, limit, consistency level and output fields (all but the vector), and
look at every field of what comes back. Recall@10 is that of the store's answers against an exhaustive search. The two
take turns call by call. A round's rate is that of its median call, its ratio the median of those of all pairs of calls;
what is given are medians over rounds. Processor time is that of this process, without the server.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pymilvus import MilvusClient

from benchmarks.reporting import arguments, write_results
from benchmarks.rows import LIMIT, ExactNearest, fill, row
from benchmarks.store.server import server, wait_for_index
from embeddings.models.identity import ModelIdentity
from indexer.pipeline.lister import chunks
from store import open_store
from store.base import Collection, Store
from store.milvus.schema import SCALARS, normalise, to_record
from store.milvus.server_backend import ServerBackend
from store.projection import normalised
from store.records import Row

DIMENSION = 1280
MODEL = ModelIdentity("store-benchmark", "0" * 12, DIMENSION)
OURS, BARE = "benchmark_ours", "benchmark_bare"
BATCH = 256
QUERIES = 256
TOGETHER = 32
CENTRES, SPREAD = 200, 0.5
SECONDS = 60.0


def main() -> None:
    """Measure and write the results."""
    asked = arguments(__doc__, rows=5120, rounds=9)
    load = os.getloadavg()[0]  # what else the machine does: a call shares the processors with it
    vectors, queries = made_up(asked.rows)
    with server() as (uri, token), open_store(uri, token, Path(), SECONDS) as store:
        bare = MilvusClient(uri, token=token)
        with collection(store, OURS) as ours, collection(store, BARE) as other:
            rows = [row(number, vector) for number, vector in enumerate(vectors)]
            written = compared(asked.rounds, writing(rows, ours, bare, real_name(bare, other)))
        with collection(store, OURS) as ours:
            fill(ours, vectors)
            wait_for_index(bare, real_name(bare, ours))
            params = search_params(uri, token)
            searched = {
                "limit": LIMIT,
                "search_params": params,
                "output_fields": list(SCALARS),
                "recall_at_10": ExactNearest(vectors, queries).recall_of(ours),
                "one_query_a_call": compared(asked.rounds, searching(queries, 1, ours, bare, params)),
                f"{TOGETHER}_queries_a_call": compared(asked.rounds, searching(queries, TOGETHER, ours, bare, params)),
            }
        bare.close()
    write_results(
        "store",
        {
            "load_average_before": round(load, 1),
            "rows": asked.rows,
            "dimension": DIMENSION,
            "upsert_rows_per_second": {"rows_a_call": BATCH, **written},
            "search_queries_per_second": searched,
        },
    )


@contextmanager
def collection(store: Store, name: str) -> Iterator[Collection]:
    """Make an empty collection and remove it at the end."""
    try:
        yield store.create(name, MODEL)
    finally:
        store.drop(name)


def search_params(uri: str, token: str) -> dict[str, Any]:
    """Return what the store asks a server's index for."""
    backend = ServerBackend(uri, token, SECONDS)
    backend.close()
    return backend.search_params(LIMIT)


def made_up(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors in clusters as a network's are, and queries near them."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((CENTRES, DIMENSION))
    near = centres[random.integers(0, CENTRES, count + QUERIES)]
    vectors = normalised(near + SPREAD * random.standard_normal(near.shape))
    return vectors[:count], vectors[count:]


Piece = tuple[int, Callable[[], object], Callable[[], object]]  # items, through the store, bare


def writing(rows: list[Row], ours: Collection, bare: MilvusClient, other: str) -> list[Piece]:
    """Return one piece of work for each batch of rows."""
    pieces: list[Piece] = []
    for batch in chunks(rows, BATCH):
        records = [to_record(row) for row in batch]
        normalise(records)
        pieces.append((len(batch), partial(ours.upsert, batch), partial(bare.upsert, other, records)))
    return pieces


def searching(queries: np.ndarray, together: int, ours: Collection, bare: MilvusClient, params: Any) -> list[Piece]:
    """Return one piece of work for each call of `together` queries."""
    name = real_name(bare, ours)

    def plain(vectors: np.ndarray) -> list[list[tuple[float, dict[str, Any]]]]:
        found = bare.search(
            name,
            list(vectors),
            limit=LIMIT,
            anns_field="vector",
            output_fields=list(SCALARS),
            search_params=params,
            consistency_level="Bounded",
        )
        # what was found is unpacked when it is looked at
        return [[(hit["distance"], dict(hit["entity"])) for hit in hits] for hits in found]

    parts = [queries[start : start + together] for start in range(0, len(queries), together)]
    return [(len(part), partial(ours.search, part, LIMIT), partial(plain, part)) for part in parts]


def compared(rounds: int, pieces: list[Piece]) -> dict[str, Any]:
    """Return rates, processor time and ratios of both ways, which take turns call by call."""
    pieces = [piece for piece in pieces if piece[0] == pieces[0][0]]  # the last one may be smaller
    items = pieces[0][0]
    calls: list[np.ndarray] = []  # each [pieces, 2 ways, seconds and seconds of the processor]
    for number in range(rounds + 1):
        done = np.array([timed_pair(ways, (place + number) % 2) for place, (_, *ways) in enumerate(pieces)])
        if number:  # the first round warms both up
            calls.append(done)
            print(*(f"{items / seconds:.0f}/s" for seconds in np.median(done[:, :, 0], axis=0)), file=sys.stderr)
    rates = np.median(items / np.median(calls, axis=1)[:, :, 0], axis=0).round(1).tolist()
    processor = (np.median(np.concatenate(calls), axis=0)[:, 1] / items * 1e6).round(1).tolist()
    ratios = [float(np.median(done[:, 1, 0] / done[:, 0, 0])) for done in calls]
    return {
        **dict(zip(("store", "bare"), rates, strict=True)),
        "processor_us_each": dict(zip(("store", "bare"), processor, strict=True)),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "median_ratio": round(statistics.median(ratios), 3),
    }


def timed_pair(ways: Sequence[Callable[[], object]], first: int) -> list[tuple[float, float]]:
    """Do both, the one numbered `first` before the other; return the seconds of each and those of the processor."""
    taken = [(0.0, 0.0), (0.0, 0.0)]
    for way in (first, 1 - first):
        began, busy = time.perf_counter(), time.process_time()
        ways[way]()
        taken[way] = time.perf_counter() - began, time.process_time() - busy
    return taken


def real_name(bare: MilvusClient, collection: Collection) -> str:
    """Return a collection's name in the server, so that neither way has an alias to look up."""
    return str(bare.describe_collection(collection.name)["collection_name"])


if __name__ == "__main__":
    main()
