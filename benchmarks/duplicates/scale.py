"""What looking for duplicates costs in a large collection, and what the partition into cells misses.

    python -m benchmarks.duplicates.scale [--rows 100000] [--dimension 1280]

Rows are made up: vectors around 2,000 centres, and one in fifty a copy of another, with a cosine of 0.9 to 0.99 and a
hash that differs in up to four bits. There are no files, so no pixels are compared. Then nothing has changed, and then
1,000 rows are new. Memory is the most that the process held during the first scan, less what it held before; that of
Milvus Lite, which runs in the process, is in it. Linux only.
"""

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.processes import cost
from benchmarks.reporting import arguments, write_results
from benchmarks.rows import row
from duplicates.pair_store import PairStore
from duplicates.scan import ImageDecoder, ReadBytes, ScanProgress, folder_of, scan
from embeddings.decode_pool.pool import DecodeLimits, DecodePool
from embeddings.errors import NotFound
from embeddings.models.identity import ModelIdentity
from embeddings.settings import read_settings
from store import open_store
from store.base import Collection
from store.projection import normalised
from store.records import Row

CENTRES = 2000
COPIES_EVERY = 50
ROWS_PER_CALL = 5000
NEW = 1000


def main() -> None:
    """Fill a collection, scan it three times, and write the results."""
    asked = arguments(__doc__, rows=100_000, dimension=1280)
    settings = read_settings()
    model = ModelIdentity("made-up", "0" * 12, asked.dimension)
    with (
        TemporaryDirectory() as data,
        open_store(settings.milvus_uri, settings.milvus_token, Path(data), settings.milvus_timeout) as store,
        DecodePool(DecodeLimits(1, 1, 1, 1)) as pool,
    ):
        collection = store.create("duplicates_benchmark", model)
        try:
            results = measured(collection, folder_of(Path(data)), asked.rows, pool)
        finally:
            store.drop("duplicates_benchmark")
    write_results("duplicates-scale", {"dimension": asked.dimension} | results)


def measured(collection: Collection, folder: Path, rows: int, pool: DecodePool) -> dict[str, Any]:
    """Return what three scans cost and found."""
    source = Source(collection.model.dimension)
    look = partial(timed_scan, collection, folder, unreadable, pool)
    planted = source.fill(collection, rows)
    first, taken = cost(look)
    again = look()
    planted |= source.fill(collection, NEW)
    after = look()
    with PairStore(folder, collection.name, collection.model) as ledger:
        known = ledger.snapshot()
    found = {frozenset((known.hashes[a], known.hashes[b])) for a, b in known.pairs}
    size = sum(file.stat().st_size for file in folder.glob("*.sqlite3*"))
    return {
        "rows": rows,
        "first_seconds": first,
        "unchanged_seconds": again,
        f"{NEW}_new_seconds": after,
        "peak_growth_mb": taken["peak_growth_mb"],
        "file_mb": round(size / 1e6),
        "planted": len(planted),
        "planted_found": round(len(planted & found) / len(planted), 4),
        "pairs": len(known.pairs),
    }


def timed_scan(collection: Collection, folder: Path, read: ReadBytes, decoder: ImageDecoder) -> dict[str, float]:
    """Look for duplicates and return the seconds of each stage."""
    began = {"difference": time.perf_counter()}

    def listen(progress: ScanProgress) -> None:
        began.setdefault(progress.stage, time.perf_counter())

    scan(collection, folder, read, decoder, listen)
    ends = [*list(began.values())[1:], time.perf_counter()]
    return {stage: round(end - start, 1) for (stage, start), end in zip(began.items(), ends, strict=True)}


def unreadable(row: Row) -> bytes:
    """Say that there is no file."""
    raise NotFound(f"{row.path} is made up")


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
        vectors = normalised(self._centres[which] + 0.9 * noise)
        hashes = self._random.integers(0, 2**63, number)
        for i in range(COPIES_EVERY - 1, number, COPIES_EVERY):
            cosine = self._random.uniform(0.9, 0.99)
            other = noise[i] - (noise[i] @ vectors[i - 1]) * vectors[i - 1]
            vectors[i] = cosine * vectors[i - 1] + np.sqrt(1 - cosine**2) * other / np.linalg.norm(other)
            hashes[i] = hashes[i - 1] ^ np.bitwise_or.reduce(1 << self._random.integers(0, 62, 4))
            planted.add(frozenset((f"{self._made + i:064x}", f"{self._made + i - 1:064x}")))
        rows = [row(self._made + i, vectors[i], phash=int(hashes[i])) for i in range(number)]
        self._made += number
        return rows


if __name__ == "__main__":
    main()
