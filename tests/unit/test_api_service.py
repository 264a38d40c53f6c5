"""All routes: request ids, problem documents, host checks, limits, concurrency, health, the OpenAPI document."""

import asyncio
import json
import logging
import re
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.api_client import ApiClient, api_client
from support.toy import ToyEmbedder, picture

from api import request_body
from api.current_request import RequestIdFilter
from api.errors import PROBLEMS, problem_type
from api.schemas import duplicates, responses
from api.schemas.requests import SearchQuery
from embeddings import errors
from embeddings.embedder import Embedding
from embeddings.imaging.decode import DecodedImage
from store.testing import MemoryStore

PNG = {"files": {"file": ("a.png", picture("red"))}}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[ApiClient]:
    with api_client(tmp_path) as client:
        yield client


def own_errors(base: type[errors.LookalikeError] = errors.LookalikeError) -> Iterator[type[errors.LookalikeError]]:
    yield base
    for cls in base.__subclasses__():
        yield from own_errors(cls)


@pytest.mark.parametrize("error", [error for error in own_errors() if error.__module__ == errors.__name__])
def test_every_error_of_ours_has_its_own_line_in_the_table(error: type[errors.LookalikeError]) -> None:
    assert error in PROBLEMS


def test_an_error_that_the_table_does_not_know_has_its_base_class_line() -> None:
    class Odd(errors.NotFound):
        pass

    assert problem_type(Odd()).status == 404


def test_an_answer_has_a_new_id_or_the_callers(client: ApiClient) -> None:
    first, second = (client.get("/health").headers["x-request-id"] for _ in range(2))
    assert re.fullmatch(r"[0-9a-f]{32}", first) and first != second
    assert client.get("/health", headers={"X-Request-ID": "my-id.1"}).headers["x-request-id"] == "my-id.1"
    for strange in ("x" * 65, "a b", "a\tb", "é"):
        answer = client.get("/health", headers={"X-Request-ID": strange.encode()})
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


def test_the_id_is_in_bodies_and_log_lines(client: ApiClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(RequestIdFilter())
    with caplog.at_level(logging.INFO):
        answer = client.get("/v1/collections?secret=1", headers={"X-Request-ID": "abc"})
        client.get("/no%0Asuch")
    assert answer.json()["request_id"] == "abc"
    lines = [record for record in caplog.records if record.name == "lookalike.access"]
    assert lines[0].__dict__["request_id"] == "abc"
    assert re.fullmatch(r"GET /v1/collections 200 \d+\.\d ms", lines[0].getMessage())
    assert re.fullmatch(r"GET /no%0Asuch 404 \d+\.\d ms", lines[1].getMessage())


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nosuch", 404, "not_found"),
        ("GET", "/v1/nosuch", 404, "not_found"),
        ("GET", "/v1/images/", 404, "not_found"),
        ("GET", "/redoc", 404, "not_found"),
        ("GET", "/static/../app.py", 404, "not_found"),
        ("PUT", "/v1/images/one", 405, "method_not_allowed"),
        ("GET", "/v1/search", 405, "method_not_allowed"),
    ],
)
def test_what_the_router_refuses_is_a_problem_too(
    client: ApiClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.run(client.http.request(method, path))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert ("allow" in answer.headers) == (status == 405)


class BrokenStore(MemoryStore):
    """A store whose every call fails with an error that was given."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def collections(self) -> list:
        raise self._error

    def ready(self, name: str | None = None) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (errors.StoreUnavailable("milvus at 10.1.2.3 is away"), 503, "5"),
        (errors.DataDirectoryLocked("/home/ann/data is locked by 123"), 503, "5"),
        (errors.DiskFull("/home/ann is full"), 507, None),
        (errors.LookalikeError("the secret is 10.1.2.3"), 500, None),
        (RuntimeError("the secret is 10.1.2.3"), 500, None),
    ],
)
def test_faults_of_the_service_are_logged_and_not_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception, status: int, retry: str | None
) -> None:
    with api_client(tmp_path, store=BrokenStore(error)) as client:
        answer = client.get("/v1/collections")
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert problem["code"] == getattr(error, "code", "internal")
    assert answer.headers.get("retry-after") == retry
    assert answer.headers["x-request-id"] == problem["request_id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "10.1.2.3" not in answer.text and "ann" not in answer.text
    logged = [f"{record.getMessage()} {record.exc_info}" for record in caplog.records]
    assert any(str(error) in text for text in logged)


# ---- other sites -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[", "localhost.evil.example:80"])
def test_a_strange_host_name_is_refused(client: ApiClient, host: str) -> None:
    answer = client.get("/v1/collections", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "unknown_host")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "LOCALHOST:1"])
def test_our_host_names_are_taken(client: ApiClient, host: str) -> None:
    assert client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Origin": "["},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_page_elsewhere_changes_nothing(client: ApiClient, headers: dict[str, str]) -> None:
    client.add(picture("red"), id="one")
    for method in ("POST", "DELETE", "PUT"):
        answer = client.run(client.http.request(method, "/v1/images/one", headers=headers))
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert client.get("/v1/images/one", headers=headers).status_code == 200


@pytest.mark.parametrize("origin", ["http://localhost", "http://localhost:80", "https://localhost"])
def test_our_own_page_may(client: ApiClient, origin: str) -> None:
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/v1/images", **PNG, headers=headers).status_code == 201


def test_the_page_runs_no_script_of_its_own_text(client: ApiClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|<style|\sstyle=", answer.text)


def test_security_headers_are_on_every_answer(client: ApiClient) -> None:
    for path in ("/health", "/nosuch", "/openapi.json"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]


# ---- limits ----------------------------------------------------------------------------------------------------

BOUNDARY = {"content-type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"


async def parts(size: int, part: int = 1 << 16) -> AsyncIterator[bytes]:
    """A form with one file, sent without a Content-Length."""
    yield HEAD
    for start in range(0, size, part):
        yield b"x" * min(part, size - start)
    yield TAIL


@pytest.mark.parametrize("path", ["/v1/search", "/v1/images", "/v1/tags"])
def test_a_large_file_is_refused(tmp_path: Path, path: str) -> None:
    with api_client(tmp_path, max_bytes=1000) as client:
        answer = client.post(path, files={"file": ("a.png", b"x" * 1001)})
        assert (answer.status_code, answer.json()["code"]) == (413, "image_too_large")


@pytest.mark.parametrize("path", ["/v1/search", "/v1/images", "/v1/tags"])
def test_a_large_body_is_refused_while_it_is_read(tmp_path: Path, path: str) -> None:
    size = request_body.MARGIN + 5000
    with api_client(tmp_path, max_bytes=1000) as client:
        chunked = client.post(path, content=parts(size), headers=BOUNDARY)
        assert (chunked.status_code, chunked.json()["code"]) == (413, "image_too_large")
        declared = client.post(path, files={"file": ("a.png", b"x" * size)})
        assert (declared.status_code, declared.json()["code"]) == (413, "image_too_large")


def test_a_sign_in_is_small(tmp_path: Path) -> None:
    with api_client(tmp_path) as client:
        answer = client.post("/v1/session", json={f"field {i}": 1 for i in range(1000)})
        assert (answer.status_code, answer.json()["code"]) == (413, "image_too_large")
        assert "1,024 bytes" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("sent", "field", "words"),
    [
        ({f"field{i}": 1 for i in range(65)}, "body", "65 fields"),
        ({"tags": [1] * 1001}, "tags", "1,001 items"),
        ({"id": "x", "tags": [[1]] * 1001}, "tags", "1,001 items"),
    ],
)
def test_json_is_bounded_before_it_is_validated(tmp_path: Path, sent: Any, field: str, words: str) -> None:
    with api_client(tmp_path) as client:
        answer = client.post("/v1/search", json=sent)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        assert words in answer.json()["detail"]


def test_at_most_ten_faults_of_a_request_are_told(tmp_path: Path) -> None:
    with api_client(tmp_path) as client:
        answer = client.post("/v1/search", json={"id": "x", "tags": [1] * 1000})
        assert answer.status_code == 422
        assert len(answer.json()["errors"]) == 10
        assert len(answer.content) < 3000


@pytest.mark.parametrize("charset", ["punycode", "utf-7", "no-such", "utf-16", "idna"])
def test_a_form_is_in_utf_8(tmp_path: Path, charset: str) -> None:
    with api_client(tmp_path) as client:
        headers = {"content-type": f"multipart/form-data; boundary=b; charset={charset}"}
        answer = client.post("/v1/search", content=HEAD + picture("red") + TAIL, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
        headers = {"content-type": "multipart/form-data; boundary=b; charset=UTF-8"}
        assert client.post("/v1/tags", content=HEAD + picture("red") + TAIL, headers=headers).status_code == 200


def test_one_large_file_of_several_fails_alone(tmp_path: Path) -> None:
    small = picture("red")
    with api_client(tmp_path, max_bytes=len(small)) as client:
        answer = client.post("/v1/tags", files=[("file", ("a.png", small)), ("file", ("b.png", small + b"x"))]).json()
    assert [image.get("error", {}).get("code") for image in answer["images"]] == [None, "image_too_large"]


def test_a_large_json_body_is_refused(client: ApiClient) -> None:
    body = json.dumps({"id": "x" * (request_body.MAX_JSON + 1)}).encode()
    answer = client.post("/v1/search", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "image_too_large")


def test_a_client_that_stops_sending_is_let_go(client: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "GRACE", 0.05)

    async def scene() -> tuple[int, str]:
        async def stuck() -> AsyncIterator[bytes]:
            yield HEAD
            await asyncio.Event().wait()

        answer = await client.http.post("/v1/search", content=stuck(), headers=BOUNDARY)
        return answer.status_code, answer.json()["code"]

    assert client.run(scene()) == (408, "request_timeout")


# ---- many at once ----------------------------------------------------------------------------------------------


class SlowEmbedder(ToyEmbedder):
    """A toy whose engine waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.started = threading.Event()
        self.go_on = threading.Event()

    def finish(self, decoded: Sequence[DecodedImage]) -> list[Embedding]:
        self.started.set()
        assert self.go_on.wait(30)
        return super().finish(decoded)


def test_waiting_pictures_block_nobody(tmp_path: Path) -> None:
    with SlowEmbedder() as embedder, api_client(tmp_path, embedder) as client:

        async def scene() -> tuple[list[int], list[int]]:
            http = client.http
            searches = [asyncio.ensure_future(http.post("/v1/tags", **PNG))]
            await asyncio.to_thread(embedder.started.wait)
            searches += [asyncio.ensure_future(http.post("/v1/tags", **PNG)) for _ in range(3)]
            meanwhile = [(await http.get(path)).status_code for path in ("/health", "/ready", "/v1/collections")]
            embedder.go_on.set()
            return meanwhile, [(await search).status_code for search in searches]

        assert client.run(scene()) == ([200, 200, 200], [200, 200, 200, 200])
        assert embedder.runs[0] == 1 and sum(embedder.runs) == 4


def test_too_many_are_told_to_come_back(tmp_path: Path) -> None:
    with SlowEmbedder() as embedder, api_client(tmp_path, embedder, queue=1) as client:

        async def scene() -> None:
            first = asyncio.ensure_future(client.http.post("/v1/tags", **PNG))
            await asyncio.to_thread(embedder.started.wait)
            refused = await client.http.post("/v1/tags", **PNG)
            assert (refused.status_code, refused.json()["code"]) == (503, "busy")
            assert int(refused.headers["retry-after"]) > 0
            assert (await client.http.get("/health")).status_code == 200
            embedder.go_on.set()
            assert (await first).status_code == 200
            assert (await client.http.post("/v1/tags", **PNG)).status_code == 200

        client.run(scene())


def test_searches_of_one_collection_share_a_call_and_get_their_own_answers(client: ApiClient) -> None:
    for colour in ("red", "green", "blue", "yellow"):
        client.add(picture(colour), id=colour)

    async def scene() -> list[list[str]]:
        queries = [{"id": "red"}, {"id": "green"}, {"id": "blue", "offset": 1}, {"id": "red", "tags": ["green"]}]
        answers = await asyncio.gather(*[client.http.post("/v1/search", json={**q, "limit": 2}) for q in queries])
        return [[result["id"] for result in answer.json()["results"]] for answer in answers]

    deferred = client.run(scene())
    assert deferred[0][0] == deferred[1][0] == "yellow"
    assert "red" not in deferred[0] and "green" not in deferred[1] and "blue" not in deferred[2]
    assert deferred[3] == ["yellow", "green"]


# ---- health ----------------------------------------------------------------------------------------------------


def test_health_and_readiness(client: ApiClient) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    answer = client.get("/ready")
    assert answer.status_code == 200
    document = answer.json()
    assert document["ready"] is True
    assert {name: check["ok"] for name, check in document["checks"].items()} == {
        "model": True,
        "store": True,
        "jobs": True,
        "disk": True,
    }
    assert document["checks"]["model"]["name"] == "toy"
    assert document["checks"]["disk"]["free_bytes"] > 0


def test_not_ready_without_a_store(tmp_path: Path) -> None:
    with api_client(tmp_path, store=BrokenStore(errors.StoreUnavailable("10.1.2.3"))) as client:
        answer = client.get("/ready")
        assert answer.status_code == 503
        assert answer.json()["ready"] is False
        assert answer.json()["checks"]["store"]["code"] == "store_unavailable"
        assert client.get("/health").status_code == 200


def test_not_ready_while_the_store_loads_the_default_collection(tmp_path: Path) -> None:
    store = MemoryStore()
    with api_client(tmp_path, store=store) as client:
        client.post("/v1/images", **PNG)
        store.loading = {"others"}
        assert client.get("/ready").status_code == 200
        store.loading = {"photos"}
        answer = client.get("/ready")
        assert answer.status_code == client.post("/v1/search", **PNG).status_code == 503
        assert answer.json()["checks"]["store"]["code"] == "store_unavailable"


def test_metrics_count_by_route_not_by_path(client: ApiClient) -> None:
    client.post("/v1/tags", **PNG)
    client.get("/v1/images/one")
    client.get("/v1/images/two")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'lookalike_requests_total{method="GET",route="/v1/images/{id}",status="404"} 2.0' in answer.text
    assert 'lookalike_batch_size_count{stage="network"} 1.0' in answer.text
    assert 'lookalike_stage_seconds_count{stage="decode"} 1.0' in answer.text
    assert "lookalike_requests_in_flight 0.0" in answer.text


def test_openapi_has_an_example_of_every_answer(client: ApiClient) -> None:
    document = client.get("/openapi.json").json()
    models = vars(responses) | vars(duplicates)
    answers = [
        (response["content"]["application/json"], operation.get("operationId"))
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, response in operation["responses"].items()
        if status.startswith("2") and "application/json" in response.get("content", {})
    ]
    assert len(answers) >= 20
    for media, operation in answers:
        assert "example" in media, operation
        model = models[media["schema"]["$ref"].rsplit("/", 1)[1]]
        model.model_validate(media["example"])
        assert '"text"' not in json.dumps(media["example"]), f"a field of {operation} has no example of its own"


def test_openapi_operations_say_what_they_do(client: ApiClient) -> None:
    document = client.get("/openapi.json").json()
    operations = [route for methods in document["paths"].values() for route in methods.values()]
    ids = [route["operationId"] for route in operations]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in ids)
    assert document["paths"]["/v1/images"]["get"]["operationId"] == "list_images"
    assert document["paths"]["/v1/images"]["get"]["summary"] == "List images"
    assert not any(route["summary"].istitle() and " " in route["summary"] for route in operations)


def test_the_documentation_loads_nothing_from_another_host(client: ApiClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "://" not in page.text and "//" not in page.text.replace("</", "")
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|<style|\sstyle=", page.text)
    loaded = [address for address in re.findall(r'(?:src|href)="([^"]*)"', page.text) if address != "data:,"]
    assert len(loaded) == 3
    for address in loaded:
        answer = client.get(f"/{address}")
        assert answer.status_code == 200 and len(answer.content) > 100, address
        assert answer.headers["content-type"].startswith(("text/javascript", "text/css")), address
    start = client.get("/docs/start.js").text
    assert 'url: "openapi.json"' in start and "validatorUrl: null" in start and "//" not in start


def test_openapi_names_what_a_picture_as_the_body_leaves_to_the_address(client: ApiClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    found = {one["name"]: one for one in paths["/v1/search"]["post"]["parameters"]}
    assert found.keys() == SearchQuery.model_fields.keys()
    assert all(one["in"] == "query" and not one["required"] for one in found.values())
    assert found["limit"]["schema"] == {"maximum": 1000, "minimum": 1, "type": "integer"}
    assert found["id"]["schema"]["type"] == "string", "null is nothing that an address can say"
    added = {one["name"]: one for one in paths["/v1/images"]["post"]["parameters"] if one["in"] == "query"}
    assert added["meta"]["content"]["application/json"]["schema"]["type"] == "object"


def test_openapi_describes_every_route(client: ApiClient) -> None:
    document = client.get("/openapi.json").json()
    routes = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert routes == {
        ("post", "/v1/jobs"),
        ("get", "/v1/jobs"),
        ("get", "/v1/jobs/{job_id}"),
        ("delete", "/v1/jobs/{job_id}"),
        ("post", "/v1/jobs/{job_id}/retry"),
        ("get", "/v1/jobs/{job_id}/failures"),
        ("get", "/v1/jobs/{job_id}/failures.csv"),
        ("get", "/v1/jobs/{job_id}/events"),
        ("get", "/v1/libraries"),
        ("get", "/v1/duplicates"),
        ("get", "/v1/duplicates.csv"),
        ("get", "/v1/duplicates.json"),
        ("post", "/v1/duplicates/scan"),
        ("delete", "/v1/duplicates/scan"),
        ("get", "/v1/duplicates/decisions"),
        ("post", "/v1/duplicates/{id}"),
        ("delete", "/v1/duplicates/{id}/decision"),
        ("post", "/v1/search"),
        ("post", "/v1/tags"),
        ("get", "/v1/tags"),
        ("post", "/v1/images"),
        ("get", "/v1/images/{id}/file"),
        ("get", "/v1/images"),
        ("get", "/v1/images/{id}"),
        ("get", "/v1/images/{id}/thumbnail"),
        ("delete", "/v1/images/{id}"),
        ("get", "/v1/collections"),
        ("get", "/v1/session"),
        ("post", "/v1/session"),
        ("post", "/v1/search/batch"),
        ("post", "/v1/preview"),
        ("delete", "/v1/session"),
        ("get", "/health"),
        ("get", "/ready"),
        ("get", "/metrics"),
    }
    bodies = document["paths"]["/v1/search"]["post"]["requestBody"]["content"]
    assert set(bodies) == {"multipart/form-data", "application/json", "application/octet-stream", "image/*"}
    assert {"file", "box", "tags", "min_score"} <= set(bodies["multipart/form-data"]["schema"]["properties"])
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    for name in re.findall(r'"\$ref": "([^"]*)"', text):
        assert name.removeprefix("#/components/schemas/") in document["components"]["schemas"]
    for methods in document["paths"].values():
        for route in methods.values():
            assert route["description"]
