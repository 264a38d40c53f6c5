"""Rows as the store keeps them."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from embeddings.tagging.tag import Tag
from store.milvus.schema import BYTES_PER_CALL, batches, from_record, latest, normalise, normalised, to_known, to_record
from store.records import Row


def row(**fields: Any) -> Row:
    values: dict[str, Any] = {
        "id": "a",
        "source": "/s",
        "path": "p.jpg",
        "content_hash": "h",
        "phash": 2**63,
        "vector": np.array([3, 4], np.float32),
        "tags": (Tag("big cat", 0.123456), Tag("big cat", 0.1), Tag("x", 1.0)),
        "width": 1,
        "height": 2,
        "bytes": 3,
        "taken_at": datetime(2020, 2, 3, 4, 5, 6, 999),
        "modified_at": 4,
        "indexed_at": datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC),
        "meta": {"k": "é"},
    }
    return Row(**{**values, **fields})


def test_fields_are_numbers_and_texts_that_every_engine_has() -> None:
    record = to_record(row())
    normalise([record])
    np.testing.assert_allclose(record.pop("vector"), [0.6, 0.8], atol=1e-7)
    assert record == {
        "id": "a",
        "source": "/s",
        "path": "p.jpg",
        "content_hash": "h",
        "tags": '[["big cat",0.1235],["big cat",0.1],["x",1.0]]',
        "meta": '{"k":"\\u00e9"}',
        "phash": -(2**63),
        "width": 1,
        "height": 2,
        "bytes": 3,
        "taken_at": 1_580_702_706,
        "modified_at": 4,
        "indexed_at": 1_000_005,
        "tag_keys": ["big-20-cat", "x"],
    }


def test_a_record_becomes_the_row_again() -> None:
    read = from_record(to_record(row()))
    tags = (Tag("big cat", 0.1235), Tag("big cat", 0.1), Tag("x", 1.0))
    assert read == row(tags=tags, taken_at=datetime(2020, 2, 3, 4, 5, 6))
    assert from_record(to_record(row(taken_at=None))).taken_at is None
    assert to_known(to_record(row())).content_hash == "h"


@pytest.mark.parametrize("name", ["кошка", 'a "b" \\', "\x00", "half \ud800 of a pair"])
def test_a_tag_may_have_any_name(name: str) -> None:
    tags = (Tag(name, 0.5), Tag("x", 0.25))
    assert from_record(to_record(row(tags=tags))).tags == tags


def test_a_tag_keeps_its_source() -> None:
    tags = (Tag("cat", 0.5), Tag("our cat", 0.75, "taught"), Tag("felix", 1.0, "person"))
    record = to_record(row(tags=tags))
    assert record["tags"] == '[["cat",0.5],["our cat",0.75,"taught"],["felix",1.0,"person"]]'
    assert from_record(record).tags == tags


@pytest.mark.parametrize("meta", [{}, {"n": 10**30, "": [None, 1.5, {"a": True}]}])
def test_what_a_caller_keeps_comes_back_as_it_was(meta: dict[str, Any]) -> None:
    assert from_record(to_record(row(meta=meta))).meta == meta


def test_of_rows_with_one_id_the_last_is_taken() -> None:
    assert latest([row(bytes=1), row(id="b"), row(bytes=2)]) == [row(bytes=2), row(id="b")]


def test_vectors_get_length_one_and_zero_stays() -> None:
    made = normalised(np.array([[0, 5], [0, 0]], np.float64))
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, [[0, 1], [0, 0]])


def test_calls_are_cut_by_rows_and_by_bytes() -> None:
    records = [to_record(row(id=str(n))) for n in range(2001)]
    assert [len(batch) for batch in batches(records)] == [1000, 1000, 1]
    large = [to_record(row(id=str(n), vector=np.ones(BYTES_PER_CALL // 16, np.float32))) for n in range(7)]
    assert [len(batch) for batch in batches(large)] == [3, 3, 1]
    assert list(batches([])) == []


@pytest.mark.parametrize("phash", [0, 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_perceptual_hash_fits_a_signed_number(phash: int) -> None:
    record = to_record(row(phash=phash))
    assert -(2**63) <= record["phash"] < 2**63
    assert from_record(record).phash == phash
