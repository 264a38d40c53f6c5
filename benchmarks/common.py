"""What the benchmarks share: a data directory that goes away, and results files with date, machine and command."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from embeddings.embedder import Embedder
from embeddings.records import Store
from embeddings.settings import Settings, read_settings
from embeddings.store import open_store

RESULTS = Path(__file__).parent / "results"


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


def write_results(name: str, results: dict[str, Any]) -> None:
    """Print the results, and keep them with date, machine and command."""
    document = {"date": date.today().isoformat(), "machine": machine(), "command": _command(), **results}
    text = json.dumps(document, indent=2)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}-{document['date']}.json").write_text(text + "\n", encoding="utf-8")


def machine() -> str:
    """Return processor, cores and system in one line."""
    listing = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    named = [line.split(":", 1)[1].strip() for line in listing.splitlines() if line.startswith("Model name")]
    processor = named[0] if named else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def _command() -> str:
    arguments = [Path(a).name if Path(a).exists() else a for a in sys.argv[1:]]
    return " ".join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *arguments])
