"""Queries by upload at 1, 8, 32 and 128 at once, against their parts measured alone and against bulk indexing.

    python -m benchmarks.service.queries FOLDER [--rounds 3] [--seconds 10]

Indexes the photos of a folder into Milvus Lite (or the server of LOOKALIKE_MILVUS_URI), which gives the bulk rate, and
measures the parts of a query one by one: decoding a photo in the pool, the network on it alone, a search for 20 rows.
Then the real service answers `POST /v1/search` with photos of the folder as raw bodies. Its clients keep their
connections and share the machine's processors with it. Each round has a new service. In it queries one at a time follow
the parts, and 32 at once lie between two runs of bulk indexing, since a machine's speed may change in seconds. What is
given are medians over rounds, and every ratio is made within its round.
"""

import asyncio
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks.common import Bench, fresh, opened, photos
from benchmarks.processes import serving
from benchmarks.reporting import arguments, medians, write_results
from embeddings.embedder import BATCH, Embedder
from embeddings.settings import Settings
from indexer.sources.folder import Folder
from store.base import Collection

TOGETHER = ("1", "8", "32", "128")
PARTS = 100  # queries that are taken apart in a round
PHOTOS = 256  # different ones that are sent
LIMIT = 20
HEAD = (
    "POST /v1/search?limit={limit} HTTP/1.1\r\nHost: {host}\r\n"
    "Content-Type: image/jpeg\r\nContent-Length: {size}\r\n\r\n"
)


def main() -> None:
    """Measure and write the results."""
    asked = arguments(__doc__, folder=Path, rounds=3, seconds=10.0)
    source, files = Folder(asked.folder), photos(asked.folder)
    with fresh() as bench:
        settings, facts = bench.settings, bench.facts(asked.folder)
        rows = bench.index(source, settings.collection)[0].count()
        bench.store.close()  # one process at a time has Milvus Lite: the service gets a copy
        sent = [file.read_bytes() for file in files[:: max(1, len(files) // PHOTOS)]][:PHOTOS]
        with TemporaryDirectory() as folder:
            data = shutil.copytree(settings.data, Path(folder) / "data")
            rounds = [one_round(settings, data, source, sent, asked.seconds) for _ in range(asked.rounds)]
    ratios = {name: [done[name] for done in rounds] for name in rounds[0] if "_to_" in name}
    write_results(
        "queries",
        {
            **facts,
            "rows": rows,
            "store": "server" if settings.milvus_uri else "lite",
            "medians": medians(ratios, 3),
            "rounds": rounds,
        },
    )


def one_round(settings: Settings, data: Path, source: Folder, sent: list[bytes], seconds: float) -> dict[str, Any]:
    """Return what the parts take alone, the bulk rate, and what queries take."""
    images = sum(1 for _ in source.references())
    with (
        opened(settings) as bench,
        serving(data, LOOKALIKE_RATE_LIMIT="0") as (address, _),
        ProcessPoolExecutor(1, get_context("spawn")) as clients,
    ):

        def asked(together: int, long: float = seconds) -> dict[str, float]:
            return clients.submit(ask, address, sent, together, long).result()

        bench.embedder.embed(sent[:BATCH])
        asked(8, 3.0)
        parts = parts_alone(bench, sent)
        queries = {"1": asked(1)}
        before = bench.timed_index(source)
        queries["32"] = asked(32)
        bulk = 2 * images / (before + bench.timed_index(source))
        queries |= {"8": asked(8), "128": asked(128)}
    alone, many = queries["1"], queries["32"]
    result = {
        "parts_ms": parts,
        "bulk_images_per_second": round(bulk, 1),
        "queries": {together: queries[together] for together in TOGETHER},
        "one_at_a_time_to_parts_and_3_ms": round(alone["p50_ms"] / (1.25 * sum(parts.values()) + 3), 3),
        "throughput_of_32_to_1": round(many["per_second"] / alone["per_second"], 2),
        "throughput_of_32_to_bulk": round(many["per_second"] / bulk, 2),
    }
    print(result, file=sys.stderr, flush=True)
    return result


def parts_alone(bench: Bench, sent: list[bytes]) -> dict[str, float]:
    """Return the median milliseconds of the parts of a query, one query after the other."""
    collection = bench.store.open(bench.settings.collection)
    taken = [query_in_parts(bench.embedder, collection, photo) for photo in sent[:PARTS]]
    medians_ms = np.median(np.array(taken), axis=0) * 1000
    return {name: round(float(ms), 2) for name, ms in zip(("decode", "network", "search"), medians_ms, strict=True)}


def query_in_parts(embedder: Embedder, collection: Collection, photo: bytes) -> np.ndarray:
    """Return the seconds of decoding, network and search."""
    times = [time.perf_counter()]
    decoded = embedder.submit(photo).result()
    times.append(time.perf_counter())
    (embedding,) = embedder.finish([decoded])
    times.append(time.perf_counter())
    collection.search(embedding.vector[None], LIMIT)
    times.append(time.perf_counter())
    return np.diff(times)


def ask(address: str, sent: list[bytes], together: int, seconds: float) -> dict[str, float]:
    """Ask over and over on as many connections at once; return the rate and what a query takes, in milliseconds."""
    began = time.perf_counter()
    taken = asyncio.run(asking(address, sent, together, began + seconds))
    rate = len(taken) / (time.perf_counter() - began)
    p50, p95, p99 = np.percentile(np.array(taken) * 1000, [50, 95, 99])
    figures = {"per_second": rate, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}
    return {name: round(float(value), 1) for name, value in figures.items()}


async def asking(address: str, sent: list[bytes], together: int, until: float) -> list[float]:
    """Return the seconds of every query of all connections."""
    requests, taken = cycle([request(address, photo) for photo in sent]), list[float]()

    async def client() -> None:
        place = urlsplit(address)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(next(requests))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            taken.append(time.perf_counter() - began)
            if not head.startswith(b"http/1.1 200"):
                raise RuntimeError(head.decode())
        writer.close()

    await asyncio.gather(*[client() for _ in range(together)])
    return taken


def request(address: str, photo: bytes) -> bytes:
    """Return a search by a photo as it goes over the wire: a client that does more would take the service's share."""
    return HEAD.format(limit=LIMIT, host=urlsplit(address).netloc, size=len(photo)).encode() + photo


if __name__ == "__main__":
    main()
