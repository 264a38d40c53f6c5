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
from store.locations import is_list, local_file
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
        count = self._count(group) if len(images) == MAX_IMAGES else len(images)
        return GroupView(group, group.id in self._kept, count, images, best, why)

    def _files(self, group: Group, rows: dict[str, Row]) -> list[Copy]:
        """Return every file of an exact group."""
        (unit,) = group.units
        content = self._snapshot.hashes[unit.contents[0]]
        existing = [rows[i] for i in self._ids(unit.contents) if _has_content(rows.get(i), content)]
        return [Copy(row, 1, None) for row in present(existing)]

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
            existing = present(existing)
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


def present(rows: Sequence[Row]) -> list[Row]:
    """Return the rows whose files are there as they were indexed, one for each file.

    A group says which files are spare, so it may not name one that has gone or changed, nor a link or another name of a
    file beside the file itself. Rows of other machines, and of roots that are not here now, count as there.
    """
    files: dict[tuple[int, int], tuple[bool, Row]] = {}
    elsewhere: list[Row] = []
    for row in rows:
        file = local_file(row.source, row.path)
        root = local_file(row.source, "")
        if file is None or root is None or not root.exists():
            elsewhere.append(row)
        elif (identity := _identity(file, row)) is not None:
            is_link = file.is_symlink()
            known = files.get(identity)
            if known is None or (known[0] and not is_link):
                files[identity] = is_link, row
    kept = {row.id for row in elsewhere} | {row.id for _, row in files.values()}
    return [row for row in rows if row.id in kept]


def _identity(file: Path, row: Row) -> tuple[int, int] | None:
    """Return device and inode of a row's file, None if it is gone or has other bytes as far as size and time tell."""
    try:
        status = file.stat()
    except OSError:
        return None
    has_same_time = is_list(row.source) or row.modified_at in (0, status.st_mtime_ns)  # lists have times of their own
    is_same = status.st_size == row.bytes and has_same_time
    return (status.st_dev, status.st_ino) if is_same else None
