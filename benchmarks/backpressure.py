"""Whether a worker's memory is bounded where Milvus is slow: a folder is indexed with Milvus as it is, and throttled.

    LOOKALIKE_MILVUS_URI=... LOOKALIKE_REDIS_URL=... python -m benchmarks.backpressure FOLDER [--rate 100000]

Each round starts a worker anew twice: it speaks to Milvus, and then through a proxy that lets `rate` bytes a second of
what it sends through. Memory is that of the worker and all its children (proportional set sizes, so that what they
share counts once), ten times a second: idle, when the worker has said that it is there, and the most until its job
ended.

What bounds it is that nothing is begun for which there is no room. A worker has three chunks at a time (--concurrency)
of 128 images (LOOKALIKE_CHUNK, 256 at most), and is given another when one is written and acknowledged: what waits,
waits in Redis, as references. Of a chunk at most 128 files or 64 MB are read ahead, as many bytes or four batches are
being decoded, three batches are at the network, and behind it are 256 rows that gather, two calls that wait and one
under way. So with Milvus throttled the chunks stand at their last stage, as rows of 6 kB whose images are gone, and
nothing is read. A worker that read and decoded on would come to hold the folder's pictures, 150 kB each when decoded.
That rows do not gather either shows only in a folder whose rows are many times what idle memory wavers by.
"""

import argparse
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.common import write_results
from benchmarks.orchestration import workers
from benchmarks.trees import tree_pss
from embeddings.embedder import Embedder
from embeddings.settings import Settings, read_settings
from indexer.jobs.base import JobStatus
from indexer.open_jobs import open_queue
from indexer.queue.redis_jobs import RedisJobs
from indexer.sources.folder import Folder
from store import open_store
from store.base import Store

COLLECTION = "backpressure"
LOOK_SECONDS = 0.1
PART = 4096  # bytes passed on in one go
MEGABYTE = 1_000_000


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rate", type=int, default=100_000, help="bytes a second from the worker to Milvus")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    source, settings = Folder(arguments.folder), read_settings()
    straight, throttled = [], []
    with (
        open_store(settings.milvus_uri, settings.milvus_token, settings.data, settings.milvus_timeout) as store,
        Embedder(settings) as embedder,
        open_queue(settings, embedder) as jobs,
    ):
        indexed(source, store, embedder, jobs, settings.milvus_uri)  # the first worker may have to convert the network
        for _ in range(arguments.rounds):
            straight.append(indexed(source, store, embedder, jobs, settings.milvus_uri))
            with Proxy(settings.milvus_uri, arguments.rate).running() as proxy:
                passed = indexed(source, store, embedder, jobs, proxy.uri)
                throttled.append({**passed, "sent_mb": round(proxy.sent / MEGABYTE, 1)})
            print(straight[-1], throttled[-1], flush=True)
    write_results("backpressure", _results(source, settings, arguments.rate, straight, throttled))


def _results(
    source: Folder, settings: Settings, rate: int, straight: list[dict[str, Any]], throttled: list[dict[str, Any]]
) -> dict[str, Any]:
    most = {name: max(run["peak_mb"] for run in runs) for name, runs in (("s", straight), ("t", throttled))}
    return {
        "folder": Path(source.root).name,
        "folder_mb": round(sum(file.stat().st_size for file in Path(source.root).rglob("*.*")) / MEGABYTE),
        "chunk": settings.chunk,
        "bytes_a_second": rate,
        "straight": straight,
        "throttled": throttled,
        "throttled_peak_to_straight": round(most["t"] / most["s"], 3),
    }


def indexed(source: Folder, store: Store, embedder: Embedder, jobs: RedisJobs, uri: str) -> dict[str, Any]:
    """Index the folder with a new worker whose Milvus is at `uri`; return seconds and megabytes."""
    store.create(COLLECTION, embedder.identity)
    try:
        with workers(1, jobs, LOOKALIKE_MILVUS_URI=uri) as (process,):
            idle = peak = tree_pss(process.pid)
            job = jobs.start_from(source.root, COLLECTION, False, {})
            while not job.state.ended:
                time.sleep(LOOK_SECONDS)
                peak = max(peak, tree_pss(process.pid))
                job = jobs.get(job.id)
        assert job.state is JobStatus.DONE, job
    finally:
        store.drop(COLLECTION)
    megabytes = {"idle_mb": round(idle / MEGABYTE), "peak_mb": round(peak / MEGABYTE)}
    return {"images": job.found, "seconds": round(job.seconds, 1), **megabytes}


class Proxy:
    """Passes connections on to Milvus: what clients send slowly, all together, and what it answers as it comes."""

    def __init__(self, uri: str, rate: int) -> None:
        """Let `rate` bytes a second through."""
        parts = urlsplit(uri)
        self._target = parts.hostname or "", parts.port or 19530
        self._rate = rate
        self._turn = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        # connections take it over; the kernel's usual buffers would swallow all rows of a small folder
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PART)
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Pass connections on while the context lasts."""
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed at the end
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._target)
                threading.Thread(target=self._pass_on, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, slowly: bool) -> None:
        with suppress(OSError):
            while part := source.recv(PART):
                if slowly:
                    self._wait(len(part))
                target.sendall(part)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _wait(self, number: int) -> None:
        with self._turn:
            time.sleep(number / self._rate)
            self.sent += number


if __name__ == "__main__":
    main()
