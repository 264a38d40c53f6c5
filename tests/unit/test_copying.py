"""Copying a collection: what goes over, what stays, and what is refused."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.toy import TOY

from embeddings.errors import ModelMismatch, StoreUnavailable, UsageError
from embeddings.models.identity import ModelIdentity
from embeddings.tagging.tag import Tag
from indexer.migration import copy
from indexer.migration.copy import CopyProgress, copy_rows, open_target
from indexer.migration.upload_files import Uploads
from store.locations import UPLOAD, upload_path
from store.projection import Projection
from store.records import Row
from store.testing import MemoryCollection, MemoryStore

WHEN = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)
OTHER = ModelIdentity("resnet50", "ba9876543210", 3)


def row(id_: str, **fields: Any) -> Row:
    values: dict[str, Any] = {
        "source": "/photos",
        "path": f"{id_}.jpg",
        "content_hash": f"hash of {id_}",
        "phash": 2**64 - 1,
        "vector": np.array([0.6, 0.8, 0], np.float32),
        "tags": (Tag("cat", 0.5),),
        "width": 40,
        "height": 30,
        "bytes": 2000,
        "taken_at": datetime(1999, 12, 31, 23, 59, 59),
        "modified_at": 1_700_000_000_123_456_789,
        "indexed_at": WHEN,
        "meta": {"album": "Rome"},
    }
    return Row(id=id_, **{**values, **fields})


def collections(rows: Sequence[Row], there: Sequence[Row] = ()) -> tuple[MemoryCollection, MemoryCollection]:
    source, target = MemoryStore().create("photos", TOY), MemoryStore().create("photos", TOY)
    source.upsert(rows)
    target.upsert(there)
    return source, target


def copied(source: MemoryCollection, target: MemoryCollection, merge: bool = False, **more: Any) -> CopyProgress:
    return copy_rows(source, target, more.get("uploads"), merge, more.get("listener", lambda _: None))


def counts(progress: CopyProgress) -> tuple[int, int, int, int]:
    return progress.found, progress.copied, progress.skipped, progress.kept


def check_same(source: MemoryCollection, target: MemoryCollection) -> None:
    rows, there = ({row.id: row for row in one.scan(with_vectors=True)} for one in (source, target))
    assert there == rows
    for id_, one in rows.items():
        np.testing.assert_allclose(there[id_].vector, one.vector, atol=1e-6)


def ids(collection: MemoryCollection) -> set[str]:
    return {known.id for known in collection.known()}


def test_every_row_goes_over_whole():
    rows = [
        row("my:own-id", meta={"deep": {"list": [1, None, "日本 😀"]}}, taken_at=None),
        row("日本語 \udcff", source="s3://bucket", tags=()),
        *(row(f"{n}", vector=np.array([1, n, 2], np.float32)) for n in range(1000)),
    ]
    source, target = collections(rows)
    progress = copied(source, target)
    assert counts(progress) == (1002, 1002, 0, 0) and progress.verified == copy.SAMPLE
    check_same(source, target)


def test_what_is_there_is_not_sent_again():
    source, target = collections([row("a"), row("b"), row("c")], [row("a"), row("b", tags=(Tag("dog", 0.5),))])
    assert counts(copied(source, target)) == (3, 2, 1, 0)
    check_same(source, target)
    assert counts(copied(source, target)) == (3, 0, 3, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"content_hash": "other"},
        {"meta": {"album": "Paris"}},
        {"tags": (Tag("cat", 0.6),)},
        {"path": "b.jpg"},
        {"phash": 1},
        {"modified_at": 5},
        {"taken_at": None},
        {"indexed_at": WHEN - timedelta(microseconds=1)},
    ],
)
def test_a_row_that_differs_in_anything_is_replaced(change):
    source, target = collections([row("a")], [row("a", **change)])
    assert counts(copied(source, target)) == (1, 1, 0, 0)
    check_same(source, target)


def test_a_row_that_was_indexed_later_stays():
    newer = row("a", indexed_at=WHEN + timedelta(microseconds=1), content_hash="new")
    source, target = collections([row("a"), row("b")], [newer])
    assert counts(copied(source, target)) == (2, 1, 0, 1)
    assert target.fetch(["a"]) == [newer]


def test_rows_from_elsewhere_are_not_mixed_in_unless_wanted():
    source, target = collections([row("a"), row("b")], [row("a"), row("x"), row("y")])
    with pytest.raises(UsageError, match=r"'photos' has 2 rows that 'photos' has not: .* --merge"):
        copied(source, target)
    assert ids(target) == {"a", "x", "y"}
    assert counts(copied(source, target, merge=True)) == (2, 1, 1, 0)
    assert ids(target) == {"a", "b", "x", "y"}


def test_an_empty_collection_can_be_copied():
    source, target = collections([])
    assert counts(copied(source, target)) == (0, 0, 0, 0)


def test_a_collection_of_another_model_is_refused():
    store, source = MemoryStore(), MemoryStore().create("photos", TOY)
    store.create("photos", OTHER)
    with pytest.raises(ModelMismatch, match=r"resnet50 \(ba9876543210\).* toy \(000000000001\).*name of its own"):
        open_target(store, "photos", source)
    assert open_target(store, "two", source).model == TOY


def test_a_compact_collection_is_copied_as_it_is():
    projection = Projection(TOY, np.zeros(3, np.float32), np.eye(3, dtype=np.float32)[:2])
    source = MemoryStore().create("photos", projection.identity, projection)
    source.upsert([row("a"), row("b", vector=np.array([1, 0, 0], np.float32))])
    store = MemoryStore()
    target = open_target(store, "photos", source)
    assert counts(copied(source, target)) == (2, 2, 0, 0)
    check_same(source, store.open("photos", TOY))
    full = MemoryStore().create("photos", TOY)
    with pytest.raises(ModelMismatch, match="takes no rows"):
        open_target(store, "photos", full)


def test_a_copy_that_was_stopped_goes_on():
    source, target = collections([row(f"{n}") for n in range(1000)])

    def stop(progress: CopyProgress) -> None:
        if progress.copied >= 700:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copied(source, target, listener=stop)
    there = target.count()
    assert there == 700
    assert counts(copied(source, target)) == (1000, 300, 700, 0)
    check_same(source, target)


def test_progress_tells_of_every_stage():
    source, target = collections([row(f"{n}") for n in range(250)], [row("0")])
    seen: list[tuple[str, int, int]] = []
    copied(source, target, listener=lambda p: seen.append((p.stage, p.done, p.total)))
    stages = [("compare", 1), ("copy", 250), ("verify", 250)]
    assert list(dict.fromkeys((stage, total) for stage, _, total in seen)) == stages
    assert all((stage, total, total) in seen for stage, total in stages)


class Lossy(MemoryCollection):
    """Loses what it is given, or changes it."""

    def __init__(self, change: Row | None) -> None:
        super().__init__(MemoryStore(), "photos", TOY)
        self._store._collections["photos"] = self
        self._change = change

    def upsert(self, rows: Sequence[Row]) -> None:
        kept = [one for one in rows if one.id != "b"]
        super().upsert([*kept, *([] if self._change is None else [self._change])])


def test_rows_that_do_not_arrive_are_noticed():
    source, _ = collections([row("a"), row("b")])
    with pytest.raises(StoreUnavailable, match=r"1 of 2 rows are not in 'photos'.*run the same again"):
        copied(source, Lossy(None))


@pytest.mark.parametrize("change", [{"vector": np.array([0.8, 0.6, 0], np.float32)}, {"meta": {}}])
def test_rows_that_arrive_changed_are_noticed(change):
    source, _ = collections([row("a"), row("b")])
    with pytest.raises(StoreUnavailable, match="the row 'b' is not the same"):
        copied(source, Lossy(row("b", **change)))


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    source, target = tmp_path / "old" / "photos", tmp_path / "new" / "photos"
    source.mkdir(parents=True)
    yield source, target


def test_files_of_uploads_come_along(folders):
    uploads = Uploads(*folders)
    rows = [row(id_, source=UPLOAD) for id_ in ("a", "../b", "gone")]
    for one in rows[:2]:
        upload_path(one.id, folders[0]).write_bytes(one.id.encode())
    source, target = collections([*rows, row("in a folder")])
    progress = copied(source, target, uploads=uploads)
    assert (progress.uploads, progress.files, progress.missing) == (3, 2, ["gone"])
    assert [upload_path(one.id, folders[1]).read_bytes() for one in rows[:2]] == [b"a", b"../b"]
    assert sorted(path.name for path in folders[1].iterdir()) == sorted(
        upload_path(one.id, folders[1]).name for one in rows[:2]
    )
    again = copied(source, target, uploads=uploads)
    assert (again.skipped, again.uploads, again.files) == (4, 3, 0)


def test_an_upload_that_is_missing_or_changed_is_brought_again(folders):
    uploads, one = Uploads(*folders), row("a", source=UPLOAD)
    first, second = (upload_path("a", folder) for folder in folders)
    first.write_bytes(b"old")
    assert uploads.copy_file(one) and not uploads.copy_file(one)
    second.unlink()
    assert uploads.copy_file(one)
    first.unlink()
    first.write_bytes(b"new one")
    assert second.read_bytes() == b"old"
    assert uploads.copy_file(one) and second.read_bytes() == b"new one"


def test_a_row_kept_in_the_target_keeps_its_file(folders):
    uploads = Uploads(*folders)
    upload_path("a", folders[0]).write_bytes(b"old")
    folders[1].mkdir(parents=True)
    upload_path("a", folders[1]).write_bytes(b"newer")
    newer = replace(row("a", source=UPLOAD), indexed_at=WHEN + timedelta(days=1))
    source, target = collections([row("a", source=UPLOAD)], [newer])
    progress = copied(source, target, uploads=uploads)
    assert (progress.kept, progress.uploads) == (1, 0)
    assert upload_path("a", folders[1]).read_bytes() == b"newer"
