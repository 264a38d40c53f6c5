"""Indexing a folder against programs that others use for it, side by side in one run.

    python -m benchmarks.peers FOLDER --peers-python PYTHON [--peers fastdup img2vec imagededup] [--rounds 3]

PYTHON is that of an environment of its own in which the peers are installed (`pip install fastdup imagededup
img2vec_pytorch`); one that is not is skipped. What each does is in benchmarks/peer.py: fastdup its whole run, img2vec
and imagededup vectors alone. Lookalike does all that a user gets: listing, hashes, EXIF, vectors, tags, rows in Milvus
Lite, flushed. On both sides imports and, where the peer lets one, the model are done before the clock starts; fastdup
loads its model within its run. Beside it stands the time of the whole process on both sides, from its start to its
end, lookalike's being the command `lookalike index` with a new collection and a model that was used before.

Weights of img2vec's and imagededup's models come from a hub; where it is not reached they are random, which the results
say. That costs the same arithmetic, but the vectors mean nothing: only time is compared here.

Peer and lookalike take turns; a ratio is that of the medians. Each peer gets a results file of its own.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import Bench, fresh, write_results
from benchmarks.indexing import index, warm_up
from benchmarks.peer import NOT_INSTALLED, PEERS
from indexer.sources.base import Reference
from indexer.sources.folder import Folder

COMMAND = Path(sys.executable).parent / "lookalike"
SCRIPT = Path(__file__).with_name("peer.py")


def main() -> None:
    """Measure each peer that is installed and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers-python", type=Path, required=True)
    parser.add_argument("--peers", nargs="+", choices=sorted(PEERS), default=sorted(PEERS))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    source = Folder(arguments.folder)
    files = [source.shown(item.path) for item in source.references() if isinstance(item, Reference)]
    with fresh() as bench:
        for file in files:  # so that the first to read them does not wait for the disk
            Path(file).read_bytes()
        warm_up(bench, files)
        for name in arguments.peers:
            measured = compared(name, arguments.peers_python, source, bench, arguments.rounds)
            if measured is None:
                print(f"{name} is not installed for {arguments.peers_python.name}: skipped", file=sys.stderr)
                continue
            facts = {"folder": Path(source.root).name, "images": len(files), "model": bench.settings.model}
            write_results(f"peers-{name}", {**facts, "engine": bench.embedder.engine.name, **measured})


def compared(name: str, python: Path, source: Folder, bench: Bench, rounds: int) -> dict[str, Any] | None:
    """Return what both took, in turns; None if the peer is not installed."""
    seconds: dict[str, list[float]] = {"peer": [], "lookalike": [], "peer_process": [], "lookalike_process": []}
    result: dict[str, Any] = {}
    for number in range(rounds):
        began = time.perf_counter()
        found = peer(name, python, source)
        if found is None:
            return None
        result = found
        taken = {
            "peer": result["seconds"],
            "peer_process": time.perf_counter() - began,
            "lookalike": index(source, bench, f"{name}{number}"),
            "lookalike_process": command(source, bench),
        }
        for what, value in taken.items():
            seconds[what].append(round(value, 2))
        print(f"{name}, round {number + 1}: {seconds}", file=sys.stderr, flush=True)
    median = {what: statistics.median(values) for what, values in seconds.items()}
    return {
        "peer": name,
        "peer_version": result["version"],
        "peer_weights_are_random": result["random_weights"],
        "peer_images": result["images"],
        "seconds": seconds,
        "ratio_of_medians": round(median["peer"] / median["lookalike"], 2),
        "ratio_of_whole_processes": round(median["peer_process"] / median["lookalike_process"], 2),
    }


def peer(name: str, python: Path, source: Folder) -> dict[str, Any] | None:
    """Run a peer in its own Python and return what it says; None if it is not installed."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    with TemporaryDirectory() as work:
        done = subprocess.run(
            [python, SCRIPT, name, source.root, work], env=clean, capture_output=True, text=True, check=False
        )
        if done.returncode == NOT_INSTALLED:
            return None
        if done.returncode:
            raise SystemExit(f"{name} failed with {done.returncode}:\n{done.stderr[-2000:]}")
        result: dict[str, Any] = json.loads((Path(work) / "result.json").read_text(encoding="utf-8"))
        return result


def command(source: Folder, bench: Bench) -> float:
    """Return the seconds of `lookalike index` in a process of its own and a new data directory."""
    with TemporaryDirectory() as data:
        shutil.copytree(bench.settings.data / "models", Path(data) / "models")
        environment = os.environ | {"LOOKALIKE_DATA": data}
        began = time.perf_counter()
        subprocess.run([COMMAND, "index", source.root], env=environment, capture_output=True, check=True)
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
