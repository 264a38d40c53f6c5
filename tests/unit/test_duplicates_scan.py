"""Runs over a collection: only changes are looked at, a stop loses nothing, contents count and not names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageEnhance
from support.duplicate_rows import MODEL, row
from support.pictures import encoded, photo
from support.toy import ToyPool

from duplicates.decisions import Action, Decisions
from duplicates.evidence import Kind
from duplicates.pair_store import PairStore
from duplicates.review import Review
from duplicates.scan import ScanProgress, scan
from embeddings.errors import Busy, NotFound, StoreUnavailable, UsageError
from embeddings.models.identity import ModelIdentity
from store.projection import Projection
from store.records import Row
from store.testing import MemoryStore

FAR = 0xFFFF_FFFF_0000_0000  # a hash 32 bits from 0, mirrored or not
FILES = {
    "first": encoded(photo(320, 240, 1), "JPEG"),
    "darker": encoded(ImageEnhance.Brightness(photo(320, 240, 1)).enhance(0.8), "JPEG"),
    "burst": encoded(photo(320, 240, 2), "JPEG"),
    "broken": b"rubbish",
}


class _Stop(Exception):
    pass


class Runner:
    """Scans one collection of a store in memory, and counts whose files were read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = MemoryStore()
        self.collection = self.store.create("photos", MODEL)
        self.read: list[str] = []
        self.stages: list[ScanProgress] = []

    def bytes_of(self, row: Row) -> bytes:
        self.read.append(row.id)
        if row.path not in FILES:
            raise NotFound("it is gone")
        return FILES[row.path]

    def scan(self, stop_at: int = 10**9) -> None:
        self.read, self.stages = [], []

        def listen(progress: ScanProgress) -> None:
            self.stages.append(progress)
            if len(self.stages) == stop_at:
                raise _Stop

        pool = ToyPool()
        try:
            scan(self.collection, self.folder, self.bytes_of, pool, listen)
        finally:
            pool.close()

    def groups(self, kind: Kind | None = None, kept: bool = False) -> list[set[str]]:
        review = Review(self.collection, self.folder)
        return [{copy.row.id for copy in view.images} for view in review.show(review.groups(kind, kept))]

    def decide(self, kind: Kind, action: Action) -> str:
        review = Review(self.collection, self.folder)
        return review.decide(review.groups(kind)[0].id, action).group_id


@pytest.fixture
def runner(tmp_path) -> Runner:
    """Two files with the same bytes, a near copy of them, another of the burst, one only similar, one alone."""
    runner = Runner(tmp_path / "duplicates")
    runner.collection.upsert(
        [
            row("a", "first", path="first"),
            row("a2", "first", path="first"),
            row("b", "darker", angle=10, phash=0b111, path="darker"),
            row("c", "burst", angle=-10, phash=0b111, path="burst"),
            row("d", angle=30, phash=FAR),
            row("e", angle=120, phash=FAR),
        ]
    )
    return runner


def test_each_kind_is_apart(runner):
    runner.scan()
    assert runner.groups(Kind.EXACT) == [{"a", "a2"}]
    assert runner.groups(Kind.NEAR) == [{"a", "b"}]
    # b and d are 20 degrees apart, a and c 10; a stands for b too, having the shorter path
    assert runner.groups(Kind.SIMILAR) == [{"a", "c", "d"}]
    assert Review(runner.collection, runner.folder).complete_at is not None


def test_nothing_is_done_again(runner):
    runner.scan()
    assert set(runner.read) == {"a", "b", "c"}
    before = runner.groups()
    runner.scan()
    assert runner.read == [] and {(p.stage, p.total) for p in runner.stages} == {
        ("reading", 0),
        ("comparing", 0),
        ("looking", 0),
    }
    assert runner.groups() == before


def test_what_is_new_is_compared_with_what_was_there(runner):
    runner.scan()
    runner.collection.upsert([row("z", angle=121, phash=FAR ^ 1)])
    runner.scan()
    assert {"e", "z"} in runner.groups(Kind.NEAR)
    assert runner.stages[0].total == runner.stages[0].done + 1 == 1


def test_what_is_gone_or_changed_leaves_its_groups(runner):
    runner.scan()
    runner.collection.delete(["a2"])
    runner.collection.upsert([row("b", "other", angle=200, phash=FAR)])
    assert runner.groups(Kind.EXACT) == [] and runner.groups(Kind.NEAR) == []  # at once, before the next run
    runner.scan()
    assert runner.groups(Kind.EXACT) == [] and runner.groups(Kind.NEAR) == []
    with PairStore(runner.folder, "photos", MODEL) as pair_store:
        assert pair_store.content_count() == 5 and pair_store.images()["b"] == "other"


def test_a_renamed_file_costs_nothing(runner):
    runner.scan()
    runner.collection.upsert([row("new name", "darker", angle=10, phash=0b111, path="darker")])
    runner.collection.delete(["b"])
    runner.scan()
    assert runner.read == [] and runner.stages[0].total == 0
    assert runner.groups(Kind.NEAR) == [{"a", "new name"}]


def test_pictures_that_cannot_be_read_are_judged_more_strictly_and_looked_at_later(runner):
    runner.collection.upsert(
        [
            row("f", angle=200, phash=0b1, path="missing"),
            row("g", angle=205, phash=0b10, path="broken"),
            row("h", angle=300, path="missing"),
            row("i", "as a", angle=325, path="missing"),
        ]
    )
    runner.scan()
    assert {"f", "g"} in runner.groups(Kind.NEAR)
    assert not any({"h", "i"} <= group for group in runner.groups())
    with pytest.raises(_Stop):
        runner.scan(stop_at=3)  # about to look again
    assert runner.stages[-1].stage == "looking" and runner.stages[-1].total > 0
    assert {"f", "g"} in runner.groups(Kind.NEAR)  # shown meanwhile as before
    runner.scan()
    assert {"f", "g", "h", "i"} & set(runner.read) == {"f", "g", "h", "i"}


@pytest.mark.parametrize("stop_at", range(1, 12))
def test_a_run_that_was_stopped_goes_on_where_it_was(runner, tmp_path, stop_at):
    undisturbed = Runner(tmp_path / "other")
    undisturbed.collection.upsert(runner.collection.fetch(["a", "a2", "b", "c", "d", "e"], with_vectors=True))
    undisturbed.scan()
    steps = len(undisturbed.stages)
    if stop_at <= steps:
        with pytest.raises(_Stop):
            runner.scan(stop_at)
    runner.scan()
    assert runner.groups() == undisturbed.groups()
    runner.scan()
    assert runner.read == []


def test_two_runs_at_once_are_refused(runner):
    def again(progress: ScanProgress) -> None:
        scan(runner.collection, runner.folder, runner.bytes_of, pool, lambda _: None)

    pool = ToyPool()
    with pytest.raises(Busy, match="another process"):
        scan(runner.collection, runner.folder, runner.bytes_of, pool, again)
    pool.close()


def test_kept_groups_are_hidden_and_survive_everything(runner):
    runner.scan()
    exact, near = (runner.decide(kind, Action.KEEP_ALL) for kind in (Kind.EXACT, Kind.NEAR))
    assert runner.groups(Kind.EXACT) == runner.groups(Kind.NEAR) == []
    assert runner.groups(Kind.NEAR, kept=True) == [{"a", "b"}]
    moved = [replace(r, id=f"moved {r.id}") for r in runner.collection.fetch(["a", "a2", "b"], with_vectors=True)]
    runner.collection.delete(["a", "a2", "b"])
    runner.scan()  # and even forgotten in between
    runner.collection.upsert(moved)
    for file in runner.folder.glob("photos_*"):
        file.unlink()
    runner.scan()
    assert runner.groups(Kind.EXACT) == runner.groups(Kind.NEAR) == []
    assert runner.groups(Kind.NEAR, kept=True) == [{"moved a", "moved b"}]
    with Decisions(runner.folder) as decisions:
        assert decisions.undo("photos", exact) and decisions.undo("photos", near)
    assert runner.groups(Kind.EXACT) == [{"moved a", "moved a2"}]


def test_separated_pictures_do_not_come_together_again(runner):
    runner.scan()
    runner.decide(Kind.NEAR, Action.NOT_DUPLICATES)
    assert runner.groups(Kind.NEAR) == []
    assert not any({"a", "b"} <= group for group in runner.groups())
    with pytest.raises(UsageError, match="same bytes") as caught:
        runner.decide(Kind.EXACT, Action.NOT_DUPLICATES)
    assert caught.value.field == "decision"
    with pytest.raises(NotFound, match="near-nothing"):
        Review(runner.collection, runner.folder).decide("near-nothing", Action.KEEP_ALL)


def test_a_damaged_file_is_named(runner):
    runner.scan()
    (file,) = runner.folder.glob("photos_*.sqlite3")
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreUnavailable, match=r"photos_0123456789ab.sqlite3 cannot be used.*move it away"):
        runner.scan()


def test_many_contents_are_divided_into_buckets_and_still_found(tmp_path):
    """More than are compared each with each; every second row has a copy one degree away, in a random direction."""
    random = np.random.default_rng(1)
    runner = Runner(tmp_path / "duplicates")
    runner.collection = runner.store.create("many", ModelIdentity("toy", "0123456789ab", 16))
    vectors = random.normal(size=(4200, 16)).astype(np.float32)
    vectors[1::2] = vectors[::2] + 0.02 * random.normal(size=(2100, 16))
    hashes = [int(number) for number in random.integers(0, 2**63, 2100)]
    rows = [row(f"{i:04}", phash=hashes[i // 2], vector=vectors[i]) for i in range(4200)]
    runner.collection.upsert(rows[:2000])
    runner.scan()
    with PairStore(runner.folder, "many", runner.collection.model) as pair_store:
        assert len(pair_store.pivots()) == 1
    runner.collection.upsert(rows[2000:])
    runner.scan()
    with PairStore(runner.folder, "many", runner.collection.model) as pair_store:
        assert len(pair_store.pivots()) == 262
    found = runner.groups(Kind.NEAR)
    expected = [{f"{i:04}", f"{i + 1:04}"} for i in range(0, 4200, 2)]
    assert sum(pair in found for pair in expected) >= 0.99 * len(expected)


def test_a_compact_collection_is_refused(tmp_path):
    runner = Runner(tmp_path)
    axes = np.eye(MODEL.dimension, dtype=np.float32)[:2]
    projection = Projection(MODEL, np.zeros(MODEL.dimension, np.float32), axes)
    runner.collection = runner.store.create("compact", projection.identity, projection)
    with pytest.raises(UsageError, match="--back"):
        runner.scan()
