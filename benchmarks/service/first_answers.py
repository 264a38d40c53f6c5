"""How long a person at a terminal waits: `lookalike search` from its start to the answer, and `lookalike --help`.

    python -m benchmarks.service.first_answers FOLDER [--rounds 9]

FOLDER is indexed into Milvus Lite in a new data directory first, and searched once, so that each search measured is a
second start: nothing is converted any more. Seconds are those of the whole process; both commands take turns, and the
query is another photo of FOLDER each time. `python_start` is the same interpreter that does nothing.
"""

import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.common import photos
from benchmarks.processes import lookalike, seconds_of
from benchmarks.reporting import arguments, in_turns, medians, rounded, write_results


def main() -> None:
    """Measure and write the results."""
    asked = arguments(__doc__, folder=Path, rounds=9)
    files = photos(asked.folder)
    queries: Iterator[Path] = cycle(files[:: max(1, len(files) // (asked.rounds + 1))])
    with TemporaryDirectory() as data:
        lookalike(data, "index", asked.folder)
        ways = {
            "search": lambda: lookalike(data, "search", next(queries), "--json"),
            "help": lambda: lookalike(data, "--help"),
            "python_start": lambda: seconds_of(sys.executable, "-c", "pass"),
        }
        taken = in_turns(ways, asked.rounds, warm_up=True)
    results = {"seconds": rounded(taken, 3), "median_seconds": medians(taken, 3)}
    write_results("first_answers", {"folder": asked.folder.name, "images": len(files), **results})


if __name__ == "__main__":
    main()
