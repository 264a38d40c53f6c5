"""Another version of a collection, whose rows are converted, some of them left out, and which goes on where it was."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from support.toy import TOY

from embeddings.errors import StoreUnavailable
from embeddings.models.identity import ModelIdentity
from indexer.migration.rebuild import Rebuild
from store.base import Collection
from store.records import Row
from store.testing import MemoryStore

OTHER = ModelIdentity("other", "000000000002", 2)
ROWS = 5


def row(number: int) -> Row:
    return Row(
        id=f"{number}",
        source="/photos",
        path=f"{number}.jpg",
        content_hash=f"hash {number}",
        phash=0,
        vector=np.array([1, number, 0], np.float32),
        tags=(),
        width=1,
        height=1,
        bytes=1,
        taken_at=None,
        modified_at=1,
        indexed_at=datetime(2026, 3, 4, tzinfo=UTC),
        meta={},
    )


def with_other_model(rows: list[Row]) -> list[Row]:
    """Return rows as another model has them, which can make nothing of number 3."""
    return [replace(one, vector=np.array([1, int(one.id)], np.float32)) for one in rows if one.id != "3"]


def ids(collection: Collection) -> list[str]:
    return sorted(known.id for known in collection.known())


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.create("photos", TOY).upsert([row(n) for n in range(ROWS)])
    return store


def rebuild_of(store: MemoryStore) -> Rebuild:
    new = store.create("new", OTHER)
    return Rebuild(store, store.open("photos"), new, with_other_model, lambda *_: None)


def test_rows_are_converted_and_those_left_out_are_named(store):
    seen: list[str] = []
    rebuild = rebuild_of(store)
    rebuild.build(lambda rows: seen.extend(one.id for one in rows))
    assert rebuild.catch_up() == 0
    rebuild.verify()
    assert sorted(seen) == ["0", "1", "2", "3", "4"] and list(rebuild.left_behind) == ["3"]
    assert ids(store.open("new")) == ["0", "1", "2", "4"]
    (two,) = store.open("new").fetch(["2"], with_vectors=True)
    np.testing.assert_allclose(two.vector, np.array([1, 2]) / np.sqrt(5), atol=1e-6)


def test_a_stopped_build_goes_on_with_the_rows_that_are_missing(store):
    new = store.create("new", OTHER)
    new.upsert(with_other_model([row(0), row(1)]))
    rebuild = rebuild_of(store)
    rebuild.resume()
    assert rebuild.catch_up() == 3
    rebuild.verify()
    assert ids(new) == ["0", "1", "2", "4"] and list(rebuild.left_behind) == ["3"]
    store.open("photos").delete(["0"])
    assert rebuild.catch_up() == 1 and ids(new) == ["1", "2", "4"]


def test_a_row_that_did_not_arrive_is_an_error(store):
    rebuild = rebuild_of(store)
    rebuild.build()
    store.open("new").delete(["2"])
    with pytest.raises(StoreUnavailable, match="1 rows did not arrive in the new version"):
        rebuild.verify()
