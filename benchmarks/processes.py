"""Processes that benchmarks start, and what processes take of memory and processors, as Linux tells it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

COMMAND = Path(sys.executable).parent / "lookalike"
SERVE = (sys.executable, "lookalike.py", "serve", "--port", "0")
TICKS = os.sysconf("SC_CLK_TCK")  # a second


def lookalike(data: Path | str, *words: Any) -> float:
    """Run a command of lookalike over a data directory; return the seconds from its start to its end."""
    return seconds_of(COMMAND, *words, LOOKALIKE_DATA=str(data))


def seconds_of(*command: Any, **settings: str) -> float:
    """Run a command; return the seconds from its start to its end."""
    began = time.perf_counter()
    subprocess.run(command, env=os.environ | settings, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


@contextmanager
def serving(
    data: Path, command: Sequence[str] = SERVE, **settings: str
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run the service over a data directory; yield its address and its process."""
    log = data / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, env=os.environ | {"LOOKALIKE_DATA": str(data)} | settings, stderr=file)
    try:
        while not (lines := [line for line in log.read_text().splitlines() if line.startswith("serving ")]):
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
        yield lines[0].split()[1], process
    finally:
        process.terminate()
        process.wait()


def cost(work: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """Do some work; return its result, its seconds, and by how many MB this process grew at most."""
    before = _held("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the kernel notes the peak anew
    began = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    return result, {"seconds": round(seconds, 2), "peak_growth_mb": round((_held("VmHWM") - before) / 1024)}


def _held(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))  # kB


def tree_pss(root: int, itself: bool = True) -> int:
    """Return the bytes of proportional set size of a process (with `itself`) and all below it; 0 once it has ended."""
    return sum(_pss(process) for process in _tree(root) if itself or process != root)


def tree_processor_seconds(root: int) -> float:
    """Return the seconds that processors worked for a process and all below it, those that have ended included."""
    return sum(sum(map(int, _stat(process)[11:15])) for process in _tree(root)) / TICKS


def _tree(root: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            parents[int(entry.name)] = int(stat[1])
    tree, found = {root}, 0
    while len(tree) > found:
        found = len(tree)
        tree |= {child for child, parent in parents.items() if parent in tree}
    return tree


def _stat(process: int) -> list[str]:
    """Return the fields of a process from its state on, none once it has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _pss(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
