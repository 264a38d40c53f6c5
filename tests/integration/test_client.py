"""The Python client against the real server."""

import dataclasses
import io
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import httpx
import pytest
from PIL import Image
from pydantic import TypeAdapter
from support.running import Server, running
from support.toy import picture

import lookalike_client
from api.api_keys import KeyFile, Scope, new_key
from api.schemas import responses
from lookalike_client import (
    ApiError,
    BadRequest,
    Client,
    Conflict,
    Found,
    ImageRefused,
    KeyRefused,
    Labelled,
    NoAnswer,
    NotFound,
    TryLater,
    UrlRefused,
)


@pytest.fixture(scope="module")
def keys() -> dict[str, tuple]:
    return {scope: new_key(f"the-{scope}", scope) for scope in Scope}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, tuple]) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("data")
    for _, key in keys.values():
        KeyFile(data).add(key)
    with running(data) as server:
        yield server


@pytest.fixture
def client(server: Server, keys: dict[str, tuple]) -> Iterator[Client]:
    with Client(server.address, keys["write"][0]) as client:
        for colour in ("red", "green"):
            client.add(picture(colour), id=colour, meta={"colour": colour})
        yield client


def test_search(client: Client, tmp_path: Path) -> None:
    (tmp_path / "yellow.png").write_bytes(picture("yellow"))
    found = client.search(tmp_path / "yellow.png", limit=1, tags=["red"], box=(0, 0, 1, 1), min_score=0.5)
    assert [(result.id, round(result.score, 3)) for result in found.results] == [("red", 0.707)]
    assert found.results[0].meta == {"colour": "red"} and found.results[0].tags[0].name == "red"
    assert {label.name for label in found.labels[:2]} == {"red", "green"}
    assert [result.id for result in client.search(id="red").results][:1] == ["green"]


def test_several_at_once(client: Client) -> None:
    good, bad = client.search_many([{"id": "red", "limit": 1}, {"id": "nosuch"}])
    assert isinstance(good, Found) and isinstance(bad, NotFound) and bad.field == "id"
    (blocked,) = client.labels_of_urls(["http://127.0.0.1/a.png"])
    assert isinstance(blocked, UrlRefused)
    labelled = client.labels(picture("green"), limit=1)
    assert isinstance(labelled, Labelled) and labelled.labels[0].name == "green"


def test_pictures(client: Client) -> None:
    added = client.add(picture("blue"), id="a:b", meta={"album": "Rome"})
    assert (added.meta, added.path) == ({"album": "Rome"}, "picture") and isinstance(added.indexed_at, datetime)
    assert client.image("a:b") == added
    assert Image.open(io.BytesIO(client.thumbnail("a:b"))).format == "JPEG"
    assert client.file("a:b") == picture("blue")
    page = client.images(limit=1)
    assert len(page) == 1 and page.total == 3 and page.items[0].id == "a:b"
    assert [image.id for image in client.all_images()] == ["a:b", "green", "red"]
    assert [image.id for image in client.all_images(tag="blue")] == ["a:b"]
    sent, indexed = client.preview(picture("red", size=(1000, 500))), client.preview(id="a:b", collection="photos")
    assert [Image.open(io.BytesIO(data)).size for data in (sent, indexed)] == [(960, 480), (64, 64)]
    client.remove("a:b")
    with pytest.raises(NotFound, match="a:b"):
        client.image("a:b")


def test_collections_tags_and_jobs(client: Client) -> None:
    assert [(one.name, one.count) for one in client.collections()] == [("photos", 2)]
    assert {(one.name, one.count) for one in client.tags()} == {("red", 1), ("green", 1)}
    assert {(one.name, one.count) for one in client.tags(tags=["red"])} == {("red", 1)}
    day = date(2024, 5, 1)
    assert (list(client.tags(taken_from=day)), list(client.images(taken_to=day))) == ([], [])
    assert client.search(id="red", taken_from=day, taken_to=day).results == []
    assert (client.libraries(), list(client.jobs())) == ([], [])
    for ask in (client.job, client.cancel_job, client.retry_job, client.job_failures):
        with pytest.raises(NotFound):
            ask("nosuch")
    with pytest.raises(NotFound):
        client.start_job("nosuch")
    assert client.session() == lookalike_client.Session(True, "the-write", "write")


@pytest.mark.parametrize(
    ("ask", "kind", "code"),
    [
        (lambda client: client.search(), BadRequest, "invalid_request"),
        (lambda client: client.search(b"no picture"), ImageRefused, "image_undecodable"),
        (lambda client: client.search(b"x" * 2_000_001), ImageRefused, "image_too_large"),
        (lambda client: client.search(url="ftp://a/"), UrlRefused, "url_blocked"),
        (lambda client: client.search(id="red", collection="other"), NotFound, "not_found"),
    ],
)
def test_refusals_are_exceptions_by_code(client: Client, ask, kind: type[ApiError], code: str) -> None:
    with pytest.raises(kind) as caught:
        ask(client)
    assert caught.value.code == code and caught.value.status >= 400 and len(caught.value.request_id) == 32


def test_keys(server: Server, keys: dict[str, tuple]) -> None:
    with Client(server.address) as client, pytest.raises(KeyRefused, match="Bearer"):
        client.collections()
    with Client(server.address, keys["read"][0]) as client, pytest.raises(KeyRefused) as caught:
        client.add(picture("red"))
    assert (caught.value.status, caught.value.code) == (403, "scope_missing")


def test_a_busy_service_is_asked_again_and_no_write_is_done_twice() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["idempotency-key"])
        return httpx.Response(503, json={"code": "busy", "detail": "busy"}, headers={"Retry-After": "0"})

    with Client(transport=httpx.MockTransport(answer), attempts=3) as client, pytest.raises(TryLater):
        client.start_job("holidays")
    assert len(seen) == 3 and len(set(seen)) == 1


def test_answers_of_a_proxy_or_of_nobody_raise_errors_of_the_client() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(NoAnswer, match="127"):
        client.session()
    transport = httpx.MockTransport(lambda request: httpx.Response(502, text="<html>"))
    with Client(transport=transport) as client, pytest.raises(ApiError, match="502"):
        client.session()
    transport = httpx.MockTransport(lambda request: httpx.Response(409, json={"code": "model_mismatch"}))
    with Client(transport=transport) as client, pytest.raises(Conflict):
        client.search(id="a")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Label", "Label"),
        ("Tag", "Tag"),
        ("Result", "Result"),
        ("Labelled", "Tagged"),
        ("Image", "ImageOut"),
        ("TagCount", "TagCount"),
        ("Collection", "CollectionOut"),
        ("Job", "JobOut"),
        ("Failure", "JobFailure"),
    ],
)
def test_its_classes_have_the_fields_of_the_services(ours: str, theirs: str) -> None:
    fields = {field.name for field in dataclasses.fields(getattr(lookalike_client, ours))}
    assert fields == set(TypeAdapter(getattr(responses, theirs)).json_schema(mode="serialization")["properties"])
