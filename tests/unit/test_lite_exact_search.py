"""The rows of a Milvus Lite collection, filtered and searched: orders, pages and ties worked out by hand."""

import numpy as np
import pyarrow as pa
import pytest

from embeddings.tagging.tag import Tag
from store.milvus.filters import RowFilter
from store.milvus.schema import NUMBERS, SCALARS, TAG_KEYS
from store.milvus_lite import exact_search
from store.milvus_lite.exact_search import LiteTable, alive_rows

VECTORS = {"a": (1.0, 0.0), "b": (0.6, 0.8), "dead": (1.0, 0.0), "c": (0.0, 1.0), "d": (0.6, 0.8), "e": (-1.0, 0.0)}
RIGHT = np.array([[1, 0]], np.float32)
UP = np.array([[0, 1]], np.float32)


def rows(parts: tuple[int, ...] = (2, 3, 1)) -> LiteTable:
    """Rows in so many tables; `b` and `d` have the same vector, one row is not alive."""
    ids = list(VECTORS)
    columns = {name: pa.array([0] * len(ids)) if name in NUMBERS else pa.array(ids) for name in SCALARS}
    columns[TAG_KEYS] = pa.array([" cat " if id_ in ("b", "c", "dead") else " dog big-20-cat " for id_ in ids])
    columns["taken_at"] = pa.array(range(len(ids)))
    columns |= {"tags": pa.array([f'[["tag of {id_}",0.5]]' for id_ in ids]), "meta": pa.array(["{}"] * len(ids))}
    numbers = pa.array(np.array(list(VECTORS.values()), np.float32).ravel())
    columns["vector"] = pa.FixedSizeListArray.from_arrays(numbers, 2)
    whole, tables, start = pa.table(columns), [], 0
    for size in parts:
        tables.append(whole.slice(start, size))
        start += size
    alive = np.array([id_ != "dead" for id_ in ids])
    return LiteTable(tables, pa.concat_tables(tables), alive)


def found(
    some: LiteTable, queries: np.ndarray, limit: int, offset: int = 0, where: RowFilter | None = None
) -> list[list[str]]:
    pages = some.nearest(queries, limit, offset, where or RowFilter())
    return [[hit.row.id for hit in page] for page in pages]


@pytest.mark.parametrize("parts", [(6,), (2, 3, 1), (1, 1, 1, 1, 1, 1)])
def test_the_nearest_come_first_and_equal_ones_by_their_ids(parts: tuple[int, ...]) -> None:
    assert found(rows(parts), RIGHT, 10) == [["a", "b", "d", "c", "e"]]
    (page,) = rows(parts).nearest(RIGHT, 3, 0, RowFilter())
    assert [hit.score for hit in page] == pytest.approx([1.0, 0.6, 0.6])
    assert [hit.row.tags for hit in page] == [(Tag(f"tag of {id_}", 0.5),) for id_ in ("a", "b", "d")]
    assert all(hit.row.vector is None for hit in page)


@pytest.mark.parametrize("kept", [0, 3, 100])
def test_rows_that_are_found_again_are_the_same(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    monkeypatch.setattr(exact_search, "_MAX_CACHED", kept)
    some = rows()
    for _ in range(2):
        assert found(some, RIGHT, 2) == [["a", "b"]]
        assert found(some, UP, 4) == [["c", "b", "d", "a"]]
    first, again = some.nearest(RIGHT, 1, 0, RowFilter()), some.nearest(RIGHT, 1, 0, RowFilter())
    assert (first[0][0].row is again[0][0].row) == bool(kept)


@pytest.mark.parametrize("block", [1, 4, 100])
def test_pages_meet_where_rows_are_equal(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(exact_search, "_BLOCK", block)
    assert [found(rows(), RIGHT, 2, offset) for offset in (0, 2, 4, 6)] == [[["a", "b"]], [["d", "c"]], [["e"]], [[]]]


def test_each_query_has_its_own_answer() -> None:
    assert found(rows(), np.concatenate([RIGHT, UP, -RIGHT]), 2) == [["a", "b"], ["c", "b"], ["e", "c"]]


def test_conditions_are_met_by_living_rows_alone() -> None:
    assert found(rows(), RIGHT, 5, where=RowFilter(tags=("cat",))) == [["b", "c"]]
    assert found(rows(), RIGHT, 5, where=RowFilter(tags=("dog", "big cat"))) == [["a", "d", "e"]]
    assert found(rows(), RIGHT, 5, where=RowFilter(not_id="a", taken=(0, 5))) == [["b", "d", "c"]]
    assert found(rows(), RIGHT, 5, where=RowFilter(ids=("dead",))) == [[]]
    assert rows().matching(["id"], RowFilter(hashes=("b", "dead", "none")))["id"].to_pylist() == ["b"]
    assert rows().matching(["id"], RowFilter(source="e"))["id"].to_pylist() == ["e"]


def test_parts_leave_out_what_is_dead() -> None:
    assert [part["id"].to_pylist() for part in rows().parts(["id"], 4)] == [["a", "b", "c"], ["d", "e"]]


def test_rows_are_those_of_their_segments() -> None:
    some = rows()

    class Segment:
        def __init__(self, table: pa.Table) -> None:
            self.table = table

    segments = [Segment(table) for table in some.segments]
    assert some.is_of(segments)
    assert not some.is_of(segments[:-1])
    assert not some.is_of([*segments[:-1], Segment(some.table.slice(5))])


def test_nothing_is_found_among_no_rows() -> None:
    empty = rows().table.slice(0, 0)
    assert found(LiteTable([], empty, np.zeros(0, bool)), RIGHT, 3) == [[]]


@pytest.mark.parametrize("parts", [(6,), (2, 3, 1)])
@pytest.mark.parametrize(
    ("removed", "expected"),
    [
        ({}, [False, True, True, False, True, False]),
        ({"a": 8, "other": 9}, [False, True, True, False, True, False]),  # `a` was written again as number 9
        ({"a": 10, "b": 3, "c": 2}, [False, True, True, False, False, False]),
    ],
)
def test_the_newest_row_of_an_id_is_alive_unless_it_was_removed_since(
    parts: tuple[int, ...], removed: dict[str, int], expected: list[bool]
) -> None:
    ids, numbers = ["a", "b", "c", "a", "a", "b"], np.array([1, 3, 4, 5, 9, 2], np.uint64)
    ends = np.cumsum(parts)
    chunks = [pa.array(ids[end - size : end]) for size, end in zip(parts, ends, strict=True)]
    assert alive_rows(pa.chunked_array(chunks), numbers, removed).tolist() == expected


def test_nothing_is_alive_where_there_is_nothing() -> None:
    assert alive_rows(pa.chunked_array([], pa.string()), np.zeros(0, np.uint64), {"a": 1}).tolist() == []
