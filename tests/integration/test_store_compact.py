"""Siblings in every store, compact ones and those of another model: switched to as a whole, and never mixed."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.store_engines import (
    BLUE,
    ENGINES,
    GREEN,
    MODEL,
    ORANGE,
    OTHER,
    RED,
    SERVER,
    found,
    ids,
    open_engine,
    row,
)

from embeddings.errors import ModelMismatch, NotFound, UsageError
from store import open_store
from store.base import Store
from store.projection import Projection

# forgets blue, and red counts twice: orange (0.8, 0.6, 0) becomes (1.6, 0.6) / 1.7088
FLAT = Projection(MODEL, np.zeros(3, np.float32), np.array([[2, 0, 0], [0, 1, 0]], np.float32))
OTHER_AXES = Projection(MODEL, np.zeros(3, np.float32), np.array([[1, 0, 0], [0, 1, 0]], np.float32))


ON_SERVER = pytest.mark.parametrize("store", ENGINES, indirect=True)


@pytest.fixture(scope="module", params=["memory", "lite"])  # a server takes seconds to make a collection
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(open_engine(request, tmp_path_factory.mktemp("data"))) as store:
        yield store


@pytest.fixture
def name(store: Store) -> Iterator[str]:
    """A collection of three rows."""
    store.create("family", MODEL).upsert([row("red", RED), row("orange", ORANGE), row("green", GREEN)])
    yield "family"
    for info in store.collections():
        store.drop(info.name)


@ON_SERVER
def test_a_compact_collection_takes_full_vectors_and_its_own(store: Store, name: str) -> None:
    compact = store.create_sibling(name, FLAT.identity, FLAT)
    assert store.open(name).model == MODEL and compact.count() == 0
    compact.upsert(list(store.open(name).scan(with_vectors=True)))
    assert store.open(name).projection is None
    store.switch(name, compact)
    opened = store.open(name, MODEL)
    assert opened.model == FLAT.identity and opened.projection is not None
    np.testing.assert_array_equal(opened.projection.axes, FLAT.axes)
    (orange,) = opened.fetch(["orange"], with_vectors=True)
    assert orange.vector is not None
    np.testing.assert_allclose(orange.vector, [0.936329, 0.351123], atol=1e-5)
    for query in ([RED], [[1.0, 0.0]]):
        (hits,) = opened.search(np.array(query, np.float32), 10)
        assert ids([hit.row for hit in hits]) == ["red", "orange", "green"]
        assert [hit.score for hit in hits] == pytest.approx([1, 0.936329, 0], abs=1e-5)
    opened.upsert([row("own", orange.vector.tolist()), row("full", RED)])
    assert found(opened, RED, 2) == ["full", "red"] and found(opened, ORANGE, 2) == ["orange", "own"]
    with pytest.raises(ModelMismatch):
        opened.search(np.ones((1, 4), np.float32), 1)
    with pytest.raises(UsageError):
        opened.upsert([row("bad", [1, 2, 3, 4])])
    with pytest.raises(ModelMismatch):
        store.open(name, OTHER)
    with pytest.raises(ModelMismatch):
        store.open(name, OTHER_AXES.identity)
    listed = [(info.model, info.count) for info in store.collections() if info.name == name]
    assert listed == [(FLAT.identity, 5)]


@ON_SERVER
def test_those_who_opened_before_the_switch_read_the_old_and_write_to_both(store: Store, name: str) -> None:
    early, another = store.open(name, MODEL), store.open(name, MODEL)
    compact = store.create_sibling(name, FLAT.identity, FLAT)
    compact.upsert(list(early.scan(with_vectors=True)))
    store.switch(name, compact)
    assert found(early, RED, 1) == ["red"]
    with pytest.raises(ModelMismatch):
        early.search(np.array([[1, 0]], np.float32), 1)
    early.upsert([row("late", BLUE)])
    another.delete(["green"])
    now = store.open(name)
    assert sorted(known.id for known in now.known()) == ["late", "orange", "red"]
    full = store.full(name)
    assert full is not None and sorted(known.id for known in full.known()) == ["late", "orange", "red"]


def test_a_compact_collection_switches_back_to_its_full_vectors(store: Store, name: str) -> None:
    assert store.full(name) is None and store.drop_beside(name) == []
    store.switch(name, store.create_sibling(name, FLAT.identity, FLAT))
    full = store.full(name)
    assert full is not None and full.count() == 3 and store.open(name).count() == 0
    store.switch(name, full)
    assert store.open(name, MODEL).model == MODEL and store.open(name).count() == 3
    assert [info.model for info in store.drop_beside(name)] == [FLAT.identity]
    assert store.drop_beside(name) == []


def test_building_again_leaves_nothing_of_the_last_attempt(store: Store, name: str) -> None:
    store.create_sibling(name, FLAT.identity, FLAT).upsert([row("half", RED)])
    assert store.create_sibling(name, FLAT.identity, FLAT).count() == 0
    again = store.create_sibling(name, OTHER_AXES.identity, OTHER_AXES)
    store.switch(name, again)
    assert [info.model for info in store.drop_beside(name)] == [MODEL]


def test_what_is_dropped_is_gone_with_what_is_beside_it(store: Store, name: str) -> None:
    store.switch(name, store.create_sibling(name, FLAT.identity, FLAT))
    store.drop(name)
    with pytest.raises(NotFound):
        store.open(name)
    again = store.create(name, MODEL)
    assert again.count() == 0 and store.full(name) is None


@ON_SERVER
def test_a_sibling_of_another_model_takes_the_place_of_the_one_in_use(store: Store, name: str) -> None:
    early = store.open(name, MODEL)
    sibling = store.create_sibling(name, OTHER)
    assert (sibling.name, sibling.model, sibling.projection, sibling.count()) == (name, OTHER, None, 0)
    sibling.upsert([row("red", GREEN), row("orange", ORANGE)])
    assert store.open(name).model == MODEL and store.open(name).count() == 3
    store.switch(name, sibling)
    assert store.open(name, OTHER).model == OTHER and found(store.open(name), GREEN, 1) == ["red"]
    with pytest.raises(ModelMismatch):
        store.open(name, MODEL)
    assert found(early, RED, 1) == ["red"]
    for write in (lambda: early.upsert([row("late", BLUE)]), lambda: early.delete(["red"])):
        with pytest.raises(ModelMismatch, match="switched to another model"):
            write()
    assert sorted(file.id for file in store.open(name).known()) == ["orange", "red"]
    assert store.full(name) is None
    assert [(info.model, info.count) for info in store.drop_beside(name)] == [(MODEL, 3)]
    assert store.drop_beside(name) == [] and store.open(name).count() == 2


@ON_SERVER
def test_one_sibling_is_removed_alone_and_never_the_collection_in_use(store: Store, name: str) -> None:
    other = store.create_sibling(name, OTHER)
    compact = store.create_sibling(name, FLAT.identity, FLAT)
    store.drop_sibling(name, compact)
    store.drop_sibling(name, compact)  # gone: nothing happens
    assert other.count() == 0
    with pytest.raises(NotFound):
        compact.count()
    store.switch(name, other)
    store.drop_sibling(name, other)
    assert store.open(name).model == OTHER
    assert [(info.model, info.count) for info in store.drop_beside(name)] == [(MODEL, 3)]


@ON_SERVER
def test_a_new_sibling_replaces_what_attempts_left_and_keeps_full_vectors(store: Store, name: str) -> None:
    store.create_sibling(name, OTHER).upsert([row("half", RED)])
    compact = store.create_sibling(name, FLAT.identity, FLAT)
    assert store.create_sibling(name, OTHER).count() == 0
    with pytest.raises(NotFound):
        compact.count()
    store.switch(name, store.create_sibling(name, FLAT.identity, FLAT))
    full = store.full(name)
    assert full is not None and (full.model, full.count()) == (MODEL, 3)
    for identity in (MODEL, FLAT.identity):
        with pytest.raises(UsageError, match="already has the vectors"):
            store.create_sibling(name, identity)
    assert sorted(info.model.name for info in store.drop_beside(name)) == ["resnet50", "toy"]
    for use in (lambda: store.create_sibling("nosuch", OTHER), lambda: store.drop_beside("nosuch")):
        with pytest.raises(NotFound):
            use()


def test_a_collection_is_dropped_with_its_siblings_of_other_models(store: Store, name: str) -> None:
    sibling = store.create_sibling(name, OTHER)
    store.drop(name)
    with pytest.raises(NotFound):
        sibling.count()


def test_a_compact_collection_can_be_made_by_its_name(store: Store, name: str) -> None:
    made = store.create("copied", FLAT.identity, FLAT)
    made.upsert([row("red", RED)])
    assert made.model == FLAT.identity and found(store.open("copied", MODEL), RED) == ["red"]


@pytest.mark.parametrize("engine", ["lite", SERVER])
def test_a_new_process_finds_the_projection(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    uri = request.getfixturevalue("milvus_uri") if engine == "server" else ""
    with open_store(uri, "", tmp_path, 30.0) as store:
        store.create("kept", MODEL).upsert([row("red", RED)])
        compact = store.create_sibling("kept", FLAT.identity, FLAT)
        compact.upsert([row("red", RED), row("orange", ORANGE)])
        store.switch("kept", compact)
    with open_store(uri, "", tmp_path, 30.0) as store:
        assert found(store.open("kept", MODEL), ORANGE, 1) == ["orange"]
        store.drop("kept")
