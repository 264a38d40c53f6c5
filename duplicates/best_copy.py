"""Which of several copies is the best one, and why."""

from collections.abc import Callable, Sequence
from typing import Any

from store.records import Row

# what is compared first decides first; of equal ones the smaller value is the better
_CRITERIA: tuple[tuple[str, Callable[[Row], Any]], ...] = (
    ("resolution", lambda row: -row.width * row.height),
    ("camera_date", lambda row: row.taken_at is None),
    ("size", lambda row: -row.bytes),
    ("date", lambda row: (row.taken_at.isoformat() if row.taken_at else "", row.modified_at)),
    ("path", lambda row: (len(row.path), row.path, row.source, row.id)),
)


def best_of(rows: Sequence[Row]) -> tuple[Row, str]:
    """Return the best of some rows, and what it has over the next best.

    That is the higher `resolution`; else the one with the camera's date (`camera_date`), which programs that save a
    picture again often lose; else the larger file (`size`); else the earlier `date`, the camera's or else the file's;
    else the shorter `path`.
    """
    ranked = sorted(rows, key=lambda row: tuple(value(row) for _, value in _CRITERIA))
    first, second = ranked[0], ranked[min(1, len(ranked) - 1)]
    return first, next((name for name, value in _CRITERIA if value(first) != value(second)), "path")
