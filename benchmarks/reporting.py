"""Command lines, rounds in which ways take turns, and results files; needs nothing that must be installed."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

RESULTS = Path(__file__).parent / "results"
T = TypeVar("T")


def arguments(description: str | None, **options: Any) -> argparse.Namespace:
    """Read the command line; an option's default tells its kind.

    A type makes it a positional argument, False a flag, a list one of several values, a tuple one of several of its
    words.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in options.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(default, type):
            parser.add_argument(name, type=default)
        elif default is False:
            parser.add_argument(flag, action="store_true")
        elif isinstance(default, list | tuple):
            choices = default if isinstance(default, tuple) else None
            parser.add_argument(flag, nargs="+", type=type(default[0]), default=default, choices=choices)
        else:
            parser.add_argument(flag, type=type(default), default=default)
    return parser.parse_args()


def in_turns(ways: Mapping[str, Callable[[], T]], rounds: int, warm_up: bool = False) -> dict[str, list[T]]:
    """Return what each way returned in each round; another way is first each time.

    With `warm_up` there is one round before that, which does not count.
    """
    taken: dict[str, list[T]] = {name: [] for name in ways}
    order = deque(ways)
    for number in range(-warm_up, rounds):
        done = {name: ways[name]() for name in order}
        order.rotate(1)
        print(f"round {number + 1}: {done}", file=sys.stderr, flush=True)
        for name, value in done.items() if number >= 0 else ():
            taken[name].append(value)
    return taken


def rounded(values: Mapping[str, Sequence[float]], digits: int = 2) -> dict[str, list[float]]:
    """Return the values of each way, rounded."""
    return {name: [round(value, digits) for value in some] for name, some in values.items()}


def medians(values: Mapping[str, Sequence[float]], digits: int = 2) -> dict[str, float]:
    """Return the median of each way, rounded."""
    return {name: round(statistics.median(some), digits) for name, some in values.items()}


def ratio_of_medians(ones: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the first to that of the others."""
    return round(statistics.median(ones) / statistics.median(others), 2)


def ratios(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return the ratios round by round."""
    return [one / other for one, other in zip(ones, others, strict=True)]


def write_results(name: str, results: dict[str, Any]) -> None:
    """Print the results, and keep them with date, machine and command."""
    document = {"date": date.today().isoformat(), "machine": machine(), "command": _command(), **results}
    text = json.dumps(document, indent=2)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}-{document['date']}.json").write_text(text + "\n", encoding="utf-8")


def newest(name: str) -> dict[str, Any]:
    """Return the newest results of a name. Raises FileNotFoundError if there are none."""
    found = sorted(RESULTS.glob(f"{name}-????-??-??.json"))
    if not found:
        raise FileNotFoundError(f"there are no results of {name}")
    results: dict[str, Any] = json.loads(found[-1].read_text(encoding="utf-8"))
    return results


def machine() -> str:
    """Return processor, cores and system in one line."""
    listing = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    named = [line.split(":", 1)[1].strip() for line in listing.splitlines() if line.startswith("Model name")]
    processor = named[0] if named else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def _command() -> str:
    words = [Path(word).name if Path(word).exists() else word for word in sys.argv[1:]]
    module = sys.modules["__main__"].__spec__.name.removesuffix(".__main__")
    return " ".join(["python", "-m", module, *words])
