"""The service on a compact collection: pictures, ids and additions go on, and a switch in their midst too."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import numpy as np
import pytest
from support.api_client import ApiClient, api_client
from support.toy import TOY, picture

from api.services.collections import Query
from store.base import Collection
from store.projection import Projection
from store.testing import MemoryStore

# forgets blue: half red and half blue becomes red
FLAT = Projection(TOY, np.zeros(3, np.float32), np.eye(3, dtype=np.float32)[:2])


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def client(store: MemoryStore, tmp_path) -> Iterator[ApiClient]:
    with api_client(tmp_path, store=store) as client:
        client.add(picture("red"), id="red")
        client.add(picture("yellow"), id="yellow")
        client.add(picture("green"), id="green")
        yield client


def switch(store: MemoryStore) -> Collection:
    """Make the collection compact and return the full one as somebody opened it before."""
    full = store.open("photos")
    compact = store.create_sibling("photos", FLAT.identity, FLAT)
    compact.upsert(list(full.scan(with_vectors=True)))
    store.switch("photos", compact)
    return full


def scores(answer: httpx.Response) -> list[tuple[str, float]]:
    return [(one["id"], round(one["score"], 3)) for one in answer.json()["results"]]


def test_pictures_and_ids_are_searched_and_added(client: ApiClient, store: MemoryStore) -> None:
    switch(store)
    for name in ("new", "twin"):  # the second is copied from the first, with its vector
        client.add(picture("red", "blue"), id=name)
    assert [row.vector.shape for row in store.open("photos").fetch(["new", "twin"], with_vectors=True)] == [(2,)] * 2
    by_picture = client.post("/v1/search", files={"file": ("query.png", picture("red"))})
    by_id = client.post("/v1/search", json={"id": "red"})
    expected = [("new", 1.0), ("red", 1.0), ("twin", 1.0), ("yellow", 0.707), ("green", 0.0)]
    assert scores(by_picture) == expected
    assert scores(by_id) == [one for one in expected if one[0] != "red"]
    (shown,) = client.get("/v1/collections").json()["collections"]
    assert (shown["dimension"], shown["fingerprint"], shown["count"]) == (2, FLAT.identity.fingerprint, 5)


def test_queries_of_two_spaces_are_answered_together(client: ApiClient, store: MemoryStore) -> None:
    full = switch(store)
    compact = store.open("photos")
    red = np.array([1, 0, 0], np.float32)
    query = Query(compact, red, 3, 0, (), None)
    queries = [
        query,
        replace(query, vector=red[:2]),
        replace(query, collection=full),
        replace(query, collection=full, vector=np.array([0, 1, 0], np.float32)),
        replace(query, vector=np.array([0, 1, 0], np.float32), exclude="green"),
    ]
    answers = client.service.collections.search(queries)
    assert [[hit.row.id for hit in hits] for hits in answers if not isinstance(hits, Exception)] == [
        ["red", "yellow", "green"],
        ["red", "yellow", "green"],
        ["red", "yellow", "green"],
        ["green", "yellow", "red"],
        ["yellow", "red"],
    ]
