"""How long a person at a terminal waits: `lookalike search` from its start to the answer, and `lookalike --help`.

    python -m benchmarks.first_answers FOLDER [--rounds 9]

FOLDER is indexed into Milvus Lite in a new data directory first, and searched once, so that each search measured is a
second start: nothing is converted any more. Seconds are those of the whole process; both commands take turns, and the
query is another photo of FOLDER each time. `python_start` is the same interpreter that does nothing.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import write_results
from indexer.sources.base import Reference
from indexer.sources.folder import Folder

COMMAND = Path(sys.executable).parent / "lookalike"


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    source = Folder(arguments.folder)
    files = [source.shown(item.path) for item in source.references() if isinstance(item, Reference)]
    taken: dict[str, list[float]] = {"search": [], "help": [], "python_start": []}
    with TemporaryDirectory() as data:
        environment = os.environ | {"LOOKALIKE_DATA": data}
        run(environment, COMMAND, "index", source.root)
        for number in range(arguments.rounds + 1):
            query = files[number * len(files) // (arguments.rounds + 1)]
            round_ = {
                "search": run(environment, COMMAND, "search", query, "--json"),
                "help": run(environment, COMMAND, "--help"),
                "python_start": run(environment, sys.executable, "-c", "pass"),
            }
            if number:  # the first warms everything up
                for name, seconds in round_.items():
                    taken[name].append(round(seconds, 3))
    write_results(
        "first_answers",
        {
            "folder": arguments.folder.name,
            "images": len(files),
            "seconds": taken,
            "median_seconds": {name: round(statistics.median(values), 3) for name, values in taken.items()},
        },
    )


def run(environment: dict[str, str], *command: Any) -> float:
    """Return the seconds that a command takes from its start to its end."""
    began = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
