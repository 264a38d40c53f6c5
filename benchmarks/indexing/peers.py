"""Indexing a folder against programs that others use for it, side by side in one run.

    python -m benchmarks.indexing.peers FOLDER PYTHON [--peers fastdup img2vec imagededup] [--rounds 3]

PYTHON is that of an environment of its own in which the peers are installed (`pip install fastdup imagededup
img2vec_pytorch`); one that is not is skipped. What each does is in peer.py: fastdup its whole run, img2vec and
imagededup vectors alone. Lookalike does all that a user gets: listing, hashes, EXIF, vectors, tags, rows in Milvus
Lite, flushed. On both sides imports and, where the peer lets one, the model are done before the clock starts; fastdup
loads its model within its run. Beside it stands the time of the whole process on both sides, from its start to its
end, lookalike's being the command `lookalike index` with a new collection and a model that was used before.

Weights of img2vec's and imagededup's models come from a hub; where it is not reached they are random, which the results
say. That costs the same arithmetic, but the vectors mean nothing: only time is compared here.

Peer and lookalike take turns; a ratio is that of the medians. Each peer gets a results file of its own.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import Bench, fresh, photos
from benchmarks.indexing.peer import NOT_INSTALLED, PEERS
from benchmarks.indexing.usual_loop import warm_up
from benchmarks.processes import lookalike
from benchmarks.reporting import arguments, in_turns, ratio_of_medians, rounded, write_results
from indexer.sources.folder import Folder

SCRIPT = Path(__file__).with_name("peer.py")


def main() -> None:
    """Measure each peer that is installed and write the ratios."""
    asked = arguments(__doc__, folder=Path, python=Path, peers=tuple(PEERS), rounds=3)
    files = photos(asked.folder)
    for file in files:  # so that the first to read them does not wait for the disk
        file.read_bytes()
    with fresh() as bench:
        warm_up(bench, files)
        for name in asked.peers:
            try:
                measured = compared(name, asked.python, asked.folder, bench, asked.rounds)
            except ModuleNotFoundError as missing:
                print(f"{missing}: skipped", file=sys.stderr)
                continue
            write_results(f"peers-{name}", {**bench.facts(asked.folder), "images": len(files), **measured})


def compared(name: str, python: Path, folder: Path, bench: Bench, rounds: int) -> dict[str, Any]:
    """Return what both took, in turns. Raises ModuleNotFoundError if the peer is not installed."""
    result: dict[str, Any] = {}

    def of_peer() -> tuple[float, float]:
        began = time.perf_counter()
        result.update(peer(name, python, folder))
        return result["seconds"], time.perf_counter() - began

    ways = {"peer": of_peer, "lookalike": lambda: (bench.timed_index(Folder(folder)), command(folder, bench))}
    taken = in_turns(ways, rounds)
    inside = {way: [work for work, _ in pairs] for way, pairs in taken.items()}
    whole = {way: [process for _, process in pairs] for way, pairs in taken.items()}
    return {
        "peer": name,
        "peer_version": result["version"],
        "peer_weights_are_random": result["random_weights"],
        "peer_images": result["images"],
        "seconds": rounded(inside | {f"{way}_process": values for way, values in whole.items()}),
        "ratio_of_medians": ratio_of_medians(inside["peer"], inside["lookalike"]),
        "ratio_of_whole_processes": ratio_of_medians(whole["peer"], whole["lookalike"]),
    }


def peer(name: str, python: Path, folder: Path) -> dict[str, Any]:
    """Run a peer in its own Python and return what it says. Raises ModuleNotFoundError if it is not installed."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    with TemporaryDirectory() as work:
        command = [python, SCRIPT, name, folder.resolve(), work]
        done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
        if done.returncode == NOT_INSTALLED:
            raise ModuleNotFoundError(f"{name} is not installed for {python.name}")
        if done.returncode:
            raise SystemExit(f"{name} failed with {done.returncode}:\n{done.stderr[-2000:]}")
        result: dict[str, Any] = json.loads((Path(work) / "result.json").read_text(encoding="utf-8"))
        return result


def command(folder: Path, bench: Bench) -> float:
    """Return the seconds of `lookalike index` in a process of its own and a new data directory."""
    with TemporaryDirectory() as data:
        shutil.copytree(bench.settings.data / "models", Path(data) / "models")
        return lookalike(data, "index", folder)


if __name__ == "__main__":
    main()
