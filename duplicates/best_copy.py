"""Chooses the best of several copies, and says why."""

from collections.abc import Callable, Sequence
from typing import Any

from store.records import Row

# the first criterion that differs decides; the smaller value is better
_CRITERIA: tuple[tuple[str, Callable[[Row], Any]], ...] = (
    ("resolution", lambda row: -row.width * row.height),
    ("camera_date", lambda row: row.taken_at is None),
    ("size", lambda row: -row.bytes),
    ("date", lambda row: (row.taken_at.isoformat() if row.taken_at else "", row.modified_at)),
    ("path", lambda row: (len(row.path), row.path, row.source, row.id)),
)


def best_of(rows: Sequence[Row]) -> tuple[Row, str]:
    """Return the best of some rows, and the criterion that sets it apart from the next best.

    The criteria are, in this order: the higher `resolution`; a date from the camera (`camera_date`), which programs
    often lose when they save an image again; the larger file (`size`); the earlier `date`, the camera's or else the
    file's; the shorter `path`.
    """
    ranked = sorted(rows, key=lambda row: tuple(value(row) for _, value in _CRITERIA))
    first, second = ranked[0], ranked[min(1, len(ranked) - 1)]
    return first, next((name for name, value in _CRITERIA if value(first) != value(second)), "path")
