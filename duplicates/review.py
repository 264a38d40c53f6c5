"""The groups of a collection for review: page by page, with their images, according to the decisions."""

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

MAX_IMAGES = 500  # of one group that are shown


@dataclass(frozen=True)
class Copy:
    """One image of a group: its row, the number of files it stands for, and the evidence for it."""

    row: Row
    copies: int
    evidence: Evidence | None


@dataclass(frozen=True)
class GroupView:
    """A group with its images; the evidence compares them with `reference`."""

    group: Group
    kept: bool
    count: int
    images: list[Copy]
    best: Row
    why: str

    @property
    def reference(self) -> Row:
        """The image in the centre of the group."""
        return next((copy.row for copy in self.images if copy.evidence is None), self.images[0].row)


class Review:
    """The groups of a collection that the scans have found so far."""

    def __init__(self, collection: Collection, folder: Path) -> None:
        """Read the stored pairs and the decisions. Raises StoreUnavailable or DiskFull."""
        self._collection = collection
        self._folder = folder
        with PairStore(folder, collection.name, collection.model) as pair_store:
            self._snapshot: PairSnapshot = pair_store.snapshot()
            self.complete_at = pair_store.completed_at()
        with Decisions(folder) as decisions:
            rules = Rules(decisions.all(collection.name))
        self._groups = groups_of(self._snapshot, rules.separate)
        self._kept = {group.id for group in self._groups if rules.kept(frozenset(self._hashes(group)))}

    def groups(self, kind: Kind | None = None, kept: bool = False) -> list[Group]:
        """Return the groups (of one kind), with `kept` also those of which all images are to stay."""
        return [g for g in self._groups if (kind is None or g.kind is kind) and (kept or g.id not in self._kept)]

    def show(self, groups: Sequence[Group]) -> list[GroupView]:
        """Return groups with their images; those of which less than two images are left are left out."""
        ids = {id_ for group in groups for unit in group.units for id_ in self._ids(unit.contents)}
        rows = {row.id: row for row in self._collection.fetch(sorted(ids))}
        views = (self._show(group, rows) for group in groups)
        return [view for view in views if view is not None]

    def decide(self, group_id: str, action: Action) -> Decision:
        """Store a decision about a group. Raises NotFound, or UsageError for a decision that makes no sense."""
        group = next((group for group in self._groups if group.id == group_id), None)
        if group is None:
            raise NotFound(f"there is no group {group_id!r} in the collection {self._collection.name}", field="id")
        if group.kind is Kind.EXACT and action is Action.NOT_DUPLICATES:
            raise UsageError("files with the same bytes are duplicates; decide keep_all to keep them", field="decision")
        parts = [[self._snapshot.hashes[content] for content in unit.contents] for unit in group.units]
        with Decisions(self._folder) as decisions:
            return decisions.put(self._collection.name, group_id, action, parts)

    def _show(self, group: Group, rows: dict[str, Row]) -> GroupView | None:
        images = self._files(group, rows) if group.kind is Kind.EXACT else self._units(group, rows)
        if len(images) < 2:
            return None
        best, why = best_of([copy.row for copy in images])
        return GroupView(group, group.id in self._kept, self._count(group), images, best, why)

    def _files(self, group: Group, rows: dict[str, Row]) -> list[Copy]:
        """Return every file of an exact group."""
        (unit,) = group.units
        content = self._snapshot.hashes[unit.contents[0]]
        return [Copy(rows[i], 1, None) for i in self._ids(unit.contents) if _has_content(rows.get(i), content)]

    def _units(self, group: Group, rows: dict[str, Row]) -> list[Copy]:
        """Return the best file of each unit."""
        copies = []
        for unit in group.units[:MAX_IMAGES]:
            existing = [
                rows[id_]
                for content in unit.contents
                for id_ in self._ids((content,))
                if _has_content(rows.get(id_), self._snapshot.hashes[content])
            ]
            if existing:
                files = sum(len(self._snapshot.images[content]) for content in unit.contents)
                copies.append(Copy(best_of(existing)[0], files, unit.evidence))
        return copies

    def _ids(self, contents: tuple[int, ...]) -> list[str]:
        return [id_ for content in contents for id_ in self._snapshot.images[content]][:MAX_IMAGES]

    def _count(self, group: Group) -> int:
        return len(self._snapshot.images[group.contents[0]]) if group.kind is Kind.EXACT else len(group.units)

    def _hashes(self, group: Group) -> list[str]:
        return [self._snapshot.hashes[content] for content in group.contents]


def _has_content(row: Row | None, content: str) -> bool:
    """Return whether a row still exists and still has this content."""
    return row is not None and row.content_hash == content
