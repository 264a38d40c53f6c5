"""Duplicates over every store: the same groups from the one in memory, Milvus Lite and a real Milvus server."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.duplicate_rows import MODEL, row
from support.store_engines import ENGINES, open_engine
from support.toy import ToyPool

from duplicates.evidence import Kind
from duplicates.review import Review
from duplicates.scan import scan
from embeddings.errors import NotFound
from store.base import Store
from store.records import Row

NAME = "duplicates"


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with closing(open_engine(request, tmp_path)) as store:
        yield store
        store.drop(NAME)


def unreadable(row: Row) -> bytes:
    raise NotFound("it is elsewhere")


def test_groups_follow_the_collection(store: Store, tmp_path: Path) -> None:
    collection = store.create(NAME, MODEL)
    highest = 2**64 - 1  # stores keep hashes as signed numbers
    collection.upsert(
        [
            row("a", "same"),
            row("a2", "same"),
            row("b", angle=5, phash=0b11),
            row("c", angle=90, phash=highest),
            row("d", angle=95, phash=highest - 1),
            row("e", angle=200, phash=0xFFFF_0000_FFFF_0000),
        ]
    )
    folder = tmp_path / "results"

    def groups() -> list[tuple[Kind, set[str]]]:
        pool = ToyPool()
        scan(collection, folder, unreadable, pool, lambda _: None)
        pool.close()
        review = Review(collection, folder)
        return [(g.group.kind, {copy.row.id for copy in g.images}) for g in review.show(review.groups())]

    found = groups()
    assert found[0] == (Kind.EXACT, {"a", "a2"})
    assert sorted(map(sorted, (ids for kind, ids in found if kind is Kind.NEAR))) == [["a", "b"], ["c", "d"]]
    assert len(found) == 3
    collection.delete(["a2", "d"])
    collection.upsert([row("new", angle=201, phash=0xFFFF_0000_FFFF_0001)])
    found = groups()
    assert sorted(map(sorted, (ids for _, ids in found))) == [["a", "b"], ["e", "new"]]
