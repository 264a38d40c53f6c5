"""Whether a worker's memory is bounded where Milvus is slow: a folder is indexed with Milvus as it is, and throttled.

    LOOKALIKE_MILVUS_URI=... LOOKALIKE_REDIS_URL=... python -m benchmarks.queue.backpressure FOLDER
        [--rate 100000] [--rounds 1]

Each round starts a worker anew twice: it speaks to Milvus, and then through a proxy that lets `rate` bytes a second of
what it sends through. Memory is that of the worker and all its children (proportional set sizes, so that what they
share counts once), ten times a second: idle, when the worker has said that it is there, and the most until its job
ended.

What bounds it is that nothing is begun for which there is no room: with Milvus throttled, a worker's chunks stand at
their last stage, as rows of 6 kB whose images are gone, and nothing is read. A worker that read and decoded on would
come to hold the folder's pictures, 150 kB each when decoded. That rows do not gather either shows only in a folder
whose rows are many times what idle memory wavers by.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.common import Bench, opened, photos
from benchmarks.processes import tree_pss
from benchmarks.queue.workers import indexed, workers
from benchmarks.reporting import arguments, in_turns, write_results
from embeddings.settings import read_settings
from indexer.open_jobs import open_queue
from indexer.queue.redis_jobs import RedisJobs
from indexer.sources.folder import Folder

LOOK_SECONDS = 0.1
PART = 4096  # bytes passed on in one go
MEGABYTE = 1_000_000


def main() -> None:
    """Measure and write the results."""
    asked = arguments(__doc__, folder=Path, rate=100_000, rounds=1)
    settings, source = read_settings(), Folder(asked.folder)
    with opened(settings) as bench, open_queue(settings, bench.embedder) as jobs:

        def throttled() -> dict[str, Any]:
            with proxy(settings.milvus_uri, asked.rate) as (uri, sent):
                passed = measured(source, bench, jobs, uri)
            return {**passed, "sent_mb": round(sum(sent) / MEGABYTE, 1)}

        ways = {"straight": lambda: measured(source, bench, jobs, settings.milvus_uri), "throttled": throttled}
        ways["straight"]()  # the first worker may have to convert the network
        runs = in_turns(ways, asked.rounds)
    peaks = {name: max(run["peak_mb"] for run in some) for name, some in runs.items()}
    write_results(
        "backpressure",
        {
            "folder": asked.folder.name,
            "folder_mb": round(sum(file.stat().st_size for file in photos(asked.folder)) / MEGABYTE),
            "chunk": settings.chunk,
            "bytes_a_second": asked.rate,
            **runs,
            "throttled_peak_to_straight": round(peaks["throttled"] / peaks["straight"], 3),
        },
    )


def measured(source: Folder, bench: Bench, jobs: RedisJobs, uri: str) -> dict[str, Any]:
    """Index the folder with a new worker whose Milvus is at `uri`; return seconds and megabytes."""
    with workers(1, jobs, LOOKALIKE_MILVUS_URI=uri) as (process,):
        seen = [tree_pss(process.pid)]
        job = indexed(source, bench, jobs, lambda: seen.append(tree_pss(process.pid)), LOOK_SECONDS)
    megabytes = {"idle_mb": round(seen[0] / MEGABYTE), "peak_mb": round(max(seen) / MEGABYTE)}
    return {"images": job.found, "seconds": round(job.seconds, 1), **megabytes}


@contextmanager
def proxy(uri: str, rate: int) -> Iterator[tuple[str, list[int]]]:
    """Pass connections on to Milvus: what clients send at `rate` bytes a second, all together, and answers at once.

    Yields the proxy's address and the sizes of what was sent.
    """
    target = urlsplit(uri).hostname or "", urlsplit(uri).port or 19530
    turn, sent = threading.Lock(), list[int]()

    def accept() -> None:
        with suppress(OSError):  # it is closed at the end
            while True:
                client, server = listener.accept()[0], socket.create_connection(target)
                threading.Thread(target=pass_on, args=(client, server, True), daemon=True).start()
                threading.Thread(target=pass_on, args=(server, client, False), daemon=True).start()

    def pass_on(source: socket.socket, to: socket.socket, slowly: bool) -> None:
        with suppress(OSError):
            while part := source.recv(PART):
                if slowly:
                    with turn:
                        time.sleep(len(part) / rate)
                        sent.append(len(part))
                to.sendall(part)
        with suppress(OSError):
            to.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        # connections take it over; the kernel's usual buffers would swallow all rows of a small folder
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PART)
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", sent
        finally:
            listener.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    main()
