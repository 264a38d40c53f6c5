"""What a process and all processes below it take of the memory and of the processors, as Linux tells it."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")  # a second


def tree_pss(root: int) -> int:
    """Return the bytes of proportional set size of a process and all below it; 0 once it has ended."""
    return sum(_pss(process) for process in _tree(root))


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
