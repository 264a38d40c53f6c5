"""CORS, HEAD, compression, caching, the audit log, metrics on a port of their own."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.api_client import ApiClient, api_client
from support.toy import picture

from api.api_keys import KeyFile, Scope, new_key
from api.services.metrics import Metrics
from embeddings.errors import UsageError
from embeddings.settings import Settings, read_settings

PNG = {"files": {"file": ("a.png", picture("red"))}}
SHOP = "https://shop.example.org"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[ApiClient]:
    with api_client(tmp_path) as client:
        yield client


def ask(client: ApiClient, method: str, path: str, **options) -> httpx.Response:
    return client.run(client.http.request(method, path, **options))


# ---- other sites -----------------------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[ApiClient]:
    with api_client(tmp_path, cors_origins=(SHOP,)) as client:
        yield client


def test_a_site_that_is_named_may_use_the_service(shared: ApiClient) -> None:
    preflight = {"Origin": SHOP, "Access-Control-Request-Method": "POST"}
    preflight["Access-Control-Request-Headers"] = "authorization,content-type,idempotency-key"
    answer = ask(shared, "OPTIONS", "/v1/images", headers=preflight)
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == SHOP
    added = shared.post("/v1/images", **PNG, headers={"Origin": SHOP, "Sec-Fetch-Site": "cross-site"})
    assert added.status_code == 201 and added.headers["access-control-allow-origin"] == SHOP
    assert "access-control-allow-credentials" not in added.headers
    refused = shared.get("/v1/nosuch", headers={"Origin": SHOP})
    assert refused.status_code == 404 and refused.headers["access-control-allow-origin"] == SHOP
    assert "Retry-After" in refused.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", ["https://evil.example", "http://shop.example.org", f"{SHOP}.evil.example", "null"])
def test_others_may_not(shared: ApiClient, origin: str) -> None:
    answer = shared.post("/v1/images", **PNG, headers={"Origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert "access-control-allow-origin" not in answer.headers
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert ask(shared, "OPTIONS", "/v1/images", headers=preflight).status_code == 400


def test_without_the_setting_nobody_may(client: ApiClient) -> None:
    assert "access-control-allow-origin" not in client.get("/v1/tags", headers={"Origin": SHOP}).headers


@pytest.mark.parametrize("value", ["*", "shop.example.org", "https://shop.example.org/", "ftp://a", "null"])
def test_what_is_no_origin(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LOOKALIKE_CORS_ORIGINS", value)
    with pytest.raises(UsageError, match="LOOKALIKE_CORS_ORIGINS"):
        read_settings()


@pytest.mark.parametrize("value", ["proxy.example", "10.0.0.0/33", "*"])
def test_what_is_no_proxy(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LOOKALIKE_TRUSTED_PROXIES", value)
    with pytest.raises(UsageError, match="LOOKALIKE_TRUSTED_PROXIES"):
        read_settings()


# ---- HEAD, compression, caching --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/health", "/static/app.js", "/v1/collections", "/openapi.json", "/v1/nosuch"])
def test_head_is_get_without_the_body(client: ApiClient, path: str) -> None:
    head, get = ask(client, "HEAD", path), client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    # static files have no body to compress in an answer to HEAD
    changing = {"x-request-id", "content-length", "content-encoding", "vary"}
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in get.headers.items() if k not in changing
    }


def test_head_of_a_file_and_of_a_stream(client: ApiClient) -> None:
    client.add(picture("red"), id="one")
    for path in ("/v1/images/one/file", "/v1/images/one/thumbnail", "/v1/images/one/file?collection=photos"):
        head, get = ask(client, "HEAD", path), client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))
    assert ask(client, "HEAD", "/v1/jobs/none/events").status_code == 404
    for path in ("/v1/duplicates.csv", "/v1/duplicates.json"):
        assert (ask(client, "HEAD", path).status_code, ask(client, "HEAD", path).content) == (200, b"")


def test_head_is_not_a_method_of_what_is_posted(client: ApiClient) -> None:
    answer = ask(client, "HEAD", "/v1/search")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_head_is_not_in_the_openapi_document(client: ApiClient) -> None:
    assert not any("head" in methods for methods in client.get("/openapi.json").json()["paths"].values())


def test_head_is_counted_by_route(client: ApiClient) -> None:
    ask(client, "HEAD", "/v1/collections")
    assert 'method="HEAD",route="/v1/collections",status="200"} 1.0' in client.get("/metrics").text


def test_json_is_compressed_and_pictures_are_not(client: ApiClient) -> None:
    document = client.add(picture("red"), id="one")
    assert client.get("/openapi.json").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get("/openapi.json", headers={"Accept-Encoding": "identity"}).headers
    assert "content-encoding" not in client.get(document["thumbnail"]).headers
    assert "content-encoding" not in client.get("/health").headers, "too short to gain by it"


def test_a_thumbnail_that_is_known_is_not_sent_again(client: ApiClient) -> None:
    address = client.add(picture("red"), id="one")["thumbnail"]
    etag = client.get(address).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = client.get(address, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    for other in ('"other"', etag.strip('"')):
        assert client.get(address, headers={"If-None-Match": other}).status_code == 200


# ---- audit -----------------------------------------------------------------------------------------------------


def test_who_changed_what_is_logged_without_secrets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret, key = new_key("ann", Scope.WRITE)
    KeyFile(tmp_path).add(key)
    known = {"Authorization": f"Bearer {secret}"}
    with api_client(tmp_path) as client, caplog.at_level(logging.INFO):
        client.post("/v1/images", **PNG, data={"id": "my-1"}, headers=known)
        client.post("/v1/tags", **PNG, headers=known)
        client.get("/v1/tags", headers=known)
        client.delete("/v1/images/my-1?key=lk_in_the_address", headers=known)
        client.get("/metrics", headers=known)
        client.delete("/v1/images/a%0Ab?x=lk_in_the_address", headers={"Authorization": "Bearer lk_wrong"})
        client.post("/v1/session", json={"key": secret})
    lines = [record.getMessage() for record in caplog.records if record.name == "lookalike.audit"]
    assert lines == [
        "key=ann address=127.0.0.1 POST /v1/images 201 made=/v1/images/my-1",
        "key=ann address=127.0.0.1 DELETE /v1/images/my-1 204",
        "key=ann address=127.0.0.1 GET /metrics 403",
        "key=- address=127.0.0.1 DELETE /v1/images/a%0Ab 401",
        "key=ann address=127.0.0.1 POST /v1/session 200",
    ]
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("lookalike")]
    assert len(ours) > len(lines) and not any("lk_" in line for line in ours)


# ---- figures apart ---------------------------------------------------------------------------------------------


def test_figures_with_a_port_of_their_own_are_nowhere_else(tmp_path: Path) -> None:
    with api_client(tmp_path, metrics_port=1) as client:
        assert client.get("/metrics").status_code == 404
        assert "/metrics" not in client.get("/openapi.json").json()["paths"]


def test_figures_at_their_own_port() -> None:
    metrics = Metrics()
    metrics.request("GET", "/v1/tags", 200, 0.1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        with pytest.raises(UsageError, match="LOOKALIKE_METRICS_PORT"), metrics.served_at("127.0.0.1", port):
            pass
    with metrics.served_at("127.0.0.1", port):
        assert 'route="/v1/tags",status="200"} 1.0' in httpx.get(f"http://127.0.0.1:{port}/metrics").text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")


def test_the_default_is_the_service_itself() -> None:
    assert Settings().metrics_port == 0
