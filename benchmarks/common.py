"""What the benchmarks share: a store and an embedder over a data directory that goes away, and reporting."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.reporting import RESULTS, copies, machine, write_results
from embeddings.embedder import Embedder
from embeddings.settings import Settings, read_settings
from store import open_store
from store.base import Store

__all__ = ["RESULTS", "Bench", "copies", "fresh", "machine", "until_it_serves", "write_results"]


@dataclass(frozen=True)
class Bench:
    """Settings with a fresh data directory, and what they open."""

    settings: Settings
    store: Store
    embedder: Embedder


@contextmanager
def fresh() -> Iterator[Bench]:
    """Open store and embedder over a data directory that is removed at the end."""
    with TemporaryDirectory() as folder:
        settings = read_settings().model_copy(update={"data": Path(folder)})
        store = open_store(settings.milvus_uri, settings.milvus_token, settings.data, settings.milvus_timeout)
        with store, Embedder(settings) as embedder:
            yield Bench(settings, store, embedder)


def until_it_serves(log: Path) -> str:
    """Return the address that a service says it has, in its log."""
    while True:
        lines = [line for line in log.read_text().splitlines() if line.startswith("serving ")]
        if lines:
            return lines[0].split()[1]
        time.sleep(0.2)
