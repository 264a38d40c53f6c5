"""The service on a real Milvus Lite and real decode processes: the routes together, one story each."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from support.api_client import ApiClient, api_client
from support.toy import SPEC, ToyEmbedder, picture

from embeddings.decode_pool.pool import DecodeLimits, DecodePool
from store import open_store

COLOURS = ("red", "green", "blue", "yellow")


class PooledToy(ToyEmbedder):
    """The toy model behind a real decode pool."""

    def __init__(self, pool: DecodePool) -> None:
        super().__init__()
        self.pool.close()
        self.pool = pool

    def submit(self, data, box=None):
        return self.pool.decode(data, SPEC, box)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    data = tmp_path_factory.mktemp("data")
    limits = DecodeLimits(max_bytes=1_000_000, max_pixels=1_000_000, seconds=20, memory=1_000_000_000)
    with (
        DecodePool(limits, 1) as pool,
        open_store("", "", data, 30) as store,
        api_client(data, PooledToy(pool), store) as client,
    ):
        yield client


def found(answer: dict) -> list[str]:
    return [result["id"] for result in answer["results"]]


def test_what_is_added_is_found_and_what_is_removed_is_not(client: ApiClient, tmp_path: Path) -> None:
    for colour in COLOURS:
        client.add(picture(colour), id=colour, collection="story", meta='{"a": [1, {"b": "ü"}]}')
    query = {"id": "yellow", "collection": "story"}
    assert set(found(client.post("/v1/search", json=query).json())) == {"red", "green", "blue"}
    assert client.get("/v1/images/red", params={"collection": "story"}).json()["meta"] == {"a": [1, {"b": "ü"}]}
    assert found(client.post("/v1/search", json={**query, "tags": ["red"]}).json()) == ["red"]
    assert client.delete("/v1/images/red", params={"collection": "story"}).status_code == 204
    assert set(found(client.post("/v1/search", json=query).json())) == {"green", "blue"}
    facets = client.get("/v1/tags", params={"collection": "story"}).json()["tags"]
    assert facets == [{"name": "green", "count": 2}, {"name": "blue", "count": 1}, {"name": "red", "count": 1}]
    pages = [client.get("/v1/images", params={"collection": "story", "limit": 2, "offset": n}).json() for n in (0, 2)]
    assert [[image["id"] for image in page["images"]] for page in pages] == [["blue", "green"], ["yellow"]]
    assert [page["total"] for page in pages] == [3, 3]


def test_deep_pages_are_refused_or_answered(client: ApiClient) -> None:
    client.add(picture("red"), id="red")
    assert found(client.post("/v1/search", json={"id": "red", "offset": 15_384, "limit": 1000}).json()) == []
    assert client.post("/v1/search", json={"id": "red", "offset": 16_000, "limit": 385}).status_code == 422


@pytest.mark.parametrize("tag", ['red" or 1==1', "re%", "r\\ed", "ré_d", "'red'", "red\n", "*"])
def test_a_tag_is_taken_literally(client: ApiClient, tag: str) -> None:
    client.add(picture("red"), id="red")
    answer = client.post("/v1/search", files={"file": ("a.png", picture("red"))}, data={"tags": [tag]})
    assert (answer.status_code, answer.json()["field"]) == (404, "tags")
    assert client.get("/v1/images", params={"tag": tag}).status_code == 404
    assert client.get(f"/v1/images/{quote(tag)}").status_code == 404


def test_searches_at_once_get_their_own_answers(client: ApiClient) -> None:
    for colour in COLOURS:
        client.add(picture(colour), id=colour)
    expected = {"red": {"yellow"}, "green": {"yellow"}, "blue": {"red", "green", "yellow"}}
    queries = [{"id": colour, "limit": len(ids)} for colour, ids in expected.items() for _ in range(5)]

    async def at_once() -> list[list[str]]:
        answers = await asyncio.gather(*[client.http.post("/v1/search", json=query) for query in queries])
        return [found(answer.json()) for answer in answers]

    answers = client.run(at_once())
    assert [set(ids) for ids in answers] == [ids for ids in expected.values() for _ in range(5)]


def test_a_picture_that_breaks_nothing(client: ApiClient) -> None:
    answer = client.post("/v1/tags", files=[("file", ("a", picture("red")[:80])), ("file", ("b", picture("blue")))])
    bad, good = answer.json()["images"]
    assert bad["error"]["code"] == "image_undecodable"
    assert good["labels"][0]["name"] == "blue"
