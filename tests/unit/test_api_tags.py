"""POST and GET /v1/tags on the toy model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api_client import ApiClient, api_client
from support.toy import ToyEmbedder, picture

from api.routes.tags import NO_LABELS


@pytest.fixture
def client(tmp_path: Path) -> Iterator[ApiClient]:
    with api_client(tmp_path) as client:
        yield client


def files(*data: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", (f"{number}.png", one)) for number, one in enumerate(data)]


def test_labels_of_one_picture(client: ApiClient) -> None:
    answer = client.post("/v1/tags", files=files(picture("yellow")))
    assert answer.status_code == 200
    document = answer.json()
    (image,) = document["images"]
    assert document["model"] == "toy"
    assert set(document["took_ms"]) == {"decode", "network", "total"}
    assert "note" not in document
    assert image["path"] == "0.png"
    assert [(label["name"], label["class_id"]) for label in image["labels"]] == [("red", 0), ("green", 1), ("blue", 2)]
    assert [label["confidence"] for label in image["labels"]] == pytest.approx([0.5, 0.5, 0], abs=1e-4)


def test_fewer_and_surer_labels(client: ApiClient) -> None:
    answer = client.post("/v1/tags", files=files(picture("yellow")), data={"limit": 1}).json()
    assert [label["name"] for label in answer["images"][0]["labels"]] == ["red"]
    answer = client.post("/v1/tags", files=files(picture("yellow")), data={"min_confidence": 0.6}).json()
    assert answer["images"][0]["labels"] == []


def test_a_bad_picture_does_not_keep_the_others(client: ApiClient) -> None:
    answer = client.post("/v1/tags", files=files(picture("red"), b"no picture", picture("blue")))
    assert answer.status_code == 200
    red, bad, blue = answer.json()["images"]
    assert (red["path"], red["labels"][0]["name"]) == ("0.png", "red")
    assert (bad["path"], bad["error"]["code"]) == ("1.png", "image_undecodable")
    assert bad["error"]["message"]
    assert (blue["path"], blue["labels"][0]["name"]) == ("2.png", "blue")


def test_one_bad_picture_alone_is_a_problem(client: ApiClient) -> None:
    answer = client.post("/v1/tags", files=files(b"no picture"))
    assert (answer.status_code, answer.json()["code"]) == (422, "image_undecodable")


def test_both_field_names_are_taken(client: ApiClient) -> None:
    answer = client.post("/v1/tags", files=[("files", ("a.png", picture("red"))), ("file", ("b.png", picture("red")))])
    assert [image["path"] for image in answer.json()["images"]] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"min_confidence": "1.1"}, "min_confidence"),
        ({"min_confidence": "nan"}, "min_confidence"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_fields(client: ApiClient, fields: dict[str, str], field: str) -> None:
    answer = client.post("/v1/tags", files=files(picture("red")), data=fields)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_picture_is_needed_and_32_are_the_most(client: ApiClient) -> None:
    assert client.post("/v1/tags").json()["field"] == "file"
    assert client.post("/v1/tags", files=files(*[picture("red")] * 32)).status_code == 200
    assert client.post("/v1/tags", files=files(*[picture("red")] * 33)).status_code == 422


def test_a_headless_model_says_that_it_has_no_labels(tmp_path: Path) -> None:
    with ToyEmbedder(headless=True) as embedder, api_client(tmp_path, embedder) as client:
        answer = client.post("/v1/tags", files=files(picture("red"))).json()
    assert answer["images"] == [{"path": "0.png", "labels": []}]
    assert answer["note"] == NO_LABELS


def test_facets_come_by_count_then_name(client: ApiClient) -> None:
    for colours in (["red"], ["yellow"], ["green"], ["blue"], ["red", "blue"]):
        client.add(picture(*colours))
    answer = client.get("/v1/tags").json()
    assert answer["tags"] == [
        {"name": "red", "count": 3},
        {"name": "blue", "count": 2},
        {"name": "green", "count": 2},
    ]
    assert (answer["offset"], answer["limit"], answer["total"]) == (0, 1000, 3)
    page = client.get("/v1/tags", params={"offset": 1, "limit": 1}).json()
    assert page["tags"] == [{"name": "blue", "count": 2}]
    assert page["total"] == 3


def test_facets_of_an_unknown_collection(client: ApiClient) -> None:
    answer = client.get("/v1/tags", params={"collection": "nosuch"})
    assert (answer.status_code, answer.json()["field"]) == (404, "collection")
