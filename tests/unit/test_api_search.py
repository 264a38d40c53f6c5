"""POST /v1/search on the toy model: the nearest by hand, every option, every wrong one."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api_client import ApiClient, api_client
from support.toy import TOY, picture

from api.services.collections import CollectionService
from embeddings.models.identity import ModelIdentity
from store.testing import MemoryCollection, MemoryStore

SQRT_HALF = math.sqrt(0.5)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    """An app whose collection has red, yellow, a picture half red and half blue, and green; nothing here changes it."""
    with api_client(tmp_path_factory.mktemp("data")) as client:
        client.add(picture("red"), id="red")
        client.add(picture("yellow"), id="yellow", meta='{"album": "summer"}')
        client.add(picture("red", "blue"), id="red-blue")
        client.add(picture("green"), id="green")
        yield client


def upload(data: bytes, **fields: Any) -> dict[str, Any]:
    return {"files": {"file": ("query.png", data)}, "data": fields}


def found(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [result["id"] for result in answer.json()["results"]]


def test_upload_finds_the_nearest_first(client: ApiClient) -> None:
    answer = client.post("/v1/search", **upload(picture("red"))).json()
    assert answer["results"][0]["id"] == "red"
    scores = [result["score"] for result in answer["results"]]
    assert scores == pytest.approx([1, SQRT_HALF, SQRT_HALF, 0], abs=1e-4)
    assert answer["model"] == "toy"
    assert set(answer["took_ms"]) == {"fetch", "decode", "network", "search", "total"}
    assert all(isinstance(value, float) for value in answer["took_ms"].values())
    assert answer["labels"][0] == {"name": "red", "confidence": 1.0, "categories": [], "class_id": 0}


def test_a_result_has_all_its_fields(client: ApiClient) -> None:
    (result,) = client.post("/v1/search", **upload(picture("yellow"), limit=1)).json()["results"]
    assert result == {
        "id": "yellow",
        "score": 1.0,
        "path": "picture.png",
        "tags": [{"name": "red", "confidence": 0.5}, {"name": "green", "confidence": 0.5}],
        "width": 64,
        "height": 64,
        "taken_at": None,
        "meta": {"album": "summer"},
        "thumbnail": "/v1/images/yellow/thumbnail?collection=photos",
    }


def test_an_id_finds_its_neighbours_without_itself_and_without_the_network(client: ApiClient) -> None:
    answer = client.post("/v1/search", json={"id": "yellow", "limit": 3}).json()
    assert {result["id"] for result in answer["results"]} == {"red", "green", "red-blue"}
    assert answer["labels"] == []
    assert (answer["took_ms"]["decode"], answer["took_ms"]["network"]) == (0.0, 0.0)


@pytest.mark.parametrize("box", [[0, 0, 0.5, 1], "[0, 0, 0.5, 1]", "0,0,0.5,1"])
def test_a_box_of_an_upload_is_all_that_counts(client: ApiClient, box: Any) -> None:
    answer = client.post("/v1/search", **upload(picture("red", "blue"), limit=1, box=box))
    assert found(answer) == ["red"]
    assert answer.json()["results"][0]["score"] == pytest.approx(1, abs=1e-3)


def test_a_box_of_an_indexed_picture_is_read_from_its_file(client: ApiClient) -> None:
    answer = client.post("/v1/search", json={"id": "red-blue", "box": [0, 0, 0.5, 1], "limit": 1})
    assert found(answer) == ["red"]
    assert answer.json()["labels"][0]["name"] == "red"


def test_pages_follow_each_other(client: ApiClient) -> None:
    whole = found(client.post("/v1/search", json={"id": "red"}))
    pages = [found(client.post("/v1/search", json={"id": "red", "limit": 1, "offset": n})) for n in range(4)]
    assert pages == [[one] for one in whole] + [[]]


def test_low_scores_are_cut_off(client: ApiClient) -> None:
    assert found(client.post("/v1/search", **upload(picture("red"), min_score=0.9))) == ["red"]


def test_several_tags_must_all_be_there(client: ApiClient) -> None:
    assert found(client.post("/v1/search", **upload(picture("red"), tags=["red", "green"]))) == ["yellow"]
    assert found(client.post("/v1/search", json={"id": "red", "tags": ["blue"]})) == ["red-blue"]
    assert found(client.post("/v1/search", json={"id": "red", "tags": "blue"})) == ["red-blue"]


def test_options_may_be_in_the_address(client: ApiClient) -> None:
    assert found(client.post("/v1/search?limit=1&tags=green&tags=red", **upload(picture("green")))) == ["yellow"]


WRONG = [
    ({"limit": 0}, 422, "limit"),
    ({"limit": 100_000}, 422, "limit"),
    ({"limit": "many"}, 422, "limit"),
    ({"offset": -1}, 422, "offset"),
    ({"offset": 16_300, "limit": 100}, 422, "offset"),
    ({"min_score": 1.5}, 422, "min_score"),
    ({"box": [0, 0, 1.5, 1]}, 422, "box"),
    ({"box": [-0.1, 0, 0.5, 1]}, 422, "box"),
    ({"box": [0.6, 0, 0.5, 1]}, 422, "box"),
    ({"box": [0, 0, 0, 1]}, 422, "box"),
    ({"box": [0, 0, 1]}, 422, "box"),
    ({"box": "somewhere"}, 422, "box"),
    ({"tags": ["purple"]}, 404, "tags"),
    ({"tags": ['red" or 1==1']}, 404, "tags"),
    ({"tags": ["%"]}, 404, "tags"),
    ({"collection": "nosuch"}, 404, "collection"),
    ({"collection": "../etc"}, 422, "collection"),
    ({"url": "http://example.org/a.jpg"}, 422, "url"),
    ({"limmit": 3}, 422, "limmit"),
]


@pytest.mark.parametrize(("fields", "status", "field"), WRONG)
@pytest.mark.parametrize("kind", ["form", "json"])
def test_a_wrong_field_is_named(client: ApiClient, fields: dict[str, Any], status: int, field: str, kind: str) -> None:
    if kind == "form":
        answer = client.post("/v1/search", **upload(picture("red"), **fields))
    else:
        answer = client.post("/v1/search", json={"id": "red", **fields})
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["field"]) == (status, status, field)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == {404: "not_found", 422: "invalid_request"}[status]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"] and problem["detail"]


def test_several_wrong_fields_are_all_named(client: ApiClient) -> None:
    problem = client.post("/v1/search", json={"id": "red", "limit": 0, "min_score": 2}).json()
    assert [fault["field"] for fault in problem["errors"]] == ["limit", "min_score"]
    assert problem["field"] == "limit"


def test_a_misspelt_tag_gets_a_hint(client: ApiClient) -> None:
    assert "green" in client.post("/v1/search", json={"id": "red", "tags": ["greem"]}).json()["detail"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"json": {}}, "file"),
        ({}, "file"),
        ({"files": {"file": ("a.png", b"x")}, "data": {"id": "red"}}, "file"),
        ({"files": [("file", ("a.png", b"x")), ("file", ("b.png", b"y"))]}, "file"),
        ({"files": {"picture": ("a.png", b"x")}}, "picture"),
        ({"json": ["red"]}, "body"),
        ({"content": b'{"id": ', "headers": {"content-type": "application/json"}}, "body"),
        ({"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}, "body"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, "file"),
        ({"content": b"--b\r\nnonsense", "headers": {"content-type": "multipart/form-data; boundary=b"}}, "file"),
        ({"json": {"id": "nosuch"}}, "id"),
        ({"json": {"id": 'x" or id != "'}}, "id"),
        ({"json": {"id": "red"}, "params": {"id": "green"}}, "id"),
    ],
)
def test_exactly_one_query_is_needed(client: ApiClient, request_: dict[str, Any], field: str) -> None:
    answer = client.post("/v1/search", **request_)
    assert answer.status_code in (404, 422)
    assert answer.json()["field"] == field


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "image_undecodable"),
        (b"this is text, not a picture", 422, "image_undecodable"),
        (b"%PDF-1.7 some document", 415, "unsupported_format"),
        (picture("red")[:60], 422, "image_undecodable"),
        (picture("red", size=(1001, 1000)), 413, "image_too_large"),
    ],
    ids=["empty", "text", "document", "truncated", "large"],
)
def test_a_bad_picture(client: ApiClient, data: bytes, status: int, code: str) -> None:
    answer = client.post("/v1/search", **upload(data))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_other_bodies_are_not_taken(client: ApiClient) -> None:
    answer = client.post("/v1/search", data={"id": "red"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_the_file_of_a_picture_is_gone(tmp_path: Path) -> None:
    with api_client(tmp_path) as client:
        client.add(picture("red"), id="red")
        for file in (tmp_path / "uploads" / "photos").iterdir():
            file.unlink()
        answer = client.post("/v1/search", json={"id": "red", "box": [0, 0, 1, 1]})
    assert (answer.status_code, answer.json()["field"]) == (404, "id")


def test_json_numbers_must_be_numbers(client: ApiClient) -> None:
    body = json.dumps({"id": "red", "min_score": math.nan}).encode()
    answer = client.post("/v1/search", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422


class CountingStore(MemoryStore):
    """Notes which collections were opened for a model, as queries do."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    def open(self, name: str, model: ModelIdentity | None = None) -> MemoryCollection:
        if model is not None:
            self.opened.append(name)
        return super().open(name, model)


def test_a_collection_that_was_opened_for_a_query_is_not_opened_for_the_next(tmp_path: Path) -> None:
    store, now = CountingStore(), 100.0
    with api_client(tmp_path, store=store) as client:
        service = client.service
        service.collections = CollectionService(
            store, TOY, lambda: frozenset({"red"}), service.image_files, lambda: now
        )
        assert client.post("/v1/search", **upload(picture("red"))).status_code == 404
        client.add(picture("red"), id="red")
        client.add(picture("green"), id="green")
        assert found(client.post("/v1/search", **upload(picture("red")))) == ["red", "green"]
        store.opened.clear()
        now = 100.9
        assert found(client.post("/v1/search", **upload(picture("green")))) == ["green", "red"]
        assert store.opened == []
        assert found(client.post("/v1/search", **upload(picture("green"), tags="red"))) == ["red"]
        assert store.opened == ["photos"]  # its tags may be looked for
        now = 102.0
        store.drop("photos")
        assert client.post("/v1/search", **upload(picture("red"))).status_code == 404
