"""The contract of every store: the same tests on the one in memory, on Milvus Lite and on a real Milvus server."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.store_engines import BLUE, ENGINES, GREEN, MODEL, ORANGE, OTHER, RED, found, ids, open_engine, row

from embeddings.errors import ModelMismatch, NotFound, UsageError
from embeddings.tagging.tag import Tag
from store.base import Collection, Store
from store.records import IndexedFile, TimeRange

NASTY = [
    '" or 1==1',
    '"',
    "'",
    "\\",
    '\\"',
    "%",
    "_",
    "a%",
    "a_",
    "ab",
    "abc",
    "a b",
    " a",
    "a ",
    "a",
    "A",
    "-61-",
    "a-62-",
    "日本語",
    "é",
    "e\u0301",
    "😀",
    "line\nbreak",
    "tab\t",
    "\r",
    "nul\0",
    "\x1a0041",
    "\udcff",
    "[]",
    '"]) or (id != "',
    "{tag}",
    "",
]
STEADY = settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.fixture(scope="module", params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(open_engine(request, tmp_path_factory.mktemp("data"))) as store:
        yield store


@pytest.fixture(scope="module")
def shared_collection(store: Store) -> Iterator[Collection]:
    """One collection, empty between tests: making one takes a server seconds."""
    yield store.create("contract", MODEL)
    store.drop("contract")


@pytest.fixture
def collection(shared_collection: Collection) -> Iterator[Collection]:
    """An empty collection."""
    yield shared_collection
    empty(shared_collection)


def empty(collection: Collection) -> None:
    collection.delete([known.id for known in collection.known()])


def test_a_row_comes_back_as_it_was_written(collection: Collection) -> None:
    written = row(
        "library:01/ü",
        ORANGE,
        source='/photos/"of" Zoë\\',
        path="a 'b' \"c\" %_\\n/日本語 😀\nsecond line/not utf-8: \udcff",
        phash=2**64 - 1,
        width=65535,
        height=1,
        bytes=3_000_000_000,
        taken_at=datetime(1969, 12, 31, 23, 59, 58),
        meta={"note": '日本 "x"\n', "deep": {"list": [1, 2.5, None, True]}, "lone": "\udcff"},
    )
    written = replace(written, tags=(Tag("tabby", 0.9312), Tag("cat", 0.97), Tag('odd "one"', 0.2)))
    collection.upsert([written])
    (read,) = collection.fetch([written.id], with_vectors=True)
    assert read == written
    assert read.vector is not None and read.vector.dtype == np.float32
    np.testing.assert_allclose(read.vector, ORANGE, atol=1e-6)


@pytest.mark.parametrize("phash", [0, 2**63 - 1, 2**63, 2**64 - 1])
def test_perceptual_hashes_use_all_64_bits(collection: Collection, phash: int) -> None:
    collection.upsert([row("a", phash=phash)])
    assert collection.fetch(["a"])[0].phash == phash


def test_fetch_answers_in_the_order_asked_and_leaves_out_what_is_not_there(collection: Collection) -> None:
    collection.upsert([row("a"), row("b"), row("c")])
    assert ids(collection.fetch(["c", "missing", "a"])) == ["c", "a"]
    assert collection.fetch(["a"])[0].vector is None
    assert collection.fetch([]) == []


def test_upsert_replaces_the_whole_row(collection: Collection) -> None:
    collection.upsert([row("a", RED, ("cat", "pet"), meta={"old": 1})])
    collection.upsert([row("a", BLUE, ("dog",))])
    assert collection.fetch(["a"])[0] == row("a", BLUE, ("dog",))
    assert found(collection, BLUE, tags=["cat"]) == []
    assert collection.count() == 1 and collection.count("pet") == 0


def test_of_two_rows_with_one_id_the_later_stays(collection: Collection) -> None:
    collection.upsert([row("a", RED, ("first",)), row("b"), row("a", BLUE, ("second",))])
    assert collection.count() == 2
    assert collection.fetch(["a"])[0].tags == (Tag("second", 0.5),)


def test_search_gives_cosines_best_first(collection: Collection) -> None:
    collection.upsert([row("red", RED), row("orange", ORANGE), row("green", GREEN), row("blue", BLUE)])
    (hits,) = collection.search(np.array([[2, 0, 0]], np.float32), limit=10)
    assert [hit.row.id for hit in hits] == ["red", "orange", "blue", "green"]
    assert [hit.score for hit in hits] == pytest.approx([1.0, 0.8, 0.0, 0.0], abs=1e-6)
    assert hits[1].row == row("orange", ORANGE) and hits[1].row.vector is None


def test_search_takes_many_queries_at_once(collection: Collection) -> None:
    collection.upsert([row("red", RED), row("green", GREEN), row("blue", BLUE)])
    queries = np.array([RED, GREEN, BLUE] * 100, np.float32)
    hits = collection.search(queries, limit=1)
    assert [some[0].row.id for some in hits] == ["red", "green", "blue"] * 100


def test_search_pages_follow_each_other(collection: Collection) -> None:
    collection.upsert([row("red", RED), row("orange", ORANGE), row("green", GREEN)])
    query = [0.9, 0.1, 0]
    assert [found(collection, query, 1, offset=page) for page in range(4)] == [["red"], ["orange"], ["green"], []]


def test_search_leaves_one_row_out(collection: Collection) -> None:
    collection.upsert([row("red", RED), row("orange", ORANGE), row("green", GREEN)])
    assert found(collection, RED, 2, exclude="red") == ["orange", "green"]
    assert found(collection, RED, 2, exclude='no "such" id\\') == ["red", "orange"]


def test_search_in_nothing_finds_nothing(collection: Collection) -> None:
    assert collection.search(np.array([RED, BLUE], np.float32), limit=5) == [[], []]
    assert collection.search(np.zeros((0, 3), np.float32), limit=5) == []


def test_rows_must_have_all_tags_asked_for(collection: Collection) -> None:
    collection.upsert([row("a", RED, ("cat", "pet")), row("b", ORANGE, ("pet", "dog")), row("c", GREEN, ("cat",))])
    assert found(collection, RED, tags=["pet"]) == ["a", "b"]
    assert found(collection, RED, tags=["cat", "pet"]) == ["a"]
    assert found(collection, RED, tags=["cat", "dog"]) == []
    assert found(collection, RED, tags=["ca"]) == []


def test_a_rare_tag_is_found_far_from_the_query(collection: Collection) -> None:
    random = np.random.default_rng(1)
    rows = [row(f"{n:04}", [1, *(0.1 * random.random(2))], ("common",)) for n in range(3000)]
    collection.upsert([*rows, row("rare", [-1, 0, 0], ("rare",))])
    collection.flush()
    assert found(collection, RED, tags=["rare"]) == ["rare"]


def check_tags(collection: Collection, names: list[str]) -> None:
    """Give row n the tags n and n + 1, and ask for each."""
    pairs = [(name, names[(n + 1) % len(names)]) for n, name in enumerate(names)]
    collection.upsert([row(str(n), RED, tuple(dict.fromkeys(pair))) for n, pair in enumerate(pairs)])
    for name in names:
        expected = sorted(str(n) for n, pair in enumerate(pairs) if name in pair)
        assert sorted(found(collection, RED, len(names), tags=[name])) == expected
        assert ids(collection.browse(name)) == expected
        assert collection.count(name) == len(expected)
    assert set(collection.facets()) == set(names)
    collection.delete([str(n) for n in range(len(names))])


@STEADY
@given(names=st.lists(st.text(st.characters(codec=None), max_size=20), min_size=1, max_size=6, unique=True))
@example(names=NASTY)
def test_any_text_can_be_a_tag_and_finds_exactly_its_rows(collection: Collection, names: list[str]) -> None:
    check_tags(collection, names)


@settings(STEADY, max_examples=8)
@given(texts=st.lists(st.text(st.characters(codec=None), min_size=1, max_size=20), min_size=2, max_size=6, unique=True))
@example(texts=[text for text in NASTY if text])
def test_any_text_can_be_an_id_and_a_source(collection: Collection, texts: list[str]) -> None:
    collection.upsert([row(text, RED, source=text, path=text) for text in texts])
    assert ids(collection.fetch(texts)) == texts
    assert [known.path for known in collection.known(texts[0])] == [texts[0]]
    assert sorted(found(collection, RED, len(texts), exclude=texts[0])) == sorted(texts[1:])
    assert ids(collection.browse(limit=len(texts))) == sorted(texts, key=stored_order)
    collection.delete(texts[:1])
    assert sorted(known.id for known in collection.known()) == sorted(texts[1:])
    collection.delete(texts)


def stored_order(text: str) -> str:
    from store.milvus.filters import storable

    return storable(text)


def test_a_deleted_row_stays_away_until_it_is_written_again(collection: Collection) -> None:
    collection.upsert([row("a", RED, ("cat",)), row("b", GREEN)])
    collection.flush()
    collection.delete(["a", "missing"])
    for _ in range(2):
        assert found(collection, RED) == ["b"]
        assert collection.fetch(["a"]) == [] and collection.browse() == [row("b", GREEN)]
        assert [known.id for known in collection.known()] == ["b"]
        assert (collection.count(), collection.count("cat"), collection.facets()) == (1, 0, {})
        collection.flush()
    collection.upsert([row("a", BLUE)])
    assert found(collection, BLUE, 1) == ["a"] and collection.count() == 2
    collection.delete([])
    assert collection.count() == 2


def test_writes_can_be_read_at_once(collection: Collection) -> None:
    for n in range(10):
        collection.upsert([row(str(n), RED, ("new",))])
        assert collection.count() == collection.count("new") == n + 1
        assert len(found(collection, RED, tags=["new"])) == n + 1
        assert ids(collection.fetch([str(n)])) == [str(n)]
        assert collection.find_content([f"hash of {n}"]).keys() == {f"hash of {n}"}
    for n in range(10):
        collection.delete([str(n)])
        assert collection.count("new") == 9 - n and str(n) not in found(collection, RED)


def test_browsing_pages_neither_overlap_nor_leave_gaps(collection: Collection) -> None:
    everything = [f"{n:02}" for n in range(25)]
    collection.upsert([row(id_, RED, ("even",) if int(id_) % 2 == 0 else ()) for id_ in reversed(everything)])
    collection.flush()
    collection.upsert([row(id_, BLUE, ("even",) if int(id_) % 2 == 0 else ()) for id_ in everything[10:20]])
    assert [ids(collection.browse(None, start, 10)) for start in (0, 10, 20, 30)] == [
        everything[:10],
        everything[10:20],
        everything[20:],
        [],
    ]
    assert ids(collection.browse("even", 3, 4)) == ["06", "08", "10", "12"]


def test_the_ledger_has_every_row(collection: Collection) -> None:
    collection.upsert([row("a"), row("b", source="/other", bytes=7, modified_at=9)])
    other = IndexedFile("b", "/other", "b.jpg", 7, 9, "hash of b")
    assert {known.id for known in collection.known()} == {"a", "b"}
    assert list(collection.known("/other")) == [other]
    assert list(collection.known("/oth")) == []


def test_the_ledger_tells_of_some_rows(collection: Collection) -> None:
    collection.upsert([row(f"{i:04}", bytes=i) for i in range(1_500)])
    collection.delete(["0003"])
    asked = [f"{i:04}" for i in range(0, 3_000, 3)] + ['" or 1==1']
    found = collection.lookup(asked)
    assert {id_: known.bytes for id_, known in found.items()} == {f"{i:04}": i for i in range(0, 1_500, 3) if i != 3}
    assert collection.lookup(asked, strong=False) == found  # what was written here is always seen
    assert collection.lookup([]) == {}


def test_content_is_found_by_its_hash_with_the_vector(collection: Collection) -> None:
    collection.upsert([row("a", ORANGE, content_hash="one"), row("b", RED, content_hash="two"), row("c")])
    collection.upsert([row("d", RED, content_hash="two")])
    content = collection.find_content(["one", "two", "none", 'o"ne'])
    assert content.keys() == {"one", "two"}
    assert content["one"].id == "a" and content["two"].id in ("b", "d")
    assert content["one"].vector is not None
    np.testing.assert_allclose(content["one"].vector, ORANGE, atol=1e-6)
    assert collection.find_content([]) == {}


def test_facets_count_rows(collection: Collection) -> None:
    collection.upsert([row("a", tags=("cat", "pet")), row("b", tags=("pet",)), row("c")])
    assert collection.facets() == {"cat": 1, "pet": 2}
    assert [collection.count(tag) for tag in ("cat", "pet", "dog", None)] == [1, 2, 0, 3]


def test_pictures_of_a_time(collection: Collection) -> None:
    noon, second = datetime(2024, 5, 1, 12), datetime(2024, 5, 1, 12, 0, 1)
    early = datetime(1969, 7, 20, 20, 17)
    collection.upsert([row("noon", RED, ("cat",), taken_at=noon), row("then", ORANGE, taken_at=second)])
    collection.upsert([row("early", GREEN, ("cat",), taken_at=early), row("unknown", RED, ("cat",))])
    expected = {
        TimeRange(noon, second): ["noon"],
        TimeRange(second, None): ["then"],
        TimeRange(None, noon): ["early"],
        TimeRange(): ["early", "noon", "then"],
        TimeRange(datetime(2025, 1, 1), datetime(2025, 1, 2)): [],
        None: ["early", "noon", "then", "unknown"],
    }
    for taken, names in expected.items():
        assert ids(collection.browse(taken=taken)) == sorted(found(collection, RED, taken=taken)) == names
        assert collection.count(taken=taken) == len(names)
    assert found(collection, RED, tags=["cat"], taken=TimeRange()) == ["noon", "early"]
    assert found(collection, RED, exclude="noon", taken=TimeRange(noon)) == ["then"]
    assert (
        ids(collection.browse("cat", 1, 5, TimeRange(early))) == ["noon"]
        and collection.count("cat", TimeRange(early)) == 2
    )
    assert collection.facets(["cat"]) == {"cat": 3} and collection.facets(taken=TimeRange(noon)) == {"cat": 1}


def test_pictures_of_a_rare_time_are_found_far_from_the_query(collection: Collection) -> None:
    random = np.random.default_rng(1)
    collection.upsert([row(f"{n:04}", [1, *(0.1 * random.random(2))]) for n in range(3000)])
    collection.upsert([row("rare", [-1, 0, 0], taken_at=datetime(2024, 5, 1))])
    collection.flush()
    assert found(collection, RED, taken=TimeRange(datetime(2024, 5, 1), datetime(2024, 5, 2))) == ["rare"]


def test_more_rows_than_one_answer_of_a_server_can_hold(collection: Collection) -> None:
    everything = [f"{n:05}" for n in range(16_500)]
    collection.upsert([row(id_, RED) for id_ in everything])
    assert sorted(known.id for known in collection.known()) == everything
    assert ids(collection.browse(None, 16_380, 10)) == everything[16_380:16_390]
    assert ids(collection.browse(None, 16_490, 100)) == everything[16_490:]


def test_a_scan_has_every_row_once_and_whole(collection: Collection) -> None:
    assert list(collection.scan()) == []
    rows = [row(f"{n:04}", [1, n, 0], ("cat",) if n % 2 else (), meta={"n": n}) for n in range(2_500)]
    collection.upsert(rows)
    collection.flush()
    collection.delete(["0007"])
    newer = [row("0003", BLUE, ("new",)), *(row(text, GREEN) for text in NASTY if text)]
    collection.upsert(newer)
    expected = {one.id: one for one in [*rows, *newer] if one.id != "0007"}
    read = list(collection.scan(with_vectors=True))
    assert len(read) == len(expected) and {one.id: one for one in read} == expected
    for one in read:
        wanted = expected[one.id].vector
        assert one.vector is not None and wanted is not None and one.vector.dtype == np.float32
        np.testing.assert_allclose(one.vector, wanted / np.linalg.norm(wanted), atol=1e-6)
    bare = list(collection.scan())
    assert {one.id: one for one in bare} == expected and all(one.vector is None for one in bare)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("path", {"path": "é" * 8193}),
        ("source", {"source": "s" * 8193}),
        ("id", {"id": "i" * 513}),
        ("meta", {"meta": {"text": "m" * 65_536}}),
        ("tags", {"tags": tuple(Tag(f"tag {n}", 0.5) for n in range(257))}),
        ("tags", {"tags": (Tag("é" * 300, 0.5),)}),
        ("vector", {"vector": np.ones(4, np.float32)}),
        ("vector", {"vector": None}),
    ],
)
def test_a_row_that_does_not_fit_is_refused_and_nothing_is_written(
    shared_collection: Collection, field: str, change: dict[str, Any]
) -> None:
    with pytest.raises(UsageError) as refusal:
        shared_collection.upsert([row("good"), replace(row("bad"), **change)])
    assert refusal.value.field == field
    assert shared_collection.count() == 0


def test_the_longest_texts_fit(collection: Collection) -> None:
    long = row("i" * 512, source="é" * 4096, path="p" * 16_384, meta={"text": "m" * 65_000}, content_hash="h" * 128)
    collection.upsert([long])
    assert collection.fetch([long.id]) == [long]


@pytest.mark.parametrize(("offset", "limit"), [(0, 0), (0, -1), (-1, 5), (0, 16_385), (16_384, 1)])
def test_a_page_that_cannot_be_reached_is_refused(shared_collection: Collection, offset: int, limit: int) -> None:
    with pytest.raises(UsageError) as refusal:
        shared_collection.search(np.array([RED], np.float32), limit, offset)
    assert refusal.value.field == "limit"


def test_the_deepest_page_can_be_reached(collection: Collection) -> None:
    collection.upsert([row("a")])
    assert found(collection, RED, 16_384) == ["a"] and found(collection, RED, 1, offset=16_383) == []


def test_collections_are_kept_by_name(store: Store) -> None:
    with pytest.raises(NotFound) as missing:
        store.open("family")
    assert missing.value.field == "collection" and "family" in missing.value.message
    family = store.create("family", MODEL)
    family.upsert([row("a"), row("b")])
    again = store.create("family", MODEL)
    assert (again.name, again.model, again.count()) == ("family", MODEL, 2)
    assert ids(store.open("family").browse()) == ["a", "b"]
    listed = {info.name: info for info in store.collections()}
    assert (listed["family"].model, listed["family"].count) == (MODEL, 2)
    check_mismatch(store)
    store.drop("family")
    assert "family" not in {info.name for info in store.collections()}
    with pytest.raises(NotFound):
        store.drop("family")
    for use in (family.count, lambda: list(family.known()), lambda: family.upsert([row("a")]), family.facets):
        with pytest.raises(NotFound):
            use()
    assert store.create("family", MODEL).count() == 0
    store.drop("family")


def check_mismatch(store: Store) -> None:
    for attempt in (store.create, store.open):
        with pytest.raises(ModelMismatch) as mismatch:
            attempt("family", OTHER)
        assert mismatch.value.field == "collection"
        for word in ("'family'", "toy", "resnet50", "--model toy", "--collection"):
            assert word in mismatch.value.message


@pytest.mark.parametrize("name", ["", "1st", "a-b", "é", "a b", "x" * 101, '"', "family_0123456789ab", "../x"])
def test_a_name_that_is_not_possible_is_refused(store: Store, name: str) -> None:
    for attempt in (lambda: store.create(name, MODEL), lambda: store.open(name), lambda: store.drop(name)):
        with pytest.raises(UsageError) as refusal:
            attempt()
        assert refusal.value.field == "collection"


def test_a_store_that_answers_is_ready(store: Store) -> None:
    store.ready()
    store.ready("not_there_yet")
    store.create("family", MODEL)
    store.ready("family")
