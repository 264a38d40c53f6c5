"""What people decided about groups, kept for good: 'keep all of them', 'these are not duplicates'.

Decisions name contents (SHA-256 of files' bytes), so they survive renamed and moved files, indexing anew and another
model. They are the one thing about duplicates that cannot be worked out again, so they have a file of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from duplicates.clustering import pairs_across
from store.sqlite import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS decision (
    collection TEXT NOT NULL, group_id TEXT NOT NULL, action TEXT NOT NULL, decided_at TEXT NOT NULL,
    PRIMARY KEY (collection, group_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS member (
    collection TEXT NOT NULL, group_id TEXT NOT NULL, hash TEXT NOT NULL, part INTEGER NOT NULL,
    PRIMARY KEY (collection, group_id, hash),
    FOREIGN KEY (collection, group_id) REFERENCES decision ON DELETE CASCADE) WITHOUT ROWID
"""


class Action(StrEnum):
    """What can be decided about a group."""

    KEEP_ALL = "keep_all"  # they are alike, and all of them stay: do not show them again
    NOT_DUPLICATES = "not_duplicates"  # they are not alike: do not put them together again


@dataclass(frozen=True)
class Decision:
    """What was decided about a group; `parts` are the content hashes of what counted as one picture in it."""

    group_id: str
    action: Action
    decided_at: datetime
    parts: tuple[tuple[str, ...], ...]

    @property
    def contents(self) -> frozenset[str]:
        """All content hashes."""
        return frozenset(content for part in self.parts for content in part)


class Decisions(Database):
    """The decisions about the collections of one data directory, by the collections' names."""

    def __init__(self, folder: Path) -> None:
        """Open the file in `folder`. Raises DiskFull or StoreUnavailable."""
        super().__init__(folder / "decisions.sqlite3", _SCHEMA, precious=True)

    def put(self, collection: str, group_id: str, action: Action, parts: Sequence[Sequence[str]]) -> Decision:
        """Write a decision, in the place of an earlier one about the same group."""
        now = datetime.now(UTC).replace(microsecond=0)
        with self.transaction() as cursor:
            cursor.execute("DELETE FROM decision WHERE collection = ? AND group_id = ?", (collection, group_id))
            cursor.execute("INSERT INTO decision VALUES (?, ?, ?, ?)", (collection, group_id, action, now.isoformat()))
            cursor.executemany(
                "INSERT INTO member VALUES (?, ?, ?, ?)",
                [(collection, group_id, content, i) for i, part in enumerate(parts) for content in part],
            )
        return Decision(group_id, action, now, tuple(map(tuple, parts)))

    def undo(self, collection: str, group_id: str) -> bool:
        """Take a decision back; return whether there was one."""
        with self.transaction() as cursor:
            cursor.execute("DELETE FROM decision WHERE collection = ? AND group_id = ?", (collection, group_id))
            return cursor.rowcount > 0

    def all(self, collection: str) -> list[Decision]:
        """Return the decisions about a collection, the latest first."""
        with self.reading() as cursor:
            parts: dict[str, dict[int, list[str]]] = {}
            query = "SELECT group_id, part, hash FROM member WHERE collection = ? ORDER BY group_id, part, hash"
            for group_id, part, content in cursor.execute(query, (collection,)):
                parts.setdefault(group_id, {}).setdefault(part, []).append(content)
            query = (
                "SELECT group_id, action, decided_at FROM decision WHERE collection = ? "
                "ORDER BY decided_at DESC, group_id"
            )
            return [
                Decision(
                    group_id, Action(action), datetime.fromisoformat(at), tuple(map(tuple, parts[group_id].values()))
                )
                for group_id, action, at in cursor.execute(query, (collection,))
            ]


class Rules:
    """What the decisions about a collection mean for its groups."""

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self._kept = [decision.contents for decision in decisions if decision.action is Action.KEEP_ALL]
        self._apart: set[frozenset[str]] = set()
        for decision in decisions:
            if decision.action is Action.NOT_DUPLICATES:
                self._apart |= pairs_across([list(part) for part in decision.parts])

    def separate(self, first: str, second: str) -> bool:
        """Return whether two contents were said to be no duplicates."""
        return frozenset((first, second)) in self._apart

    def kept(self, contents: frozenset[str]) -> bool:
        """Return whether all of these contents were said to stay, together."""
        return any(contents <= some for some in self._kept)
