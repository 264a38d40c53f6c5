"""Searching for and adding pictures by URL, through the API and from a real web server."""

import asyncio
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from support.api_client import ApiClient, api_client
from support.toy import picture
from support.web_server import Exchange, Inner, WebServer

from api.services.url_images import MAX_PENDING
from embeddings.errors import UrlBlocked
from embeddings.web.fetcher import WebLimits

MOST = 2_000_000


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer().running() as server:
        for colour in ("red", "blue"):
            server.answers[f"/{colour}.png"] = lambda exchange, colour=colour: exchange.reply(picture(colour))
        yield server


@pytest.fixture
def client(tmp_path: Path, server: WebServer) -> Iterator[ApiClient]:
    with api_client(tmp_path, fetcher=server.fetcher(), max_bytes=MOST) as client:
        client.add(picture("red", "blue"), id="red-blue")
        client.add(picture("green"), id="green")
        yield client


def test_a_search_by_url(client: ApiClient, server: WebServer) -> None:
    answer = client.post("/v1/search", json={"url": f"{server.base}/red.png", "limit": 1})
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert [result["id"] for result in document["results"]] == ["red-blue"]
    assert document["labels"][0]["name"] == "red"
    assert document["took_ms"]["total"] > document["took_ms"]["fetch"] > 0
    assert 'lookalike_stage_seconds_count{stage="fetch"} 1.0' in client.get("/metrics").text


def test_the_url_may_be_in_a_form_or_in_the_address(client: ApiClient, server: WebServer) -> None:
    url = f" {server.base}/blue.png "
    in_form = client.post("/v1/search", files={"limit": (None, "1"), "url": (None, url)})
    in_address = client.post("/v1/search", params={"limit": 1, "url": url})
    for answer in (in_form, in_address):
        assert [result["id"] for result in answer.json()["results"]] == ["red-blue"]


def test_a_box_of_a_picture_by_url(client: ApiClient, server: WebServer) -> None:
    server.answers["/both"] = lambda exchange: exchange.reply(picture("red", "green"))
    answer = client.post("/v1/search", json={"url": f"{server.base}/both", "box": [0.5, 0, 0.5, 1], "limit": 1})
    assert [result["id"] for result in answer.json()["results"]] == ["green"]


def test_a_picture_is_added_by_url_and_kept(client: ApiClient, server: WebServer, tmp_path: Path) -> None:
    server.answers["/a/The%20sun%E2%80%AE.png"] = lambda exchange: exchange.reply(picture("blue"))
    url = f"{server.base}/a/The sun\N{RIGHT-TO-LEFT OVERRIDE}.png?size=large#top"
    answer = client.post("/v1/images", json={"url": url, "id": "sun", "meta": {"album": "Rome"}})
    assert answer.status_code == 201, answer.text
    document = answer.json()
    assert (document["id"], document["path"], document["source"]) == ("sun", "The sun.png", "upload")
    assert (document["meta"], document["bytes"]) == ({"album": "Rome"}, len(picture("blue")))
    server.answers.clear()
    thumbnail = client.get(document["thumbnail"])
    assert Image.open(io.BytesIO(thumbnail.content)).size == (64, 64)
    assert [result["id"] for result in client.post("/v1/search", json={"id": "sun", "limit": 1}).json()["results"]]


def test_the_same_bytes_are_the_same_picture_wherever_they_come_from(client: ApiClient, server: WebServer) -> None:
    server.answers["/"] = server.answers["/red.png"]
    by_url = client.post("/v1/images", json={"url": server.base}).json()
    assert (by_url["id"], by_url["path"]) == (client.add(picture("red"))["id"], "upload")


@pytest.mark.parametrize("path", ["/v1/search", "/v1/images"])
def test_exactly_one_picture(client: ApiClient, server: WebServer, path: str) -> None:
    url = f"{server.base}/red.png"
    wrong = [
        client.post(path, files={"file": ("a.png", picture("red"))}, data={"url": url}),
        client.post(path, json={"url": url}, params={"url": url}),
        client.post(path, json={"url": ""}),
        client.post(path, json={"url": "http://a.example/" + "x" * 9000}),
        client.post(path, json={"url": ["http://a.example/"]}),
    ]
    if path == "/v1/search":
        wrong.append(client.post(path, json={"url": url, "id": "green"}))
    for answer in wrong:
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_request", "url")
    assert server.requests == []


@pytest.mark.parametrize("path", ["/v1/search", "/v1/images"])
def test_all_refusals_are_one_answer(client: ApiClient, server: WebServer, path: str, tmp_path: Path) -> None:
    inner = Inner()
    server.answers["/inside"] = lambda exchange: exchange.reply(
        b"", f"Location: http://127.0.0.1:{inner.port}/", status="302 Found"
    )
    answers = [
        client.post(path, json={"url": url})
        for url in (
            f"http://127.0.0.1:{inner.port}/",
            f"http://localhost:{inner.port}/",
            f"http://[::ffff:127.0.0.1]:{inner.port}/",
            f"http://user:password@127.0.0.1:{server.port}/red.png",
            "http://169.254.169.254/latest/meta-data/",
            "http://nosuch.invalid/",
            "file:///etc/passwd",
            "nonsense",
            f"{server.base}/inside",
        )
    ]
    problems = [answer.json() for answer in answers]
    for problem in problems:
        del problem["request_id"]
    assert problems == [problems[0]] * len(problems)
    assert (problems[0]["status"], problems[0]["code"], problems[0]["field"]) == (422, "url_blocked", "url")
    assert problems[0]["detail"] == UrlBlocked.__doc__
    assert {answer.status_code for answer in answers} == {422}
    assert inner.connections == 0
    inner.close()
    assert client.get("/v1/images").json()["total"] == 2


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (lambda exchange: exchange.reply(b"", status="404 Not Found"), 422, "url_unreachable"),
        (lambda exchange: None, 422, "url_unreachable"),
        (lambda exchange: exchange.trickle(b""), 422, "url_unreachable"),
        (lambda exchange: exchange.reply(b"no picture"), 422, "image_undecodable"),
        (lambda exchange: exchange.reply(b"%PDF-1.7 text"), 415, "unsupported_format"),
        (lambda exchange: exchange.reply(picture("red")[:60]), 422, "image_undecodable"),
        (lambda exchange: exchange.reply(bytes(MOST + 1)), 413, "image_too_large"),
    ],
    ids=["missing", "hung up", "silent", "text", "document", "truncated", "large"],
)
@pytest.mark.parametrize("path", ["/v1/search", "/v1/images"])
def test_a_url_that_gives_no_picture_is_a_problem_and_leaves_no_file(
    tmp_path: Path, server: WebServer, path: str, answer: object, status: int, code: str
) -> None:
    server.answers["/wrong"] = answer  # type: ignore[assignment]
    with api_client(tmp_path, fetcher=server.fetcher(WebLimits(0.3, 0.3)), max_bytes=MOST) as client:
        client.add(picture("green"), id="green")
        got = client.post(path, json={"url": f"{server.base}/wrong"})
        assert (got.status_code, got.json()["code"]) == (status, code)
        assert len(list((tmp_path / "uploads").rglob("*.*"))) == 0
        assert client.get("/v1/images").json()["total"] == 1


def test_slow_servers_do_not_take_the_places_of_others(client: ApiClient, server: WebServer) -> None:
    released = threading.Event()

    def wait(exchange: Exchange) -> None:
        released.wait(10)
        exchange.reply(picture("red"))

    server.answers["/slow"] = wait

    async def crowd() -> tuple[list[int], int]:
        query = {"url": f"{server.base}/slow", "limit": 1}
        slow = [asyncio.create_task(client.http.post("/v1/search", json=query)) for _ in range(MAX_PENDING + 5)]
        busy: set[asyncio.Task[httpx.Response]] = set()
        while len(busy) < 5:  # the others cannot end yet
            busy, _ = await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)
        other = await client.http.post("/v1/search", files={"file": ("a.png", picture("red"))})
        released.set()
        await asyncio.gather(*slow)
        assert all(task.result().json()["code"] == "busy" for task in busy)
        return sorted(task.result().status_code for task in slow), other.status_code

    statuses, other = client.run(crowd())
    assert statuses == [200] * MAX_PENDING + [503] * 5
    assert other == 200


def test_it_is_in_the_openapi_document(client: ApiClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/v1/search", "/v1/images"):
        for kind in ("application/json", "multipart/form-data"):
            assert "url" in paths[path]["post"]["requestBody"]["content"][kind]["schema"]["properties"]
        assert "url_blocked" in paths[path]["post"]["responses"]["422"]["description"]


def test_a_picture_by_url_is_shown_by_the_service_alone(client: ApiClient, server: WebServer) -> None:
    answer = client.post("/v1/preview", json={"url": f"{server.base}/red.png"})
    assert (answer.status_code, answer.headers["content-type"], answer.content[:2]) == (200, "image/jpeg", b"\xff\xd8")
    assert client.post("/v1/preview", json={"url": f"{server.base}/nosuch"}).json()["code"] == "url_unreachable"
