"""Compacting a collection and going back, while rows come and go."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from support.toy import TOY

from embeddings.errors import StoreUnavailable, UsageError
from embeddings.models.identity import ModelIdentity
from indexer.migration.compact import Compaction
from indexer.migration.recall import ExactRecall
from indexer.migration.restore import Restore
from store.base import Collection
from store.records import Row
from store.testing import MemoryStore

WHEN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
VECTORS = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
ROWS = 50


def row(number: int, **fields: Any) -> Row:
    values: dict[str, Any] = {
        "source": "/photos",
        "path": f"{number}.jpg",
        "content_hash": f"hash {number}",
        "phash": 0,
        "vector": VECTORS[number],
        "tags": (),
        "width": 1,
        "height": 1,
        "bytes": 1,
        "taken_at": None,
        "modified_at": 1,
        "indexed_at": WHEN,
        "meta": {},
    }
    return Row(id=f"{number:02}", **{**values, **fields})


def ids(collection: Collection) -> set[str]:
    return {known.id for known in collection.known()}


def numbers(*left_out: int, more: Sequence[int] = ()) -> set[str]:
    return {f"{n:02}" for n in [*range(ROWS), *more] if n not in left_out}


def quiet(stage: str, done: int, total: int) -> None:
    pass


@pytest.fixture
def store() -> MemoryStore:
    made = Meddled()
    made.create("photos", TOY).upsert([row(n) for n in range(ROWS)])
    return made


class Meddled(MemoryStore):
    """Does something just before each switch, as another process may."""

    def __init__(self) -> None:
        super().__init__()
        self.before_switch: Callable[[], None] = lambda: None

    def switch(self, name: str, collection: Collection) -> None:
        self.before_switch()
        super().switch(name, collection)


def test_a_compact_collection_has_every_row_and_tells_what_it_keeps(store):
    task = Compaction(store, "photos", 2, quiet)
    measured = task.build()
    assert store.open("photos").model == TOY
    assert (measured.rows, measured.dimension_before, measured.dimension, measured.queries) == (ROWS, 3, 2, ROWS)
    assert 0.4 < measured.kept < 1
    task.switch()
    compact = store.open("photos", TOY)
    assert compact.model.dimension == 2 and ids(compact) == numbers()
    assert compact.search(VECTORS[7:8], 1)[0][0].row == replace(row(7), vector=None)


def test_what_is_written_and_removed_meanwhile_is_not_lost_and_does_not_come_back(store):
    full, stages = store.open("photos"), []

    def meddle(stage: str, done: int, total: int) -> None:
        if stage not in stages:
            stages.append(stage)
            number = 50 + len(stages)  # 51 while fitting, 52 while building, 53 while checking
            full.upsert([row(number), row(len(stages), path="moved", indexed_at=WHEN + timedelta(seconds=1))])
            full.delete([f"{10 + len(stages):02}"])

    task = Compaction(store, "photos", 2, meddle)
    task.build()
    store.before_switch = lambda: (full.upsert([row(54), row(4, path="moved")]), full.delete(["14"]))
    task.switch()
    compact = store.open("photos")
    assert stages == ["fit", "build", "check"]
    assert ids(compact) == numbers(11, 12, 13, 14, more=[51, 52, 53, 54])
    assert {known.id for known in compact.known() if known.path == "moved"} == {"01", "02", "03", "04"}
    for number in (1, 54):
        (found,) = compact.fetch([f"{number:02}"], with_vectors=True)
        np.testing.assert_allclose(found.vector, compact.projection.apply(VECTORS[number : number + 1])[0], atol=1e-6)


def test_rows_that_do_not_arrive_stop_the_switch(store):
    task = Compaction(
        store, "photos", 2, lambda stage, *_: stage == "check" and store.siblings("photos")[0].delete(["07"])
    )
    with pytest.raises(StoreUnavailable, match="1 rows did not arrive"):
        task.build()
    assert store.open("photos").model == TOY


def test_what_was_stopped_is_begun_anew(store):
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "build":
            raise KeyboardInterrupt

    task = Compaction(store, "photos", 2, stop)
    with pytest.raises(KeyboardInterrupt):
        task.build()
    assert store.open("photos").model == TOY and len(store.siblings("photos")) == 1
    task.abandon()
    assert store.siblings("photos") == [] and ids(store.open("photos")) == numbers()
    again = Compaction(store, "photos", 2, quiet)
    again.build()
    again.switch()
    again.abandon()  # in use: nothing goes
    assert ids(store.open("photos")) == numbers() and store.full("photos") is not None
    with pytest.raises(UsageError, match=r"compact already, with 2 dimensions.*--back"):
        Compaction(store, "photos", 2, quiet)


def test_abandoning_removes_only_what_the_compaction_built(store):
    other = store.create_sibling("photos", ModelIdentity("other", "0123456789ab", 4))
    early = Compaction(store, "photos", 2, quiet)
    early.abandon()  # nothing is built yet
    assert store.siblings("photos") == [other]
    early.build()
    assert len(store.siblings("photos")) == 2
    early.abandon()
    assert store.siblings("photos") == [other] and store.open("photos").model == TOY


def compacted(store: MemoryStore) -> Collection:
    task = Compaction(store, "photos", 2, quiet)
    task.build()
    task.switch()
    return store.open("photos", TOY)


def test_going_back_takes_along_what_was_written_since(store):
    compact, asked = compacted(store), []

    def embed(rows: Sequence[Row]) -> list[np.ndarray | None]:
        asked.extend(row.id for row in rows)
        return [None if row.id in ("52", "03") else VECTORS[int(row.id)] for row in rows]

    own = compact.fetch(["05"], with_vectors=True)[0].vector
    compact.upsert([row(50, content_hash="hash 5", vector=own), row(51), row(52)])
    compact.upsert([row(2, content_hash="new"), row(3, content_hash="newer"), row(4, meta={"album": "Rome"})])
    compact.delete(["20"])
    task = Restore(store, "photos", embed, quiet)
    assert task.prepare() == 7
    assert sorted(asked) == ["02", "03", "51", "52"] and sorted(task.left_behind) == ["03", "52"]
    assert (task.copied, task.embedded) == (2, 2)
    assert store.open("photos").model.dimension == 2
    store.before_switch = lambda: (compact.upsert([row(53)]), compact.delete(["21"]))
    task.switch()
    full = store.open("photos", TOY)
    # 3 has other bytes now, whose vector nobody has: what was known of it is not true any more
    assert full.model == TOY and ids(full) == numbers(3, 20, 21, more=[50, 51, 53])
    twin, four = full.fetch(["50", "04"], with_vectors=True)
    np.testing.assert_allclose(twin.vector, VECTORS[5] / np.linalg.norm(VECTORS[5]), atol=1e-6)
    assert four.meta == {"album": "Rome"}
    with pytest.raises(UsageError, match="not compact"):
        Restore(store, "photos", embed, quiet)


def test_without_full_vectors_there_is_no_way_back(store):
    compacted(store)
    assert [info.count for info in store.drop_beside("photos")] == [ROWS]
    with pytest.raises(UsageError, match="are not kept here any more"):
        Restore(store, "photos", lambda rows: [None] * len(rows), quiet)


def test_recall_counts_by_distance_and_leaves_the_row_itself_out():
    store = MemoryStore()
    full, other = store.create("full", TOY), store.create("other", TOY)
    # ten rows at a cosine of 0.8 to the first, ten at 0: the second collection has four of the near ones moved away
    near, far, away = np.array([[0.8, 0.6, 0], [0, 0, 1], [-1, 0, 0]], np.float32)
    rows = [row(0, vector=np.array([1, 0, 0], np.float32))]
    rows += [row(n, vector=near if n <= 10 else far) for n in range(1, 21)]
    full.upsert(rows)
    other.upsert([replace(one, vector=away) if one.id in ("01", "02", "03", "04") else one for one in rows])
    exact = ExactRecall(rows[:1])
    exact.add(rows[:15])
    exact.add(rows[15:])
    assert exact.recall_at_10(full, full) == 1.0
    assert exact.recall_at_10(full, other) == pytest.approx(0.6)
