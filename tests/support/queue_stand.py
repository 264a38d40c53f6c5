"""The services of bulk jobs as real processes (Redis, Milvus, workers with a toy model), and checks of the outcome."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from embeddings.models.identity import ModelIdentity
from indexer.jobs.base import Job, Libraries
from indexer.queue.celery_app import CHUNKS, PLANS, PREFIX
from indexer.queue.redis_jobs import RedisJobs
from store import open_store
from store.base import Collection, Store
from support.redis_server import RedisServer, running_redis
from support.toy import COLOURS, TOY, ToyEmbedder, picture
from support.waiting import until

VISIBILITY = 4
MILVUS_SECONDS = 3.0
TESTS = Path(__file__).parents[1]


class Stand:
    """Redis and Milvus with jobs to start and workers to lose."""

    def __init__(self, folder: Path, redis: RedisServer, milvus_uri: str) -> None:
        self.folder = folder
        self.redis = redis
        self.milvus_uri = milvus_uri
        self.library = folder / "library"
        self.library.mkdir()
        self.collection = f"q{folder.name.replace('-', '_')}"
        self.libraries = {"library": str(self.library)}
        self.store: Store = open_store(milvus_uri, "", folder, timeout=30.0)
        self.jobs = self.open_jobs()
        self.workers: list[subprocess.Popen[bytes]] = []

    def open_jobs(self, identity: ModelIdentity = TOY) -> RedisJobs:
        libraries = Libraries(self.libraries)
        return RedisJobs(self.redis.url, VISIBILITY, lambda: identity, libraries, self.folder / "orders")

    def worker(self, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("LOOKALIKE_")}
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "support.toy_worker", *arguments],
                env=clean | self._settings() | settings,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.workers.append(process)
        return process

    def log(self) -> str:
        """Return what the workers said."""
        return (self.folder / "worker.log").read_text()

    def fill(self, number: int, folder: str = "") -> None:
        """Put pictures into the library, all with different bytes."""
        (self.library / folder).mkdir(exist_ok=True)
        colours = list(COLOURS)
        for i in range(number):
            data = picture(colours[i % 3], size=(8 + i % 50, 8 + i // 50))
            (self.library / folder / f"{i:05}.png").write_bytes(data)

    def start(self, prune: bool = False) -> Job:
        return self.jobs.start("library", self.collection, prune)

    def start_elsewhere(self) -> Job:
        """Start a job that has nothing to do with the others."""
        other = self.folder / "other"
        other.mkdir(exist_ok=True)
        (other / "one.png").write_bytes(picture("red"))
        return self.jobs.start_from(str(other), f"{self.collection}_other", False, {})

    def opened(self) -> Collection:
        return self.store.open(self.collection)

    def ended(self, job: Job, seconds: float = 60.0) -> Job:
        """Wait for a job's end."""
        self.until(lambda: self.jobs.get(job.id).state.ended, seconds)
        return self.jobs.get(job.id)

    def under_way(self, job: Job, least: int = 1) -> None:
        """Wait until a job has indexed something, and check that it has not ended."""
        self.until(lambda: self.jobs.get(job.id).indexed >= least)
        assert not self.jobs.get(job.id).state.ended

    def until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        until(condition, seconds, lambda: self.log()[-3000:])

    def messages(self) -> Mapping[str, int]:
        """Return how many messages wait or are not acknowledged."""
        client = self.redis.client
        return {
            PLANS: client.llen(PREFIX + PLANS),
            CHUNKS: client.llen(PREFIX + CHUNKS),
            "unacked": client.hlen(f"{PREFIX}unacked"),
            "unacked_index": client.zcard(f"{PREFIX}unacked_index"),
        }

    def check(self, job: Job) -> None:
        """Assert that nothing is lost and nothing doubled."""
        job = self.jobs.get(job.id)
        files = {str(path.relative_to(self.library)) for path in self.library.rglob("*.png")}
        failed = {failure.path for failure in self.jobs.failures(job.id)}
        known = list(self.opened().known())
        assert len({row.id for row in known}) == len(known), "an id came twice"
        paths = [row.path for row in known]
        assert len(set(paths)) == len(paths), "a path came twice"
        shown = {str(self.library / path) for path in files - set(paths)}
        assert shown == failed
        assert job.found == job.indexed + job.copied + job.skipped + job.failed == len(files)
        assert job.failed == len(failed)
        self._check_vectors([row.id for row in known])
        self.until(lambda: not any(self.messages().values()), 3 * VISIBILITY)

    def _check_vectors(self, ids: list[str]) -> None:
        rows = self.opened().fetch(ids[:: max(1, len(ids) // 20)], with_vectors=True)
        with ToyEmbedder() as embedder:
            fresh = embedder.embed([(self.library / row.path).read_bytes() for row in rows])
        for row, embedding in zip(rows, fresh, strict=True):
            assert row.vector is not None
            assert float(np.dot(row.vector, embedding.vector)) > 0.9999  # type: ignore[union-attr]

    def _settings(self) -> dict[str, str]:
        return {
            "LOOKALIKE_DATA": str(self.folder / "data"),
            "LOOKALIKE_MILVUS_URI": self.milvus_uri,
            "LOOKALIKE_MILVUS_TIMEOUT": str(MILVUS_SECONDS),
            "LOOKALIKE_REDIS_URL": self.redis.url,
            "LOOKALIKE_VISIBILITY_TIMEOUT": str(VISIBILITY),
            "LOOKALIKE_CHUNK": "32",
            "LOOKALIKE_LIBRARIES": ",".join(f"{name}={path}" for name, path in self.libraries.items()),
            "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}",
        }

    def close(self) -> None:
        for process in self.workers:
            kill(process)
        self.jobs.close()
        self.store.close()


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a worker and its decode processes with no chance to say goodbye."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def stand_at(folder: Path, milvus_uri: str) -> Iterator[Stand]:
    """Set everything up in a folder while the context lasts."""
    with running_redis(folder) as redis:
        stand = Stand(folder, redis, milvus_uri)
        try:
            yield stand
        finally:
            stand.close()
