"""What a process and all processes below it take of the memory, as Linux tells it."""

from pathlib import Path


def tree_pss(root: int) -> int:
    """Return the bytes of proportional set size of a process and all below it; 0 once it has ended."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):  # it has ended
                continue
    tree, found = {root}, 0
    while len(tree) > found:
        found = len(tree)
        tree |= {child for child, parent in parents.items() if parent in tree}
    return sum(_pss(process) for process in tree)


def _pss(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
