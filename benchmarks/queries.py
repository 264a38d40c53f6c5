"""Queries by upload at 1, 8, 32 and 128 at once, against their parts measured alone and against bulk indexing.

    python -m benchmarks.queries FOLDER [--rounds 3] [--seconds 10]

Indexes the photos of a folder into Milvus Lite (or the server of LOOKALIKE_MILVUS_URI), which gives the bulk rate, and
measures the parts of a query one by one: decoding a photo in the pool, the network on it alone, a search for 20 rows.
Then the real service answers `POST /v1/search` with photos of the folder as raw bodies. Its clients keep their
connections and share the machine's processors with it. Each round has a new service. In it queries one at a time follow
the parts, and 32 at once lie between two runs of bulk indexing, since a machine's speed may change in seconds. What is
given are medians over rounds, and every ratio is made within its round.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks.common import Bench, fresh, until_it_serves
from benchmarks.indexing import BATCH, index
from benchmarks.reporting import write_results
from embeddings.embedder import Embedder
from embeddings.settings import Settings
from indexer.pipeline.index_source import index_source
from indexer.sources.base import Reference
from indexer.sources.folder import Folder
from store import open_store
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    source = Folder(arguments.folder)
    files = [source.shown(item.path) for item in source.references() if isinstance(item, Reference)]
    with fresh() as bench:
        settings, engine = bench.settings, bench.embedder.engine.name
        collection = bench.store.create(settings.collection, bench.embedder.identity)
        index_source(source, collection, bench.embedder, settings.max_bytes, prune=False, listener=lambda _: None)
        rows = collection.count()
        bench.store.close()  # one process at a time has Milvus Lite: the service gets a copy
        photos = [Path(file).read_bytes() for file in files[:: max(1, len(files) // PHOTOS)]][:PHOTOS]
        with TemporaryDirectory() as folder:
            served = settings.model_copy(update={"data": Path(shutil.copytree(settings.data, Path(folder) / "data"))})
            rounds = [one_round(settings, served, source, photos, arguments.seconds) for _ in range(arguments.rounds)]
    write_results(
        "queries",
        {
            "folder": Path(source.root).name,
            "rows": rows,
            "store": "server" if settings.milvus_uri else "lite",
            "engine": engine,
            "medians": summary(rounds),
            "rounds": rounds,
        },
    )


def one_round(
    settings: Settings, served: Settings, source: Folder, photos: list[bytes], seconds: float
) -> dict[str, Any]:
    """Return what the parts take alone, the bulk rate, and what queries take."""
    images = sum(1 for _ in source.references())
    with (
        opened(settings) as bench,
        service(served) as address,
        ProcessPoolExecutor(1, get_context("spawn")) as clients,
    ):

        def asked(together: int, long: float = seconds) -> dict[str, float]:
            return clients.submit(ask, address, photos, together, long).result()

        bench.embedder.embed(photos[:BATCH])
        asked(8, 3.0)
        parts = parts_alone(bench, photos)
        queries = {"1": asked(1)}
        before = index(source, bench, "bulk")
        queries["32"] = asked(32)
        bulk = 2 * images / (before + index(source, bench, "bulk"))
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


@contextmanager
def opened(settings: Settings) -> Iterator[Bench]:
    """Open store and embedder while the context lasts."""
    with (
        open_store(settings.milvus_uri, settings.milvus_token, settings.data, settings.milvus_timeout) as store,
        Embedder(settings) as embedder,
    ):
        yield Bench(settings, store, embedder)


def parts_alone(bench: Bench, photos: list[bytes]) -> dict[str, float]:
    """Return the median milliseconds of the parts of a query, one query after the other."""
    collection = bench.store.open(bench.settings.collection)
    taken = [query_in_parts(bench.embedder, collection, photo) for photo in photos[:PARTS]]
    medians = np.median(np.array(taken), axis=0) * 1000
    return {name: round(float(ms), 2) for name, ms in zip(("decode", "network", "search"), medians, strict=True)}


def query_in_parts(embedder: Embedder, collection: Collection, photo: bytes) -> tuple[float, float, float]:
    """Return the seconds of decoding, network and search."""
    times = [time.perf_counter()]
    decoded = embedder.submit(photo).result()
    times.append(time.perf_counter())
    (embedding,) = embedder.finish([decoded])
    times.append(time.perf_counter())
    collection.search(embedding.vector[None], LIMIT)
    times.append(time.perf_counter())
    decode, network, search = np.diff(times)
    return float(decode), float(network), float(search)


def summary(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Return the median over rounds of every ratio."""
    names = [name for name in rounds[0] if "_to_" in name]
    return {name: round(statistics.median(done[name] for done in rounds), 3) for name in names}


@contextmanager
def service(settings: Settings) -> Iterator[str]:
    """Run `lookalike serve` over the same data and give its address."""
    command = [sys.executable, "lookalike.py", "serve", "--port", "0"]
    environment = os.environ | {"LOOKALIKE_DATA": str(settings.data), "LOOKALIKE_RATE_LIMIT": "0"}
    log = settings.data / "serve.log"
    with log.open("w") as errors:
        process = subprocess.Popen(command, env=environment, stderr=errors, text=True)
    try:
        yield until_it_serves(log)
    finally:
        process.terminate()
        process.wait()


def ask(address: str, photos: list[bytes], together: int, seconds: float) -> dict[str, float]:
    """Ask over and over on as many connections at once; return the rate and what a query takes, in milliseconds."""
    began = time.perf_counter()
    taken = asyncio.run(asking(address, photos, together, began + seconds))
    p50, p95, p99 = np.percentile(np.array(taken) * 1000, [50, 95, 99])
    rate = len(taken) / (time.perf_counter() - began)
    figures = {"per_second": rate, "p50_ms": float(p50), "p95_ms": float(p95), "p99_ms": float(p99)}
    return {name: round(value, 1) for name, value in figures.items()}


async def asking(address: str, photos: list[bytes], together: int, until: float) -> list[float]:
    """Return the seconds of every query of all connections."""
    requests, taken = cycle([request(address, photo) for photo in photos]), list[float]()

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
