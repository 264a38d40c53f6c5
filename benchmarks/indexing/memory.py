"""Memory of `lookalike index` over time, while it indexes many pictures.

    python -m benchmarks.indexing.memory FOLDER [--images 10000]

Into Milvus Lite, or into the server of LOOKALIKE_MILVUS_URI, whose own memory does not count. FOLDER's photos are
copied with different bytes until there are as many as wanted. What is sampled, four times a second, is the
proportional set size (PSS) of the command and all processes below it: memory they share counts once. `loaded` is the
same of a process that has opened a store and loaded the model, and does nothing. The model was used before, so that
it is not converted anew. The growth is that of the median of the run's last quarter over that of its second. Milvus
Lite keeps all rows in memory, a server has them elsewhere: `bytes_a_row` is what opening the finished collection adds
to `loaded`, a row. Half of the rows come between the middle of the second quarter and that of the last: the growth is
also given without them.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import copies, photos
from benchmarks.processes import COMMAND, lookalike, tree_pss
from benchmarks.reporting import arguments, write_results
from embeddings.settings import read_settings

EVERY_SECONDS = 0.25
MAX_POINTS = 120  # of those that the results keep
LOADED = """
import sys
from cli.common import settings_with, store_of
from embeddings.embedder import Embedder
settings = settings_with()
with store_of(settings) as store, Embedder(settings) as embedder:
    store.open(sys.argv[1]).count()
    embedder.engine
    print("ready", flush=True)
    sys.stdin.read()
"""


def main() -> None:
    """Measure and write the results."""
    asked = arguments(__doc__, folder=Path, images=10_000)
    originals = photos(asked.folder)
    with TemporaryDirectory() as place:
        folder, few, data = (Path(place) / name for name in ("photos", "few", "data"))
        copies(originals, folder, asked.images)
        copies(originals, few, 1)
        lookalike(data, "index", few, "--collection", "few")  # converts
        environment = os.environ | {"LOOKALIKE_DATA": str(data)}
        loaded = loaded_memory("few", environment)
        samples = sampled([COMMAND, "index", folder, "--collection", "all"], environment)
        rows = loaded_memory("all", environment) - loaded
    store = "server" if read_settings().milvus_uri else "lite"
    results = summary(loaded, rows, asked.images, samples)
    write_results(f"memory-{store}", {"folder": asked.folder.name, "images": asked.images, **results})


def loaded_memory(collection: str, environment: dict[str, str]) -> int:
    """Return the bytes that a process with an open collection and the model takes, and that does nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOADED, collection], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(1)
        return tree_pss(process.pid)


def sampled(command: list[Any], environment: dict[str, str]) -> list[tuple[float, int]]:
    """Run a command and return seconds since its start and bytes, again and again."""
    began, samples = time.perf_counter(), []
    process = subprocess.Popen(command, env=environment)
    while process.poll() is None:
        samples.append((time.perf_counter() - began, tree_pss(process.pid)))
        time.sleep(EVERY_SECONDS)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    return [(seconds, memory) for seconds, memory in samples if memory]


def summary(loaded: int, rows: int, images: int, samples: list[tuple[float, int]]) -> dict[str, Any]:
    """Return the figures of a run, whose rows take `rows` bytes, and some of its samples to draw."""
    memory = [value for _, value in samples]
    quarter = len(memory) // 4
    medians = [statistics.median(memory[n * quarter : (n + 1) * quarter]) for n in range(4)]
    step = -(-len(samples) // MAX_POINTS)
    return {
        "seconds": round(samples[-1][0], 1),
        "loaded_bytes": loaded,
        "peak_bytes": max(memory),
        "peak_above_loaded_bytes": max(memory) - loaded,
        "medians_of_quarters": [round(value) for value in medians],
        "last_quarter_to_second": round(medians[3] / medians[1], 4),
        "bytes_a_row": round(rows / images),
        "last_quarter_to_second_without_rows": round((medians[3] - rows / 2) / medians[1], 4),
        "samples": [[round(seconds, 1), round(value / 1e6)] for seconds, value in samples[::step]],
    }


if __name__ == "__main__":
    main()
