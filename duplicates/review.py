"""The groups of a collection as they are shown: page by page, with their pictures, and without what was decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from duplicates.best_copy import best_of
from duplicates.clustering import Group, groups_of
from duplicates.decisions import Action, Decision, Decisions, Rules
from duplicates.evidence import Evidence, Kind
from duplicates.pair_store import PairSnapshot, PairStore
from embeddings.errors import NotFound, UsageError
from store.base import Collection
from store.records import Row

MAX_PICTURES = 500  # of one group that are shown


@dataclass(frozen=True)
class Copy:
    """One picture of a group: its row, how many files it stands for, and the evidence for its being in the group."""

    row: Row
    copies: int
    evidence: Evidence | None


@dataclass(frozen=True)
class Shown:
    """A group with its pictures; `reference` is the row that the evidence compares with."""

    group: Group
    kept: bool
    count: int
    pictures: list[Copy]
    best: Row
    why: str

    @property
    def reference(self) -> Row:
        """The picture in the middle of the group."""
        return next((copy.row for copy in self.pictures if copy.evidence is None), self.pictures[0].row)


class Review:
    """The groups of a collection as far as they are known now."""

    def __init__(self, collection: Collection, folder: Path) -> None:
        """Read what the last runs found, and what was decided. Raises StoreUnavailable or DiskFull."""
        self._collection = collection
        self._folder = folder
        with PairStore(folder, collection.name, collection.model) as pair_store:
            self._known: PairSnapshot = pair_store.known()
            self.complete_at = pair_store.completed_at()
        with Decisions(folder) as decisions:
            rules = Rules(decisions.all(collection.name))
        self._groups = groups_of(self._known, rules.separate)
        self._kept = {group.id for group in self._groups if rules.kept(frozenset(self._hashes(group)))}

    def groups(self, kind: Kind | None = None, kept: bool = False) -> list[Group]:
        """Return the groups (of one kind); those that were decided to be kept only with `kept`."""
        return [g for g in self._groups if (kind is None or g.kind is kind) and (kept or g.id not in self._kept)]

    def show(self, groups: Sequence[Group]) -> list[Shown]:
        """Return groups with their pictures; those that are no groups any more are left out."""
        asked = {id_ for group in groups for unit in group.units for id_ in self._ids(unit.contents)}
        rows = {row.id: row for row in self._collection.fetch(sorted(asked))}
        shown = (self._show(group, rows) for group in groups)
        return [group for group in shown if group is not None]

    def decide(self, group_id: str, action: Action) -> Decision:
        """Keep a decision about a group for good. Raises NotFound, or UsageError where it makes no sense."""
        group = next((group for group in self._groups if group.id == group_id), None)
        if group is None:
            raise NotFound(f"there is no group {group_id!r} in the collection {self._collection.name}", field="id")
        if group.kind is Kind.EXACT and action is Action.NOT_DUPLICATES:
            raise UsageError("files with the same bytes are duplicates; decide keep_all to keep them", field="decision")
        parts = [[self._known.hashes[content] for content in unit.contents] for unit in group.units]
        with Decisions(self._folder) as decisions:
            return decisions.put(self._collection.name, group_id, action, parts)

    def _show(self, group: Group, rows: dict[str, Row]) -> Shown | None:
        pictures = self._files(group, rows) if group.kind is Kind.EXACT else self._units(group, rows)
        if len(pictures) < 2:
            return None
        best, why = best_of([copy.row for copy in pictures])
        return Shown(group, group.id in self._kept, self._count(group), pictures, best, why)

    def _files(self, group: Group, rows: dict[str, Row]) -> list[Copy]:
        """Return every file of an exact group."""
        (unit,) = group.units
        content = self._known.hashes[unit.contents[0]]
        return [Copy(rows[i], 1, None) for i in self._ids(unit.contents) if _is(rows.get(i), content)]

    def _units(self, group: Group, rows: dict[str, Row]) -> list[Copy]:
        """Return the best file of each unit."""
        found = []
        for unit in group.units[:MAX_PICTURES]:
            there = [
                rows[id_]
                for content in unit.contents
                for id_ in self._ids((content,))
                if _is(rows.get(id_), self._known.hashes[content])
            ]
            if there:
                files = sum(len(self._known.pictures[content]) for content in unit.contents)
                found.append(Copy(best_of(there)[0], files, unit.evidence))
        return found

    def _ids(self, contents: tuple[int, ...]) -> list[str]:
        return [id_ for content in contents for id_ in self._known.pictures[content]][:MAX_PICTURES]

    def _count(self, group: Group) -> int:
        return len(self._known.pictures[group.contents[0]]) if group.kind is Kind.EXACT else len(group.units)

    def _hashes(self, group: Group) -> list[str]:
        return [self._known.hashes[content] for content in group.contents]


def _is(row: Row | None, content: str) -> bool:
    """Return whether a row is still there and still has this content."""
    return row is not None and row.content_hash == content
