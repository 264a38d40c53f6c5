"""Everything that is stored or seen from outside by a name, in one document.

python tests/golden/names.py > tests/golden/names.json
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prometheus_client import CollectorRegistry
from support.redis_server import running_redis
from support.toy import TOY, ToyEmbedder

from api.app import create_app
from api.errors import PROBLEMS
from api.services.metrics import Metrics
from embeddings.models.identity import ModelIdentity
from embeddings.settings import PREFIX, Settings
from indexer.jobs.base import Libraries
from indexer.jobs.local import LocalJobs
from indexer.queue.celery_app import CHUNKS, EMBED, PLAN, PLANS
from indexer.queue.chunks import Chunk
from indexer.queue.job_specs import JobSpec
from indexer.queue.job_store import JobStore
from indexer.queue.metrics import WorkerGauges, WorkerMetrics
from indexer.sources.base import Reference
from store import open_store
from store.milvus.naming import SCHEMA_VERSION, axes_name
from store.projection import Projection
from store.testing import MemoryStore


def names() -> dict[str, Any]:
    """Return the document."""
    return {
        "settings": settings(),
        "errors": {kind.code: PROBLEMS[kind].status for kind in PROBLEMS},
        "openapi": openapi(),
        "metrics": {"service": metrics(Metrics()._registry), "worker": metrics(worker_registry())},
        "messages": messages(),
        "redis": redis_keys(),
        "milvus": milvus(),
    }


def settings() -> dict[str, str]:
    """Return the environment variables and what they are without being set."""
    fields = Settings.model_fields
    return {f"{PREFIX}{name}".upper(): str(field.default) for name, field in fields.items()}


def openapi() -> dict[str, Any]:
    """Return the components and operations of the OpenAPI document."""
    with TemporaryDirectory() as folder, ToyEmbedder() as embedder, MemoryStore() as store:
        given = Settings(data=Path(folder))
        with LocalJobs(store, embedder, Libraries({}), given.data / "jobs", given.max_bytes) as jobs:
            document = create_app(given, embedder, store, jobs).openapi()
    operations = [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]
    return {"components": sorted(document["components"]["schemas"]), "operations": sorted(operations)}


def metrics(registry: CollectorRegistry) -> list[str]:
    """Return the names of metrics with their labels' names, without those of the process."""
    found = {
        f"{sample.name}{sorted(sample.labels)}"
        for metric in registry.collect()
        for sample in metric.samples
        if metric.name.startswith("lookalike")
    }
    return sorted({metric.name for metric in registry.collect() if metric.name.startswith("lookalike")} | found)


def worker_registry() -> CollectorRegistry:
    """Return the registry of a worker."""
    return WorkerMetrics(WorkerGauges(lambda: {CHUNKS: 0}, lambda: 0.0, lambda: 0)).registry


def messages() -> dict[str, Any]:
    """Return queues, tasks, and a message to a worker."""
    references = (Reference("a.jpg", 5, 7, "id-1", {"album": "Rome"}),)
    message = Chunk("job", 1, "1.0", "/photos", references).to_message()
    return {"queues": [PLANS, CHUNKS], "tasks": [PLAN, EMBED], "chunk": message}


def redis_keys() -> list[str]:
    """Return the keys that a job leaves in Redis, with the fields of hashes."""
    with TemporaryDirectory() as folder, running_redis(Path(folder)) as server:
        store = JobStore(server.url)
        store.start(JobSpec("a0", "photos", True, "c", False, "toy", TOY.fingerprint, 0.0))
        store.announce("worker-1", {"host": "h", "pid": 1}, 100)
        store.claim("a0:1", 100)
        keys = {key: store._redis.type(key) for key in store._redis.keys("*")}
        found = [f"{text(key)} {text(kind)} {fields(store, key, text(kind))}".strip() for key, kind in keys.items()]
        store.close()
    return sorted(found)


def fields(store: JobStore, key: Any, kind: str) -> str:
    """Return the names of a hash's fields."""
    return ",".join(sorted(text(name) for name in store._redis.hkeys(key))) if kind == "hash" else ""


def text(value: Any) -> str:
    """Return what Redis gives as text."""
    return value.decode() if isinstance(value, bytes) else str(value)


def milvus() -> dict[str, Any]:
    """Return how collections and their fields are called in Milvus."""
    identity = ModelIdentity("toy", "0123456789ab", 4)
    with TemporaryDirectory() as folder, open_store("", "", Path(folder), 30.0) as store:
        store.create("family", identity)
        real = sorted(store._backend.run("list_collections"))
        described = store._backend.run("describe_collection", collection_name=real[0])
    schema = [
        {"name": field["name"], "type": str(field["type"]), "params": field.get("params", {})}
        for field in described["fields"]
    ]
    axes = axes_name("family", identity)
    return {
        "version": SCHEMA_VERSION,
        "collections": real,
        "description": described["description"],
        "fields": schema,
        "axes": axes,
        "projection": [field for field in Projection.__dataclass_fields__],
    }


if __name__ == "__main__":
    print(json.dumps(names(), indent=1))
