"""How much memory and disk a Milvus server takes for a vector, indexed as lookalike indexes it.

    python -m benchmarks.sizing [--vectors 25000 75000] [--dimension 1280]

The server is the one the tests use (2.3.5, in one process), a fresh one for each number of vectors. Its memory is what
its processes hold: idle, the most while rows come and are indexed, once that has settled, and after a restart that has
them loaded again. What a vector takes is the difference between the least and the greatest number, divided by the
vectors between them, so that what a loaded collection takes anyway does not count. Vectors are random: what an index
takes does not depend on what they say.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from support.milvus_server import running_server

from benchmarks.common import write_results
from embeddings.errors import StoreUnavailable
from embeddings.models.identity import ModelIdentity
from embeddings.tagging.tag import Tag
from store import open_store
from store.base import Collection
from store.records import Row

COLLECTION = "sizing"
ROWS_PER_CALL = 2_000
CALM_SECONDS, CALM_CHANGE = 15, 0.03  # Go takes and gives memory all the time
MAX_SECONDS = 120.0
TIMEOUT = 60.0
TAGS = tuple(Tag(name, 0.5) for name in ("tabby", "tiger cat", "cat", "feline", "carnivore", "animal"))


@dataclass(frozen=True)
class Measured:
    """Memory of the server and disk it takes, in bytes, with a number of vectors."""

    vectors: int
    seconds_to_write: float
    idle: int
    peak: int
    settled: int
    after_restart: int
    disk: int


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, nargs="+", default=[25_000, 75_000])
    parser.add_argument("--dimension", type=int, default=1280)
    arguments = parser.parse_args()
    runs = [measured(number, arguments.dimension) for number in sorted(arguments.vectors)]
    write_results(
        "sizing",
        {
            "server": "Milvus 2.3.5 standalone",
            "index": "HNSW, M 16, efConstruction 200",
            "dimension": arguments.dimension,
            "raw_bytes_a_vector": 4 * arguments.dimension,
            "bytes_a_vector": {name: _slope(runs, name) for name in ("peak", "settled", "after_restart", "disk")},
            "runs": [asdict(run) for run in runs],
        },
    )


def measured(number: int, dimension: int) -> Measured:
    """Fill a fresh server, restart it, and return what it took."""
    with TemporaryDirectory() as folder:
        idle, peak, settled, seconds = _filled(Path(folder), number, dimension)
        loaded = _restarted(Path(folder))
        disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    return Measured(number, round(seconds, 1), idle, peak, settled, loaded, disk)


def _slope(runs: list[Measured], name: str) -> int:
    """Return the bytes that one more vector takes; with one run, that above an idle server."""
    first, last = runs[0], runs[-1]
    if first.vectors == last.vectors:
        return round((getattr(last, name) - (0 if name == "disk" else last.idle)) / last.vectors)
    return round((getattr(last, name) - getattr(first, name)) / (last.vectors - first.vectors))


def _filled(folder: Path, number: int, dimension: int) -> tuple[int, int, int, float]:
    """Fill a fresh server; return its memory when idle, at most and in the end, and the seconds of writing."""
    with running_server(folder) as uri, open_store(uri, "", folder, TIMEOUT) as store:
        idle, _ = _calm(_memory)
        collection = store.create(COLLECTION, ModelIdentity("sizing", "0" * 12, dimension))
        began, most = time.perf_counter(), idle
        for rows in _rows(number, dimension):
            collection.upsert(rows)
            most = max(most, _memory())
        collection.flush()
        seconds = time.perf_counter() - began
        settled, peak = _calm(_memory)
        return idle, max(most, peak), settled, seconds


def _restarted(folder: Path) -> int:
    """Start the server again and return its memory once it searches."""
    with running_server(folder) as uri, open_store(uri, "", folder, TIMEOUT) as store:
        _searched(lambda: store.open(COLLECTION))
        return _calm(_memory)[0]


def _searched(opened: Callable[[], Collection]) -> None:
    deadline = time.monotonic() + MAX_SECONDS
    while True:
        try:
            collection = opened()
            collection.search(np.ones((1, collection.model.dimension), np.float32), 10)
            return
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def _calm(measure: Callable[[], int]) -> tuple[int, int]:
    """Return a figure that has stayed for a while, and the most it was until then."""
    deadline, seen = time.monotonic() + MAX_SECONDS, [measure()]
    while time.monotonic() < deadline:
        time.sleep(1)
        seen.append(measure())
        last = seen[-CALM_SECONDS:]
        if len(last) == CALM_SECONDS and max(last) - min(last) <= CALM_CHANGE * max(last):
            break
    return seen[-1], max(seen)


def _memory() -> int:
    """Return the resident bytes of all processes below this one."""
    parents, resident = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            parents[int(entry.name)], resident[int(entry.name)] = int(fields[1]), int(fields[21])
    below, found = {os.getpid()}, 0
    while len(below) > found:
        found = len(below)
        below |= {child for child, parent in parents.items() if parent in below}
    return sum(resident[process] for process in below - {os.getpid()}) * os.sysconf("SC_PAGE_SIZE")


def _rows(number: int, dimension: int) -> Iterator[list[Row]]:
    random = np.random.default_rng(0)
    for start in range(0, number, ROWS_PER_CALL):
        vectors = random.standard_normal((min(ROWS_PER_CALL, number - start), dimension)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        yield [_row(start + i, vector) for i, vector in enumerate(vectors)]


def _row(number: int, vector: np.ndarray) -> Row:
    return Row(
        id=f"{number:032x}",
        source="s3://bucket/photos",
        path=f"{number % 1000:04}/IMG_{number:09}.jpg",
        content_hash=f"{number:064x}",
        phash=number,
        vector=vector,
        tags=TAGS,
        width=4032,
        height=3024,
        bytes=3_000_000,
        taken_at=None,
        modified_at=number,
        indexed_at=datetime.now(UTC),
        meta={},
    )


if __name__ == "__main__":
    main()
