"""Indexing end to end on a device: by one process and by several, into a store that only counts and into Milvus Lite.

One process of `several` is `python -m benchmarks.gpu.indexing FOLDER DATA DEVICE MODEL DECODE_PROCESSES`, which says
when it is warm, begins when it is told to, and prints what it did as JSON.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from embeddings.embedder import Embedder
from embeddings.models.model import Model
from embeddings.settings import Settings, read_settings
from embeddings.utils import processors
from indexer.pipeline.index_source import index_source
from indexer.sources.base import Reference
from indexer.sources.folder import Folder
from store.records import IndexedFile, Row

PROCESSES = (1, 2, 4)
WARM = "warm\n"
USUAL_PHOTOS = 1024


class CountingCollection:
    """A collection (indexer.pipeline.writable_collection) that counts rows and keeps none."""

    def __init__(self) -> None:
        self.rows = 0

    def upsert(self, rows: Sequence[Row]) -> None:
        """Count rows."""
        self.rows += len(rows)

    def delete(self, ids: Sequence[str]) -> None:
        """Do nothing."""

    def known(self, source: str | None = None) -> Iterator[IndexedFile]:
        """Yield nothing."""
        return iter(())

    def lookup(self, ids: Sequence[str], strong: bool = True) -> dict[str, IndexedFile]:
        """Return nothing."""
        return {}

    def find_content(self, hashes: Sequence[str]) -> dict[str, Row]:
        """Return nothing."""
        return {}

    def flush(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Device:
    """What indexes: a torch device, a model and the folder that keeps its card."""

    device: torch.device
    model: str
    data: Path

    def settings(self, decode_processes: int = 0) -> Settings:
        """Return the settings of a process with so many decode processes."""
        changes = {
            "data": self.data,
            "model": self.model,
            "engine": "torch",
            "device": self.device.type,
            "milvus_uri": "",
            "decode_processes": decode_processes,
        }
        return read_settings().model_copy(update=changes)


def compared(folder: Path, on: Device, rounds: int) -> dict[str, Any]:
    """Return images a second of all ways."""
    results: dict[str, Any] = {"usual loop": round(usual_loop_rate(folder, on), 1)}
    for count in PROCESSES:
        if count <= processors():
            results[f"{count} processes" if count > 1 else "1 process"] = several(folder, on, count)
    with warm(on, 0) as embedder, TemporaryDirectory() as place:
        from store import open_store  # noqa: PLC0415 - what it needs may be missing

        with open_store("", "", Path(place), 30.0) as store:
            rates = []
            for number in range(rounds):
                collection = store.create(f"round{number}", embedder.identity)
                began = time.perf_counter()
                progress = index_source(Folder(folder), collection, embedder, 10**8, False, lambda _: None)
                rates.append(progress.indexed / (time.perf_counter() - began))
                store.drop(f"round{number}")
        results["1 process, into Milvus Lite"] = round(statistics.median(rates), 1)
    return {"images": sum(1 for item in Folder(folder).references() if isinstance(item, Reference)), **results}


def usual_loop_rate(folder: Path, on: Device) -> float:
    """Return images a second of the loop that most people write."""
    from benchmarks.indexing.usual_loop import usual_loop  # noqa: PLC0415 - what it needs may be missing

    source = Folder(folder)
    files = [source.shown(item.path) for item in source.references() if isinstance(item, Reference)][:USUAL_PHOTOS]
    network = Model(on.model, on.data).network.trunk.to(on.device)
    usual_loop(files[:64], network, on.device.type)
    return len(files) / usual_loop(files, network, on.device.type)


def several(folder: Path, on: Device, count: int) -> dict[str, float]:
    """Return images a second of several processes that share the device, each indexing the whole folder."""
    share = max(1, processors() // count)
    arguments = [str(folder), str(on.data), on.device.type, on.model, str(share)]
    command = [sys.executable, "-m", "benchmarks.gpu.indexing", *arguments]
    pipe = subprocess.PIPE
    children = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(count)]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == WARM
    told = [json.loads(out) for out in answers(children)]
    seconds = max(child["ended"] for child in told) - min(child["began"] for child in told)
    return {
        "images_per_second": round(sum(child["images"] for child in told) / seconds, 1),
        "processor_seconds_of_a_parent_per_1000_images": round(
            statistics.mean(1000 * child["processor_seconds"] / child["images"] for child in told), 3
        ),
    }


def answers(children: Sequence["subprocess.Popen[str]"]) -> list[str]:
    """Have processes begin together, and return what they print."""
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    return [child.communicate()[0] for child in children]


@contextmanager
def warm(on: Device, decode_processes: int) -> Iterator[Embedder]:
    """Open an embedder whose processes run and whose network has seen a whole batch."""
    with Embedder(on.settings(decode_processes)) as embedder:
        embedder.warm_up()
        spec = embedder.spec
        embedder.engine.run(np.zeros((embedder.batch, spec.height, spec.width, 3), np.uint8))
        yield embedder


def index_when_told(folder: Path, on: Device, decode_processes: int) -> None:
    """Index a folder twice, the first time to warm up, and print what the second time took."""
    with warm(on, decode_processes) as embedder:
        index_source(Folder(folder), CountingCollection(), embedder, 10**8, False, lambda _: None)
        print(WARM, end="", flush=True)
        sys.stdin.readline()
        began, used = time.time(), time.process_time()
        progress = index_source(Folder(folder), CountingCollection(), embedder, 10**8, False, lambda _: None)
        told = {"images": progress.indexed, "began": began, "ended": time.time()}
        print(json.dumps({**told, "processor_seconds": time.process_time() - used}))


if __name__ == "__main__":
    _, given, data, device, model, decode_processes = sys.argv
    index_when_told(Path(given), Device(torch.device(device), model, Path(data)), int(decode_processes))
