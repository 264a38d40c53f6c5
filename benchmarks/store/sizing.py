"""How much memory and disk a Milvus server takes for a vector, indexed as lookalike indexes it.

    python -m benchmarks.store.sizing [--vectors 25000 75000] [--dimension 1280]

The server is the one the tests use (2.3.5, in one process), a fresh one for each number of vectors. Its memory is the
proportional set size of its processes: idle, the most while rows come and are indexed, once that has settled, and after
a restart that has them loaded again. What a vector takes is the difference between the least and the greatest number,
divided by the vectors between them, so that what a loaded collection takes anyway does not count. Vectors are random:
what an index takes does not depend on what they say.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from support.milvus_server import running_server
from support.waiting import until

from benchmarks.processes import tree_pss
from benchmarks.reporting import arguments, write_results
from benchmarks.rows import row
from embeddings.errors import StoreUnavailable
from embeddings.models.identity import ModelIdentity
from store import open_store
from store.base import Store
from store.projection import normalised

COLLECTION = "sizing"
ROWS_PER_CALL = 2_000
CALM_SECONDS, CALM_CHANGE = 15, 0.03  # Go takes and gives memory all the time
MAX_SECONDS = 120.0
TIMEOUT = 60.0


def main() -> None:
    """Measure and write the results."""
    asked = arguments(__doc__, vectors=[25_000, 75_000], dimension=1280)
    runs = [measured(number, asked.dimension) for number in sorted(asked.vectors)]
    write_results(
        "sizing",
        {
            "server": "Milvus 2.3.5 standalone",
            "index": "HNSW, M 16, efConstruction 200",
            "dimension": asked.dimension,
            "raw_bytes_a_vector": 4 * asked.dimension,
            "bytes_a_vector": {name: slope(runs, name) for name in ("peak", "settled", "after_restart", "disk")},
            "runs": runs,
        },
    )


def measured(number: int, dimension: int) -> dict[str, float]:
    """Fill a fresh server and restart it; return the bytes of memory and disk that it took, and seconds of writing."""
    random = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        with running(Path(folder)) as store:
            idle, _ = calm()
            collection = store.create(COLLECTION, ModelIdentity("sizing", "0" * 12, dimension))
            began, most = time.perf_counter(), idle
            for start in range(0, number, ROWS_PER_CALL):
                vectors = normalised(random.standard_normal((min(ROWS_PER_CALL, number - start), dimension)))
                collection.upsert([row(start + i, vector) for i, vector in enumerate(vectors)])
                most = max(most, memory())
            collection.flush()
            seconds = time.perf_counter() - began
            settled, peak = calm()
        with running(Path(folder)) as store:
            until(partial(searched, store), MAX_SECONDS, lambda: "the collection is not loaded")
            loaded, _ = calm()
        disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    memories = {"idle": idle, "peak": max(most, peak), "settled": settled, "after_restart": loaded}
    return {"vectors": number, "seconds_to_write": round(seconds, 1), **memories, "disk": disk}


def slope(runs: list[dict[str, float]], name: str) -> int:
    """Return the bytes that one more vector takes; with one run, that above an idle server."""
    first, last = runs[0], runs[-1]
    if first["vectors"] == last["vectors"]:
        return round((last[name] - (0 if name == "disk" else last["idle"])) / last["vectors"])
    return round((last[name] - first[name]) / (last["vectors"] - first["vectors"]))


@contextmanager
def running(folder: Path) -> Iterator[Store]:
    """Run the server on a folder and open its store."""
    with running_server(folder) as uri, open_store(uri, "", folder, TIMEOUT) as store:
        yield store


def searched(store: Store) -> bool:
    """Return whether the collection answers."""
    try:
        collection = store.open(COLLECTION)
        collection.search(np.ones((1, collection.model.dimension), np.float32), 10)
    except StoreUnavailable:
        return False
    return True


def calm() -> tuple[int, int]:
    """Return the memory when it has stayed the same for a while, and the most it was until then."""
    deadline, seen = time.monotonic() + MAX_SECONDS, [memory()]
    while time.monotonic() < deadline:
        time.sleep(1)
        seen.append(memory())
        last = seen[-CALM_SECONDS:]
        if len(last) == CALM_SECONDS and max(last) - min(last) <= CALM_CHANGE * max(last):
            break
    return seen[-1], max(seen)


def memory() -> int:
    """Return the bytes that all processes below this one take."""
    return tree_pss(os.getpid(), itself=False)


if __name__ == "__main__":
    main()
