"""Fetching from real servers: refused URLs reach no server, misbehaving servers are stopped at the limits."""

import gzip
import pickle
import ssl
import subprocess
import threading
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from support.web_server import LOOPBACK, Exchange, Inner, WebServer, names

from embeddings.errors import ImageTooLarge, UrlBlocked, UrlUnreachable, UsageError
from embeddings.web.fetcher import WebFetcher, WebLimits

PICTURE = b"a picture, as far as fetching goes"
MAX_BYTES = 100_000
SHORT = WebLimits(connect=0.3, seconds=0.3)

# each with the port of the inner listener
DISGUISES = [
    one
    for line in (
        "127.0.0.1 127.1 0x7f.1 0177.0.0.1 2130706433 017700000001 0x7f000001 127.0.0.2 0 0.0.0.0 [::1] [::]",
        "[::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [2002:7f00:1::] [64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1] [2001:0:4136:e378:8000:63bf:80ff:fffe] 169.254.169.254 10.0.0.1 172.16.0.1",
        "192.168.0.1 100.64.0.1 [fe80::] [fe80::1%25lo] [fe80::1%lo] [fc00::] [fec0::1] 224.0.0.1 [ff02::1]",
        "255.255.255.255 localhost localhost. LOCALHOST \uff11\uff12\uff17.0.0.1 127\u30020\u30020\u30021",
        "nosuch.invalid user@127.0.0.1 user:password@127.0.0.1 a.example\\@127.0.0.1",
    )
    for one in line.split()
]


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer().running() as server:
        server.answers["/picture"] = lambda exchange: exchange.reply(PICTURE)
        yield server


@pytest.fixture
def inner() -> Iterator[Inner]:
    inner = Inner()
    yield inner
    inner.close()


def blocked(fetcher: WebFetcher, url: str, **options: Any) -> None:
    """Check that a URL is refused with the same message as any other."""
    with pytest.raises(UrlBlocked) as caught:
        fetcher.fetch(url, MAX_BYTES, **options)
    assert (caught.value.code, caught.value.message, caught.value.field) == ("url_blocked", UrlBlocked.__doc__, "url")


@pytest.mark.parametrize("host", DISGUISES)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_form_of_a_private_address_is_fetched(inner: Inner, scheme: str, host: str) -> None:
    blocked(WebFetcher(), f"{scheme}://{host}:{inner.port}/")
    assert inner.connections == 0


@pytest.mark.parametrize("scheme", ["file", "gopher", "ftp", "dict", "ws", "unix", "jar:http"])
def test_only_http_urls_are_fetched(inner: Inner, server: WebServer, scheme: str) -> None:
    blocked(server.fetcher(), f"{scheme}://{LOOPBACK}:{inner.port}/")
    blocked(server.fetcher(), f"{scheme}://{LOOPBACK}:{server.port}/")
    assert (inner.connections, server.requests) == (0, [])


def test_the_listener_would_notice(inner: Inner) -> None:
    fetcher = WebFetcher(SHORT, allow_private=frozenset({(LOOPBACK, inner.port)}))
    with pytest.raises(UrlUnreachable):
        fetcher.fetch(f"http://127.1:{inner.port}/", MAX_BYTES)
    assert inner.connections == 1


@pytest.mark.parametrize("private", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "fe80::1"])
def test_a_name_of_a_private_address(inner: Inner, private: str) -> None:
    blocked(WebFetcher(resolve=names(inner_example=[private])), f"http://inner.example:{inner.port}/")
    assert inner.connections == 0


@pytest.mark.parametrize("others", [["127.0.0.2"], ["10.0.0.1", "127.0.0.2"], ["64:ff9b::7f00:1"]])
def test_one_private_address_among_others_is_enough(server: WebServer, others: list[str]) -> None:
    for found in ([LOOPBACK, *others], [*others, LOOPBACK]):
        blocked(server.fetcher(resolve=names(mixed_example=found)), f"http://mixed.example:{server.port}/picture")
    assert server.requests == []


def test_a_name_without_addresses_gives_the_same_error() -> None:
    blocked(WebFetcher(resolve=names(empty_example=[])), "http://empty.example/")


class Rebinding:
    """A resolver that answers with the first address once, then with the other."""

    def __init__(self, first: str, then: str) -> None:
        self.asked = 0
        self._answers = chain([first], repeat(then))

    def __call__(self, host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        self.asked += 1
        return names()(next(self._answers), port, **options)


def test_a_name_is_resolved_once_per_request(server: WebServer) -> None:
    resolver = Rebinding(LOOPBACK, "127.0.0.2")
    fetcher = server.fetcher(resolve=resolver)
    assert fetcher.fetch(f"http://rebinding.example:{server.port}/picture", MAX_BYTES) == PICTURE
    assert resolver.asked == 1
    blocked(fetcher, f"http://rebinding.example:{server.port}/picture")
    assert len(server.requests) == 1


def test_a_redirect_is_resolved_again(server: WebServer) -> None:
    server.answers["/again"] = lambda exchange: exchange.reply(b"", "Location: /picture", status="302 Found")
    resolver = Rebinding(LOOPBACK, "127.0.0.2")
    blocked(server.fetcher(resolve=resolver), f"http://rebinding.example:{server.port}/again")
    assert (resolver.asked, len(server.requests)) == (2, 1)


@pytest.mark.parametrize("host", [host for host in DISGUISES if host.isascii()])
def test_no_redirect_leads_inside(server: WebServer, inner: Inner, host: str) -> None:
    location = f"Location: http://{host}:{inner.port}/"
    server.answers["/inside"] = lambda exchange: exchange.reply(PICTURE, location, status="302 Found")
    blocked(server.fetcher(), f"{server.base}/inside")
    assert (inner.connections, len(server.requests)) == (0, 1)


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "gopher://127.0.0.1:70/", "http://user@127.0.0.1/", "http://["]
)
def test_no_redirect_leads_to_another_scheme(server: WebServer, location: str) -> None:
    server.answers["/away"] = lambda exchange: exchange.reply(b"", f"Location: {location}", status="301 Moved")
    blocked(server.fetcher(), f"{server.base}/away")


def test_the_request_names_the_host(server: WebServer) -> None:
    fetcher = server.fetcher(resolve=names(pictures_example=[LOOPBACK]))
    assert fetcher.fetch(f"http://Pictures.example:{server.port}/picture?a=b c", MAX_BYTES) == PICTURE
    (request,) = server.requests
    assert request.line == "GET /picture?a=b%20c HTTP/1.1"
    assert request.headers["host"] == f"pictures.example:{server.port}"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"].startswith("lookalike/")


def test_the_next_address_is_tried_if_one_does_not_answer(server: WebServer) -> None:
    allowed = frozenset({server.place, ("127.0.0.3", server.port)})
    fetcher = WebFetcher(resolve=names(two_example=["127.0.0.3", LOOPBACK]), allow_private=allowed)
    assert fetcher.fetch(f"http://two.example:{server.port}/picture", MAX_BYTES) == PICTURE


def test_no_proxy_of_the_environment_is_used(server: WebServer, inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{LOOPBACK}:{inner.port}")
    assert server.fetcher().fetch(f"{server.base}/picture", MAX_BYTES) == PICTURE
    assert inner.connections == 0


def redirect_to(server: WebServer, path: str, location: str) -> None:
    server.answers[path] = lambda exchange: exchange.reply(
        b"", f"Location: {location}", status="307 Temporary Redirect"
    )


def test_three_redirects_are_followed_and_no_fourth(server: WebServer) -> None:
    for number in range(4):
        redirect_to(server, f"/{number}", f"/{number + 1}")
    redirect_to(server, "/3", "picture")
    redirect_to(server, "/loop", "/loop")
    assert server.fetcher().fetch(f"{server.base}/1", MAX_BYTES) == PICTURE
    for start in ("/0", "/loop"):
        before = len(server.requests)
        with pytest.raises(UrlUnreachable, match="more than 3 redirects"):
            server.fetcher().fetch(f"{server.base}{start}", MAX_BYTES)
        assert len(server.requests) - before == 4


def test_the_callers_headers_only_go_to_the_same_origin(server: WebServer) -> None:
    redirect_to(server, "/same", "/picture")
    redirect_to(server, "/other", f"http://other.example:{server.port}/picture")
    fetcher = server.fetcher(resolve=names(first_example=[LOOPBACK], other_example=[LOOPBACK]))
    for path in ("/same", "/other"):
        secret = {"Authorization": "Bearer secret", "User-Agent": "mine"}
        assert fetcher.fetch(f"http://first.example:{server.port}{path}", MAX_BYTES, secret) == PICTURE
    agents = [request.headers["user-agent"] for request in server.requests]
    assert [request.headers.get("authorization") for request in server.requests] == ["Bearer secret"] * 3 + [None]
    assert agents[:3] == ["mine"] * 3 and agents[3].startswith("lookalike/")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "b.example"},
        {"connection": "keep-alive"},
        {"Transfer-Encoding": "chunked"},
        {"Content-Length": "5"},
        {"Accept-Encoding": "gzip"},
        {"Proxy-Authorization": "x"},
        {"Range": "bytes=0-1"},
        {"X-A\r\nHost": "b"},
        {"X-A": "b\r\nHost: c"},
        {"X-A": "\u00e9"},
        {"X-A": " b"},
        {"": "x"},
    ],
)
def test_headers_that_may_not_be_set(server: WebServer, headers: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        server.fetcher().fetch(f"{server.base}/picture", MAX_BYTES, headers)
    assert caught.value.field == "headers"
    assert server.requests == []


def endless(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\n\r\n")
    exchange.flood(bytes(65536))


def endless_chunks(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    exchange.flood(b"1000\r\n" + bytes(0x1000) + b"\r\n")


@pytest.mark.parametrize("answer", [endless, endless_chunks, lambda exchange: exchange.reply(bytes(MAX_BYTES + 1))])
def test_more_bytes_than_allowed(server: WebServer, answer: Any) -> None:
    server.answers["/large"] = answer
    with pytest.raises(ImageTooLarge, match="100,000") as caught:
        server.fetcher().fetch(f"{server.base}/large", MAX_BYTES)
    assert caught.value.field == "url"


def test_a_declared_length_above_the_limit_is_refused(server: WebServer) -> None:
    server.answers["/large"] = lambda exchange: exchange.reply(b"", f"Content-Length: {MAX_BYTES + 1}")
    with pytest.raises(ImageTooLarge):
        server.fetcher().fetch(f"{server.base}/large", MAX_BYTES)


def test_a_body_of_exactly_the_allowed_size_is_fetched(server: WebServer) -> None:
    server.answers["/full"] = lambda exchange: exchange.reply(bytes(MAX_BYTES))
    assert len(server.fetcher().fetch(f"{server.base}/full", MAX_BYTES)) == MAX_BYTES


def slow_body(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n")
    exchange.trickle(b"x")


def slow_headers(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    exchange.trickle(b"x")


def endless_headers(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    exchange.flood(b"X-Again: x\r\n")


UNREACHABLE = {
    "slow body": slow_body,
    "slow headers": slow_headers,
    "endless headers": endless_headers,
    "endless early answers": lambda exchange: exchange.trickle(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "silence": lambda exchange: exchange.trickle(b""),
    "hangs up": lambda exchange: None,
    "fewer bytes than declared": lambda exchange: exchange.reply(PICTURE, "Content-Length: 90000"),
    "two lengths": lambda exchange: exchange.reply(PICTURE, "Content-Length: 5", "Content-Length: 6"),
    "a length that is none": lambda exchange: exchange.reply(PICTURE, "Content-Length: many"),
    "a negative length": lambda exchange: exchange.reply(PICTURE, "Content-Length: -1"),
    "a length of 5,000 digits": lambda exchange: exchange.reply(PICTURE, f"Content-Length: {'9' * 5000}"),
    "another protocol": lambda exchange: exchange.send(b"220 mail.example ESMTP\r\n"),
    "another coding of the transfer": lambda exchange: exchange.reply(PICTURE, "Transfer-Encoding: gzip"),
}


@pytest.mark.parametrize("answer", UNREACHABLE.values(), ids=UNREACHABLE)
def test_all_network_failures_give_one_error(server: WebServer, answer: Any) -> None:
    server.answers["/wrong"] = answer
    with pytest.raises(UrlUnreachable) as caught:
        server.fetcher(SHORT).fetch(f"{server.base}/wrong", MAX_BYTES)
    assert (caught.value.message, caught.value.code) == (UrlUnreachable.__doc__, "url_unreachable")
    assert (caught.value.field, caught.value.temporary) == ("url", True)


def test_a_closed_port_gives_the_same_error() -> None:
    server = WebServer()
    with server.running():
        pass
    with pytest.raises(UrlUnreachable) as caught:
        server.fetcher().fetch(f"{server.base}/", MAX_BYTES)
    assert caught.value.message == UrlUnreachable.__doc__


def test_resolving_too_long_gives_the_same_error(server: WebServer) -> None:
    done = threading.Event()

    def resolve(host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        done.wait(30)
        return names()(host, port, **options)

    with pytest.raises(UrlUnreachable) as caught:
        server.fetcher(SHORT, resolve=resolve).fetch(f"{server.base}/picture", MAX_BYTES)
    done.set()
    assert (caught.value.message, caught.value.temporary) == (UrlUnreachable.__doc__, True)


def test_a_false_length_shorter_than_the_body_cuts_it(server: WebServer) -> None:
    server.answers["/cut"] = lambda exchange: exchange.reply(PICTURE, "Content-Length: 9")
    assert server.fetcher().fetch(f"{server.base}/cut", MAX_BYTES) == b"a picture"


def test_a_body_that_only_ends_with_the_connection(server: WebServer) -> None:
    server.answers["/old"] = lambda exchange: exchange.send(b"HTTP/1.0 200 OK\r\n\r\n" + PICTURE)
    assert server.fetcher().fetch(f"{server.base}/old", MAX_BYTES) == PICTURE


def test_compressed_answers_are_refused(server: WebServer) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    server.answers["/bomb"] = lambda exchange: exchange.reply(bomb, "Content-Encoding: gzip")
    server.answers["/plain"] = lambda exchange: exchange.reply(PICTURE, "Content-Encoding: identity")
    with pytest.raises(UrlUnreachable, match="compressed"):
        server.fetcher().fetch(f"{server.base}/bomb", MAX_BYTES)
    assert server.fetcher().fetch(f"{server.base}/plain", MAX_BYTES) == PICTURE


@pytest.mark.parametrize(
    ("status", "headers", "temporary", "wait"),
    [
        ("404 Not Found", [], False, None),
        ("403 Forbidden", ["Retry-After: 7"], False, 7),
        ("206 Partial Content", [], False, None),
        ("302 Found", [], False, None),
        ("304 Not Modified", [], False, None),
        ("429 Too Many Requests", ["Retry-After: 12"], True, 12),
        ("503 Service Unavailable", ["Retry-After: Thu, 01 Jan 2015 00:00:00 GMT"], True, 0),
        ("503 Service Unavailable", ["Retry-After: soon"], True, None),
        ("503 Service Unavailable", [f"Retry-After: Thu, 01 Jan {'9' * 30} 00:00:00 GMT"], True, None),
        ("500 Oops", [], True, None),
    ],
)
def test_another_status_is_named(
    server: WebServer, status: str, headers: list[str], temporary: bool, wait: float | None
) -> None:
    server.answers["/status"] = lambda exchange: exchange.reply(b"", *headers, status=status)
    with pytest.raises(UrlUnreachable, match=f"status {status[:3]}") as caught:
        server.fetcher().fetch(f"{server.base}/status", MAX_BYTES)
    copy = pickle.loads(pickle.dumps(caught.value))  # as when it crosses to another process
    assert (copy.temporary, copy.retry_after, copy.field) == (temporary, wait, "url")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of pictures.example, with its key in the same file."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    names_ = "subjectAltName=DNS:pictures.example"
    try:
        subprocess.run(
            [*command.split(), "-addext", names_, "-keyout", file, "-out", file.with_suffix(".crt")],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    file.write_bytes(file.read_bytes() + file.with_suffix(".crt").read_bytes())
    return file


@pytest.fixture
def secure(certificate: Path) -> Iterator[WebServer]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with WebServer(tls=tls).running() as server:
        server.answers["/picture"] = lambda exchange: exchange.reply(PICTURE)
        yield server


def test_a_certificate_is_checked_for_the_name(secure: WebServer, certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=certificate)
    resolve = names(pictures_example=[LOOPBACK], pictures_example_=[LOOPBACK], other_example=[LOOPBACK])
    fetcher = secure.fetcher(resolve=resolve, tls=trusting)
    for host in ("pictures.example", "pictures.example."):
        assert fetcher.fetch(f"https://{host}:{secure.port}/picture", MAX_BYTES) == PICTURE
    for distrusted in (
        lambda: fetcher.fetch(f"https://other.example:{secure.port}/picture", MAX_BYTES),
        lambda: fetcher.fetch(f"https://{LOOPBACK}:{secure.port}/picture", MAX_BYTES),
        lambda: secure.fetcher(resolve=resolve).fetch(f"https://pictures.example:{secure.port}/picture", MAX_BYTES),
    ):
        with pytest.raises(UrlUnreachable) as caught:
            distrusted()
        assert caught.value.message == UrlUnreachable.__doc__
    assert len(secure.requests) == 2


def test_a_handshake_without_an_end(inner: Inner) -> None:
    fetcher = WebFetcher(SHORT, allow_private=frozenset({(LOOPBACK, inner.port)}))
    with pytest.raises(UrlUnreachable) as caught:
        fetcher.fetch(f"https://{LOOPBACK}:{inner.port}/", MAX_BYTES)
    assert caught.value.message == UrlUnreachable.__doc__


def test_several_threads_share_a_fetcher(server: WebServer) -> None:
    fetcher, results = server.fetcher(), []
    threads = [
        threading.Thread(target=lambda: results.append(fetcher.fetch(f"{server.base}/picture", MAX_BYTES)))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [PICTURE] * 12
