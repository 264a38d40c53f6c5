"""Turns groups of duplicates into the documents that are sent, printed and exported, without a web framework."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from api.schemas.duplicates import CopyOut, DecisionOut, EvidenceOut, GroupOut
from api.schemas.serialize import thumbnail_address
from duplicates.clustering import Group
from duplicates.decisions import Decision
from duplicates.evidence import Evidence, Kind
from duplicates.review import Copy, GroupView, Review
from store.locations import display_path

GROUPS_PER_BATCH = 100
COLUMNS = (
    *("group", "kind", "kept", "best", "best_because", "id", "path", "width", "height", "bytes", "taken_at"),
    *("modified_at", "content_hash", "copies", "phash_distance", "mirrored", "score", "pixels"),
)
_NANOSECONDS = 1_000_000_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def group_documents(review: Review, groups: Sequence[Group], collection: str) -> Iterator[GroupOut]:
    """Yield the documents of groups, fetching the images of some groups at a time."""
    for start in range(0, len(groups), GROUPS_PER_BATCH):
        for view in review.show(groups[start : start + GROUPS_PER_BATCH]):
            yield _group(view, collection)


def decision_document(decision: Decision) -> DecisionOut:
    """Return a decision's document."""
    return DecisionOut(
        id=decision.group_id,
        decision=decision.action,
        decided_at=decision.decided_at,
        content_hashes=sorted(decision.contents),
    )


def csv_lines(groups: Iterable[GroupOut]) -> Iterator[str]:
    """Yield CSV, one line per image. Text that a spreadsheet would run as a formula gets a leading apostrophe."""
    yield _csv_line(COLUMNS)
    for group in groups:
        for image in group.images:
            yield _csv_line(
                (
                    *(group.id, group.kind, group.kept, image.id == group.best, group.best_because),
                    *(image.id, image.path, image.width, image.height, image.bytes, image.taken_at),
                    *(image.modified_at, image.content_hash, image.copies),
                    *_evidence_cells(image.evidence),
                )
            )


def json_parts(groups: Iterable[GroupOut]) -> Iterator[str]:
    """Yield the JSON text of a GroupsExport piece by piece."""
    yield '{"groups": ['
    for i, group in enumerate(groups):
        yield f"{',' if i else ''}\n{group.model_dump_json()}"
    yield "\n]}\n"


def _group(view: GroupView, collection: str) -> GroupOut:
    return GroupOut(
        id=view.group.id,
        kind=view.group.kind,
        kept=view.kept,
        count=view.count,
        best=view.best.id,
        best_because=view.why,
        reference=None if view.group.kind is Kind.EXACT else view.reference.id,
        images=[_copy(copy, collection) for copy in view.images],
    )


def _copy(copy: Copy, collection: str) -> CopyOut:
    row = copy.row
    return CopyOut(
        id=row.id,
        path=display_path(row),
        width=row.width,
        height=row.height,
        bytes=row.bytes,
        content_hash=row.content_hash,
        taken_at=row.taken_at,
        modified_at=datetime.fromtimestamp(row.modified_at / _NANOSECONDS, UTC),
        thumbnail=thumbnail_address(row.id, collection),
        copies=copy.copies,
        evidence=_evidence(copy.evidence),
    )


def _evidence(evidence: Evidence | None) -> EvidenceOut | None:
    if evidence is None:
        return None
    return EvidenceOut(
        phash_distance=evidence.distance,
        mirrored=evidence.mirrored,
        score=round(evidence.score, 6),
        pixels=None if evidence.pixels is None else round(evidence.pixels, 4),
    )


def _evidence_cells(evidence: EvidenceOut | None) -> Sequence[object]:
    if evidence is None:
        return [None] * 4
    return [evidence.phash_distance, evidence.mirrored, evidence.score, evidence.pixels]


def _csv_line(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([_cell(value) for value in values])
    return line.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
