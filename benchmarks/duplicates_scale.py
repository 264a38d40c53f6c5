"""What looking for duplicates costs in a large collection, and what the partition into cells misses.

    python -m benchmarks.duplicates_scale [--rows 100000] [--dimension 1280]

Rows are made up: vectors around 2,000 centres, and one in fifty a copy of another, with a cosine of 0.9 to 0.99 and a
hash that differs in up to four bits. There are no files, so no pixels are compared. Then nothing has changed, and then
1,000 rows are new. Memory is the most that the process held during the first scan, less what it held before; that of
Milvus Lite, which runs in the process, is in it. Linux only.
"""

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.common import write_results
from duplicates.pair_store import PairStore
from duplicates.scan import folder_of, scan
from embeddings.decode_pool.pool import DecodeLimits, DecodePool
from embeddings.errors import NotFound
from embeddings.models.identity import ModelIdentity
from embeddings.settings import read_settings
from store import open_store
from store.base import Collection
from store.records import Row

CENTRES = 2000
COPIES_EVERY = 50
ROWS_PER_CALL = 5000
NEW = 1000


def main() -> None:
    """Fill a collection, scan it three times, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=1280)
    arguments = parser.parse_args()
    settings = read_settings()
    model = ModelIdentity("made-up", "0" * 12, arguments.dimension)
    with TemporaryDirectory() as folder:
        store = open_store(settings.milvus_uri, settings.milvus_token, Path(folder), settings.milvus_timeout)
        with store:
            collection = store.create("duplicates_benchmark", model)
            try:
                results = measured(collection, Path(folder), arguments.rows)
            finally:
                store.drop("duplicates_benchmark")
    write_results("duplicates-scale", {"dimension": arguments.dimension} | results)


def measured(collection: Collection, data: Path, rows: int) -> dict[str, Any]:
    """Return what three scans cost and found."""
    source = Source(collection.model.dimension)
    planted = source.fill(collection, rows)
    before = held_now()
    first = timed(collection, data)
    grown = most_held() - before
    again = timed(collection, data)
    planted |= source.fill(collection, NEW)
    after = timed(collection, data)
    with PairStore(folder_of(data), collection.name, collection.model) as ledger:
        known = ledger.snapshot()
    found = {frozenset((known.hashes[a], known.hashes[b])) for a, b in known.pairs}
    size = sum(file.stat().st_size for file in folder_of(data).glob("*.sqlite3*"))
    return {
        "rows": rows,
        "first_seconds": first,
        "unchanged_seconds": again,
        f"{NEW}_new_seconds": after,
        "peak_growth_mb": round(grown),
        "file_mb": round(size / 1e6),
        "planted": len(planted),
        "planted_found": round(len(planted & found) / len(planted), 4),
        "pairs": len(known.pairs),
    }


class Source:
    """Makes rows up, always the same ones."""

    def __init__(self, dimension: int) -> None:
        self._random = np.random.default_rng(7)
        self._centres = self._random.normal(size=(CENTRES, dimension)).astype(np.float32)
        self._made = 0

    def fill(self, collection: Collection, number: int) -> set[frozenset[str]]:
        """Write rows; return the pairs of contents that are copies."""
        planted: set[frozenset[str]] = set()
        for start in range(0, number, ROWS_PER_CALL):
            rows = self._rows(min(ROWS_PER_CALL, number - start), planted)
            collection.upsert(rows)
        collection.flush()
        return planted

    def _rows(self, number: int, planted: set[frozenset[str]]) -> list[Row]:
        which = self._random.integers(0, CENTRES, number)
        noise = self._random.normal(size=(number, self._centres.shape[1])).astype(np.float32)
        vectors = self._centres[which] + 0.9 * noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        hashes = self._random.integers(0, 2**63, number)
        for i in range(COPIES_EVERY - 1, number, COPIES_EVERY):
            cosine = self._random.uniform(0.9, 0.99)
            other = noise[i] - (noise[i] @ vectors[i - 1]) * vectors[i - 1]
            vectors[i] = cosine * vectors[i - 1] + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)
            hashes[i] = hashes[i - 1] ^ np.bitwise_or.reduce(1 << self._random.integers(0, 62, 4))
            planted.add(frozenset((f"{self._made + i:064}", f"{self._made + i - 1:064}")))
        rows = [row(self._made + i, int(hashes[i]), vectors[i]) for i in range(number)]
        self._made += number
        return rows


def row(number: int, phash: int, vector: np.ndarray) -> Row:
    """Return a made-up row."""
    return Row(
        id=f"{number:032}",
        source="/nowhere",
        path=f"{number}.jpg",
        content_hash=f"{number:064}",
        phash=phash,
        vector=vector,
        tags=(),
        width=4000,
        height=3000,
        bytes=1,
        taken_at=None,
        modified_at=0,
        indexed_at=datetime.now(UTC),
        meta={},
    )


def timed(collection: Collection, data: Path) -> dict[str, float]:
    """Look for duplicates; return the seconds of each stage."""
    began: dict[str, float] = {"difference": time.perf_counter()}
    with DecodePool(DecodeLimits(1, 1, 1, 1)) as pool:
        scan(collection, folder_of(data), unreadable, pool, lambda p: began.setdefault(p.stage, time.perf_counter()))
    ends = [*list(began.values())[1:], time.perf_counter()]
    return {stage: round(end - start, 1) for (stage, start), end in zip(began.items(), ends, strict=True)}


def unreadable(row: Row) -> bytes:
    """Say that there is no file."""
    raise NotFound(f"{row.path} is made up")


def held_now() -> float:
    """Return the memory this process holds, in MB, and begin to note the most it holds from now on."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def most_held() -> float:
    """Return the most memory held since `held_now`, in MB."""
    return _memory("VmHWM")


def _memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


if __name__ == "__main__":
    main()
