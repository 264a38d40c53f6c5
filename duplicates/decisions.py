"""Stores the users' decisions about groups: 'keep all of them', 'these are not duplicates'.

Decisions name contents (the SHA-256 of a file's bytes), so they survive renamed and moved files, another indexing and
another model. Unlike everything else about duplicates they cannot be computed again, so they have their own file.
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
    """A decision about a group."""

    KEEP_ALL = "keep_all"  # duplicates, but all of them stay: hide the group
    NOT_DUPLICATES = "not_duplicates"  # no duplicates: never group them again


@dataclass(frozen=True)
class Decision:
    """A decision about a group; each of its `parts` has the content hashes that counted as one image in it."""

    group_id: str
    action: Action
    decided_at: datetime
    parts: tuple[tuple[str, ...], ...]

    @property
    def contents(self) -> frozenset[str]:
        """All content hashes."""
        return frozenset(content for part in self.parts for content in part)


class Decisions(Database):
    """The decisions of one data directory, by the names of collections."""

    def __init__(self, folder: Path) -> None:
        """Open the file in `folder`. Raises DiskFull or StoreUnavailable."""
        super().__init__(folder / "decisions.sqlite3", _SCHEMA, precious=True)

    def put(self, collection: str, group_id: str, action: Action, parts: Sequence[Sequence[str]]) -> Decision:
        """Store a decision, replacing an earlier one about the same group."""
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
        """Delete a decision; return whether there was one."""
        with self.transaction() as cursor:
            cursor.execute("DELETE FROM decision WHERE collection = ? AND group_id = ?", (collection, group_id))
            return cursor.rowcount > 0

    def all(self, collection: str) -> list[Decision]:
        """Return the decisions about a collection, latest first."""
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
    """The consequences of a collection's decisions for its groups."""

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self._kept = [decision.contents for decision in decisions if decision.action is Action.KEEP_ALL]
        self._apart: set[frozenset[str]] = set()
        for decision in decisions:
            if decision.action is Action.NOT_DUPLICATES:
                self._apart |= pairs_across([list(part) for part in decision.parts])

    def separate(self, first: str, second: str) -> bool:
        """Return whether two contents were declared not to be duplicates."""
        return frozenset((first, second)) in self._apart

    def kept(self, contents: frozenset[str]) -> bool:
        """Return whether one decision says that all of these contents stay."""
        return any(contents <= group for group in self._kept)
