"""The difference: new images are found, nothing is left out, and nothing changes its place."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from support.toy import TOY

from embeddings.errors import FileUnreadable, StoreUnavailable
from indexer.pipeline.difference import COMPARED, difference, reference_id
from indexer.sources.base import Reference, Unlistable
from store.base import Collection
from store.records import Row
from store.testing import MemoryStore

WRONG = Unlistable("line 7", FileUnreadable("no uri"))


@pytest.fixture
def collection() -> Collection:
    return MemoryStore().create("photos", TOY)


def row(reference: Reference, source: str = "/photos") -> Row:
    return Row(
        id=reference_id(source, reference),
        source=source,
        path=reference.path,
        content_hash="00",
        phash=0,
        vector=np.array([1, 0, 0], np.float32),
        tags=(),
        width=1,
        height=1,
        bytes=reference.bytes or 5,
        taken_at=None,
        modified_at=reference.modified_at or 0,
        indexed_at=datetime(2026, 1, 2, tzinfo=UTC),
        meta={},
    )


def new(collection: Collection, reference: Reference, source: str = "/photos") -> bool:
    (block,) = difference(source, [reference], collection)
    assert block.unchanged == 1 - len(block.new)
    return block.new == [reference]


def test_everything_comes_once_and_in_its_order(collection):
    references = [Reference(f"{i}.jpg", 5, 7) for i in range(5 * COMPARED // 2)]
    collection.upsert([row(reference) for reference in references[::2]])
    blocks = list(difference("/photos", [*references, WRONG], collection))
    assert [len(block.ids) for block in blocks] == [COMPARED, COMPARED, COMPARED // 2]
    assert [reference for block in blocks for reference in block.new] == references[1::2]
    assert [block.unchanged for block in blocks] == [COMPARED // 2, COMPARED // 2, COMPARED // 4]
    assert [block.unlistable for block in blocks] == [[], [], [WRONG]]


def test_size_time_path_and_source_tell_what_changed(collection):
    known = Reference("a.jpg", 5, 7, "shop:1")
    collection.upsert([row(known)])
    assert not new(collection, known)
    assert not new(collection, replace(known, bytes=None))
    assert new(collection, replace(known, bytes=6))
    assert new(collection, replace(known, modified_at=8))
    assert new(collection, replace(known, modified_at=None))
    assert new(collection, replace(known, path="b.jpg"))
    assert new(collection, replace(known, id="shop:2"))
    assert new(collection, known, "/elsewhere")


def test_what_a_source_does_not_tell_counts_as_unchanged(collection):
    known = Reference("s3://bucket/a.jpg", None, None)
    collection.upsert([row(known)])
    assert not new(collection, known)


def test_the_first_block_does_not_wait_for_the_second(collection):
    def listed():
        yield from (Reference(f"{i}.jpg", 5, 7) for i in range(COMPARED))
        raise AssertionError("more was listed than was asked for")

    assert len(next(difference("/photos", listed(), collection)).new) == COMPARED


def test_a_store_that_is_down_is_told_and_nothing_hangs():
    store = MemoryStore()
    collection = store.create("photos", TOY)
    store.available = False
    with pytest.raises(StoreUnavailable):
        list(difference("/photos", [Reference(f"{i}.jpg", 5, 7) for i in range(3 * COMPARED)], collection))
