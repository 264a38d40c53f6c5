"""The service behind a real socket: starting, large and broken requests, leaving clients, stopping."""

import select
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.running import Server
from support.toy import picture

from api.api_keys import KeyFile, Scope, new_key
from api.server.run import listening, load_keys
from embeddings.errors import UsageError
from embeddings.settings import Settings

LARGE = b"x" * 20_000_000  # more than sockets buffer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("data"))
    yield server
    server.stop(signal.SIGTERM)


def test_a_picture_comes_in_and_is_found(server: Server) -> None:
    with httpx.Client(base_url=server.address) as http:
        added = http.post("/v1/images", files={"file": ("red.png", picture("red"))}, data={"id": "red"})
        assert added.status_code == 201
        found = http.post("/v1/search", files={"file": ("yellow.png", picture("yellow"))}).json()
        assert [(result["id"], round(result["score"], 3)) for result in found["results"]] == [("red", 0.707)]
        assert http.get("/").status_code == 200
    assert f"[{found['request_id']}]" in server.logged("POST /v1/search 200")


def test_a_client_that_sends_too_much_hears_why(server: Server) -> None:
    answer = httpx.post(f"{server.address}/v1/search", files={"file": ("a.png", LARGE)}, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (413, "image_too_large")


def test_the_same_without_a_declared_length(server: Server) -> None:
    def parts() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        yield from (LARGE[:65536] for _ in range(300))

    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = httpx.post(f"{server.address}/v1/search", content=parts(), headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (413, "image_too_large")


@pytest.mark.parametrize("path", ["/v1/nosuch", "/v1/search?limit=0"])
def test_a_refusal_reaches_a_client_that_is_still_sending(server: Server, path: str) -> None:
    answer = httpx.post(f"{server.address}{path}", content=LARGE, timeout=60)
    assert answer.status_code in (404, 415, 422)


def test_a_client_that_asks_first_need_not_send(server: Server) -> None:
    with server.connect() as client:
        client.sendall(
            b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            b"Content-Length: 20000000\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_leaves_is_noted_and_nobody_else_minds(server: Server) -> None:
    with server.connect() as client:
        client.sendall(
            b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            b'Content-Length: 900000\r\n\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx'
        )
    server.logged("POST /v1/search 499")
    text = httpx.get(f"{server.address}/metrics").text
    assert "lookalike_requests_in_flight 0.0" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(tmp_path: Path, number: int) -> None:
    server = Server(tmp_path)
    with httpx.Client(base_url=server.address) as http:
        assert http.get("/ready").status_code == 200  # and the connection stays open
        code, out, err = server.stop(number)
    assert (code, out) == (0, "stopped\n")
    assert "Traceback" not in err


def test_an_address_in_use_is_said_before_anything_else() -> None:
    with listening("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        said = rf"127\.0\.0\.1:{port}: address already in use.*--port"
        with pytest.raises(UsageError, match=said) as caught, listening("127.0.0.1", port):
            pass
    assert caught.value.field == "port"


def test_a_host_that_is_none() -> None:
    with pytest.raises(UsageError, match=r"nosuch\.invalid"), listening("nosuch.invalid", 0):
        pass


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits two seconds, not fifteen, and lets a caller from elsewhere ask six times a minute."""
    server = Server(tmp_path_factory.mktemp("data"), "impatient", "rate_limit=6")
    yield server
    server.stop(signal.SIGTERM)


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he"],
)
def test_a_head_that_does_not_come_ends_the_connection(impatient: Server, sent: bytes) -> None:
    with impatient.connect() as client:
        client.sendall(sent)
        answered = everything(client)
    assert answered.count(b"HTTP/1.1 200") == sent.count(b"\r\n\r\n")
    assert answered.count(b"HTTP/1.1 408") == 1 and b'"code":"request_timeout"' in answered


def test_a_connection_that_was_kept_for_nothing_ends_without_a_word(impatient: Server) -> None:
    with impatient.connect() as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answered = everything(client)
    assert answered.startswith(b"HTTP/1.1 200") and answered.count(b"HTTP/1.1") == 1


def test_a_head_that_trickles_in_is_refused(impatient: Server) -> None:
    with impatient.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        for i in range(1000):
            client.sendall(b"X-%d: y\r\n" % i)
            if select.select([client], [], [], 0.05)[0]:
                break
        answered = everything(client)
        with pytest.raises(ConnectionError):  # once the last word's time is over
            for _ in range(1000):
                client.sendall(b"X: y\r\n")
                time.sleep(0.01)
    assert answered.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_does_not_come_is_refused(impatient: Server) -> None:
    with impatient.connect() as client:
        client.sendall(
            b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        answered = everything(client)
    assert answered.startswith(b"HTTP/1.1 408 ") and b"request_timeout" in answered


def test_a_client_that_does_not_read_is_left(impatient: Server) -> None:
    with impatient.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with pytest.raises(ConnectionError):
            while True:  # until the answers fill what lies between, and the connection is cut
                client.sendall(request * 20)
        impatient.logged("bytes a second of an answer")


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_bytes_that_are_not_http_get_a_problem_document(server: Server, sent: bytes) -> None:
    with server.connect() as client:
        client.sendall(sent)
        answered = everything(client)
    assert answered.startswith(b"HTTP/1.1 400 ") and b'"code":"malformed_request"' in answered
    assert b"application/problem+json" in answered


@pytest.mark.parametrize("name", ["X-Long", "Cookie"])
def test_a_large_head(server: Server, name: str) -> None:
    answer = httpx.get(f"{server.address}/v1/collections", headers={name: "x" * 40_000})
    assert (answer.status_code, answer.json()["code"]) in [(431, "head_too_large"), (400, "malformed_request")]


def test_a_proxy_on_this_machine_says_who_is_calling(impatient: Server) -> None:
    def status(address: str) -> int:
        headers = {"X-Forwarded-For": address}
        return httpx.get(f"{impatient.address}/v1/collections", headers=headers).status_code

    assert [status(a) for a in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2")] == [
        401,
        429,
        401,
        401,
        429,
    ]
    assert httpx.get(f"{impatient.address}/v1/collections").status_code == 200


def everything(client: socket.socket) -> bytes:
    """Read until the other side closes."""
    parts = []
    try:
        while part := client.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def test_beyond_this_machine_it_wants_keys_or_to_be_told(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with listening("0.0.0.0", 0) as public, listening("127.0.0.1", 0) as private:
        with pytest.raises(UsageError, match=r"0\.0\.0\.0.*lookalike keys create.*--allow-anyone") as caught:
            load_keys(settings, public)
        assert caught.value.field == "host"
        assert not load_keys(settings, private).needed
        assert load_keys(settings, private).needed_by("192.168.0.7"), "who comes through a proxy"
        named = settings.model_copy(update={"hosts": ("photos.example.org", "localhost")})
        with pytest.raises(UsageError, match=r"who can reach photos\.example\.org"):
            load_keys(named, private)
        assert not load_keys(named, private, allow_anyone=True).needed_by("192.168.0.7")
        assert not load_keys(settings, public, allow_anyone=True).needed
        KeyFile(tmp_path).add(new_key("ci", Scope.READ)[1])
        assert load_keys(settings, public).needed and load_keys(settings, private).needed
        assert load_keys(settings, public, allow_anyone=True).needed
        KeyFile(tmp_path).remove("ci")
        with pytest.raises(UsageError, match="lookalike keys create"):
            load_keys(settings, public)
