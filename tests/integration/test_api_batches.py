"""Several things in one request, pictures as whole bodies, and requests that are sent twice."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.api_client import ApiClient, api_client
from support.toy import picture
from support.web_server import WebServer

from api.api_keys import KeyFile, Scope, new_key
from api.middleware.idempotency import Answer, Answers


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer().running() as server:
        for colour in ("red", "blue"):
            server.answers[f"/{colour}.png"] = lambda exchange, colour=colour: exchange.reply(picture(colour))
        server.answers["/text"] = lambda exchange: exchange.reply(b"no picture")
        yield server


@pytest.fixture
def client(tmp_path: Path, server: WebServer) -> Iterator[ApiClient]:
    with api_client(tmp_path, fetcher=server.fetcher(), max_bytes=1_000_000) as client:
        for colour in ("red", "green", "blue"):
            client.add(picture(colour), id=colour)
        yield client


def test_the_default_collection_is_named(client: ApiClient) -> None:
    assert client.get("/v1/collections").json()["default"] == "photos"


# ---- several queries -------------------------------------------------------------------------------------------


def test_each_query_has_its_own_answer_or_error(client: ApiClient, server: WebServer) -> None:
    queries = [
        {"id": "red", "limit": 1},
        {"url": f"{server.base}/blue.png", "limit": 1},
        {"id": "nosuch"},
        {"url": "http://10.0.0.1/a.png"},
        {"url": f"{server.base}/text"},
        {"id": "red", "limit": 0},
        {"id": "red", "url": f"{server.base}/blue.png"},
        {"id": "red", "tags": ["purple"]},
        {"id": "red", "collection": "other"},
        {"id": "red", "limits": 1, "offset": -1},
        "red",
    ]
    answer = client.post("/v1/search/batch", json={"queries": queries})
    assert answer.status_code == 200, answer.text
    answers = answer.json()["answers"]
    assert [result["id"] for result in answers[1]["results"]] == ["blue"]
    assert answers[1]["labels"][0]["name"] == "blue" and answers[1]["took_ms"]["fetch"] > 0
    assert answers[0]["results"][0]["id"] in ("green", "blue")
    failed = [(a["error"]["code"], a["error"]["field"]) for a in answers[2:]]
    assert failed == [
        ("not_found", "id"),
        ("url_blocked", "url"),
        ("image_undecodable", None),
        ("invalid_request", "limit"),
        ("invalid_request", "url"),
        ("not_found", "tags"),
        ("not_found", "collection"),
        ("invalid_request", "offset"),
        ("invalid_request", "body"),
    ]
    assert "limits" in answers[9]["error"]["message"]


def test_a_query_of_several_is_answered_as_if_it_were_alone(client: ApiClient) -> None:
    query = {"id": "red", "limit": 2, "box": [0, 0, 1, 1]}
    alone = client.post("/v1/search", json=query).json()
    (together,) = client.post("/v1/search/batch", json={"queries": [query]}).json()["answers"]
    assert (together["labels"], together["results"]) == (alone["labels"], alone["results"])


@pytest.mark.parametrize("queries", [[], [{"id": "red"}] * 33, "red", None])
def test_too_few_or_too_many_queries(client: ApiClient, queries: object) -> None:
    answer = client.post("/v1/search/batch", json={"queries": queries})
    assert (answer.status_code, answer.json()["field"]) == (422, "queries")


def test_tags_of_pictures_by_their_urls(client: ApiClient, server: WebServer) -> None:
    urls = [f"{server.base}/{name}" for name in ("red.png", "text", "nosuch", "blue.png")]
    answer = client.post("/v1/tags", json={"urls": [*urls, "http://127.0.0.1:1/"], "limit": 1})
    assert answer.status_code == 200, answer.text
    images = answer.json()["images"]
    assert [image["path"] for image in images[:4]] == urls
    assert [image.get("labels", [{}])[0].get("name") for image in images] == ["red", None, None, "blue", None]
    codes = [image["error"]["code"] for image in images if "error" in image]
    assert codes == ["image_undecodable", "url_unreachable", "url_blocked"]


def test_files_and_urls_do_not_mix(client: ApiClient, server: WebServer) -> None:
    files = {"file": ("a.png", picture("red"))}
    answer = client.post("/v1/tags", files=files, data={"urls": f"{server.base}/red.png"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert client.post("/v1/tags", json={"urls": []}).status_code == 422
    assert client.post("/v1/tags", json={"urls": ["http://a.example/"] * 33}).json()["field"] == "urls"


# ---- a picture as the whole body -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "image/x-anything; a=b"])
def test_a_picture_may_be_the_whole_body(client: ApiClient, kind: str) -> None:
    def send(path: str, **parameters: str) -> httpx.Response:
        return client.post(path, content=picture("red"), headers={"Content-Type": kind}, params=parameters)

    found = send("/v1/search", limit="1", tags="red")
    assert [result["id"] for result in found.json()["results"]] == ["red"]
    assert send("/v1/tags", limit="1").json()["images"][0]["labels"][0]["name"] == "red"
    added = send("/v1/images", id="mine", meta='{"album": "Rome"}')
    assert (added.status_code, added.json()["meta"], added.json()["path"]) == (201, {"album": "Rome"}, "upload")


def test_its_limits_are_those_of_any_picture(client: ApiClient) -> None:
    def send(content: object, path: str = "/v1/search") -> tuple[int, str]:
        answer = client.post(path, content=content, headers={"Content-Type": "image/png"})
        return answer.status_code, answer.json()["code"]

    async def parts():
        for _ in range(20):
            yield b"x" * 100_000

    assert send(b"x" * 1_000_001) == (413, "image_too_large")
    assert send(parts()) == (413, "image_too_large")
    assert send(b"") == (422, "invalid_request")
    assert send(b"no picture") == (422, "image_undecodable")
    assert send(picture("red"), "/v1/search/batch") == (415, "unsupported_media_type")


# ---- sent twice ------------------------------------------------------------------------------------------------


def add(client: ApiClient, key: str, colour: str = "red", **options) -> httpx.Response:
    headers = {"Idempotency-Key": key, **options.pop("headers", {})}
    return client.post("/v1/images", files={"file": ("a.png", picture(colour))}, headers=headers, **options)


def test_a_write_that_is_sent_twice_is_done_once(client: ApiClient) -> None:
    first = add(client, "k1", data={"id": "once"})
    assert client.delete("/v1/images/once").status_code == 204
    second = add(client, "k1", data={"id": "once"})  # with another boundary between the parts of the form
    assert first.request.headers["content-type"] != second.request.headers["content-type"]
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["location"] == first.headers["location"]
    assert second.headers["idempotency-replayed"] == "true" and "idempotency-replayed" not in first.headers
    assert client.get("/v1/images/once").status_code == 404, "it was not added again"


def test_a_key_is_for_one_request(client: ApiClient) -> None:
    assert add(client, "k1").status_code == 201
    for other in (
        add(client, "k1", "blue"),
        add(client, "k1", data={"id": "x"}),
        add(client, "k1", params={"id": "x"}),
    ):
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert add(client, "k2", "blue").status_code == 201


def test_what_was_refused_may_be_tried_again(client: ApiClient) -> None:
    headers = {"Idempotency-Key": "k1", "Content-Type": "image/png"}
    assert client.post("/v1/images", content=b"no picture", headers=headers).status_code == 422
    assert client.post("/v1/images", content=picture("red"), headers=headers).status_code == 201


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é"])
def test_an_invalid_idempotency_key_is_refused(client: ApiClient, key: str) -> None:
    answer = add(client, key, headers={"Idempotency-Key": key.encode()})
    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")


def test_two_at_the_same_time(client: ApiClient) -> None:
    async def scene() -> list[httpx.Response]:
        headers = {"Idempotency-Key": "k1"}
        sent = [client.http.post("/v1/jobs", json={"source": "nosuch"}, headers=headers) for _ in range(2)]
        return await asyncio.gather(*sent)

    codes = sorted((answer.status_code, answer.json()["code"]) for answer in client.run(scene()))
    assert codes == [(404, "not_found"), (409, "idempotency_key_busy")]


def test_each_callers_keys_are_its_own(tmp_path: Path) -> None:
    with api_client(tmp_path) as client:
        bearers = []
        for name in ("ann", "bob"):
            secret, key = new_key(name, Scope.WRITE)
            KeyFile(tmp_path).add(key)
            bearers.append({"Authorization": f"Bearer {secret}"})
        assert add(client, "k1", headers=bearers[0]).status_code == 201
        again = add(client, "k1", "blue", headers=bearers[1])
        assert again.status_code == 201 and "idempotency-replayed" not in again.headers
        KeyFile(tmp_path).remove("ann")
        assert add(client, "k1", headers=bearers[0]).status_code == 401, "a revoked key gets no old answers either"


def test_answers_outlive_the_process_and_not_the_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identity, answer = ("who", "/v1/images", "k1"), Answer("f", 201, {"location": "/a"}, b"{}")
    Answers(tmp_path).put(identity, answer)
    assert Answers(tmp_path).get(identity) == answer
    assert Answers(tmp_path).get(("who", "/v1/jobs", "k1")) is None
    monkeypatch.setattr("api.middleware.idempotency.RETENTION_SECONDS", 0)
    assert Answers(tmp_path).get(identity) is None
