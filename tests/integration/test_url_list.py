"""A list of URLs as a source: what it lists, how politely it fetches, what it says of failures."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.web_server import Exchange, Inner, WebServer, names

from embeddings.errors import FileUnreadable, ImageTooLarge, UrlBlocked, UrlUnreachable, UsageError
from indexer.sources.base import Reference, Unlistable
from indexer.sources.url_list import PoliteFetcher, RetryPolicy, UrlList

MOST = 1000


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer().running() as server:
        server.answers["/a"] = lambda exchange: exchange.reply(b"picture")
        yield server


def listed(tmp_path: Path, text: bytes) -> list[Reference | Unlistable]:
    file = tmp_path / "list.urls"
    file.write_bytes(text)
    return list(UrlList(file).references())


def test_a_url_a_line(tmp_path: Path) -> None:
    text = (
        b"\xef\xbb\xbfhttp://a.example/1.jpg\r\n\n# a remark\n  https://b.example/2.jpg?x=1  \nhttp://\xc3\xa9.example/"
    )
    assert listed(tmp_path, text) == [
        Reference("http://a.example/1.jpg", None, None),
        Reference("https://b.example/2.jpg?x=1", None, None),
        Reference("http://\u00e9.example/", None, None),
    ]


def test_lines_that_are_no_urls_are_failures_by_their_number(tmp_path: Path) -> None:
    lines = [
        b"photo.jpg",
        b"",
        b"ftp://a.example/",
        b"http://caf\xe9/",
        b"http://a/" + b"x" * 50_000,
        b"http://b.example/",
    ]
    items = listed(tmp_path, b"\n".join(lines))
    assert [item.path for item in items] == ["line 1", "line 3", "line 4", "line 5", "http://b.example/"]
    assert all(isinstance(item.error, FileUnreadable) for item in items if isinstance(item, Unlistable))


def test_a_list_is_known_by_its_file_however_that_is_spelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "link.txt").symlink_to("a.txt")
    monkeypatch.chdir(tmp_path)
    assert {UrlList(Path(name)).name for name in ("a.txt", "./a.txt", "link.txt")} == {
        str(tmp_path.resolve() / "a.txt")
    }


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_a_list_that_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"there is no file|is not a file"):
        UrlList(tmp_path / name)


def test_a_picture_is_fetched_with_the_callers_headers(tmp_path: Path, server: WebServer) -> None:
    file = tmp_path / "list.txt"
    file.write_text(f"{server.base}/a")
    source = UrlList(file, PoliteFetcher(server.fetcher(), {"X-Key": "secret"}))
    (reference,) = source.references()
    assert isinstance(reference, Reference)
    assert source.fetch(reference.path, MOST) == b"picture"
    assert server.requests[0].headers["x-key"] == "secret"
    assert (source.is_gone(reference.path), source.shown(reference.path)) == (False, f"{server.base}/a")
    with pytest.raises(ImageTooLarge):
        source.fetch(reference.path, 6)


def test_private_addresses_are_not_fetched_from(server: WebServer) -> None:
    inner = Inner()
    server.answers["/in"] = lambda exchange: exchange.reply(
        b"", f"Location: http://[::1]:{inner.port}/", status="302 Found"
    )
    for url in (f"http://127.0.0.1:{inner.port}/", f"{server.base}/in"):
        with pytest.raises(FileUnreadable, match=UrlBlocked().message.split(":")[0]):
            PoliteFetcher(server.fetcher()).fetch(url, MOST)
    assert inner.connections == 0
    inner.close()


def test_headers_that_may_not_be_set_are_said_at_once() -> None:
    with pytest.raises(UsageError):
        PoliteFetcher(headers={"Host": "a.example"})


def failing(server: WebServer, failures: list[str | None], *headers: str) -> None:
    """Answer with each status in turn (None: hang up), then with the picture."""
    left = iter(failures)

    def answer(exchange: Exchange) -> None:
        status = next(left, "200 OK")
        if status:
            exchange.reply(b"picture", *(headers if status != "200 OK" else ()), status=status)

    server.answers["/a"] = answer


def test_what_fails_in_passing_is_asked_for_again(server: WebServer) -> None:
    failing(server, ["503 Busy", None, "500 Oops"])
    waited: list[float] = []
    fetcher = PoliteFetcher(server.fetcher(), sleep=waited.append)
    assert fetcher.fetch(f"{server.base}/a", MOST) == b"picture"
    assert len(waited) == 3
    assert all(low <= wait <= 2 * low for wait, low in zip(waited, (0.25, 0.5, 1), strict=True))


def test_a_host_that_says_how_long_is_waited_for(server: WebServer) -> None:
    failing(server, ["429 Slow down"], "Retry-After: 17")
    waited: list[float] = []
    assert PoliteFetcher(server.fetcher(), sleep=waited.append).fetch(f"{server.base}/a", MOST) == b"picture"
    assert waited == [17]


@pytest.mark.parametrize(
    ("failures", "headers", "asked", "says"),
    [
        (["404 Not Found"], (), 1, "status 404"),
        (["403 Forbidden"], (), 1, "status 403"),
        (["429 Slow down"], ("Retry-After: 3600",), 1, "status 429"),
        (["503 Busy"] * 9, (), 4, "status 503"),
        ([None] * 9, (), 4, "cannot be reached"),
    ],
)
def test_giving_up(
    server: WebServer, failures: list[str | None], headers: tuple[str, ...], asked: int, says: str
) -> None:
    failing(server, failures, *headers)
    with pytest.raises(FileUnreadable, match=says):
        PoliteFetcher(server.fetcher(), sleep=lambda seconds: None).fetch(f"{server.base}/a", MOST)
    assert len(server.requests) == asked


def test_waits_have_a_limit() -> None:
    error = UrlUnreachable(temporary=True)
    waits = [RetryPolicy(attempts=10).wait(attempt, error) for attempt in range(1, 11)]
    assert waits[9] is None
    assert all(wait is not None and wait <= 30 for wait in waits[:9])


def test_each_host_has_so_many_requests_at_once(server: WebServer) -> None:
    both, release = threading.Barrier(4), threading.Event()  # two of each host
    busy: dict[str, int] = {}
    most: dict[str, int] = {}
    lock = threading.Lock()

    def answer(exchange: Exchange) -> None:
        host = exchange.headers["host"]
        with lock:
            busy[host] = busy.get(host, 0) + 1
            most[host] = max(most.get(host, 0), busy[host])
        if not release.is_set():
            both.wait(10)
            release.set()
        with lock:
            busy[host] -= 1
        exchange.reply(b"picture")

    server.answers["/a"] = answer
    fetcher = PoliteFetcher(server.fetcher(resolve=names(a_example=["127.0.0.1"], b_example=["127.0.0.1"])))
    urls = [f"http://{host}.example:{server.port}/a" for host in "ab"] * 5
    threads = [threading.Thread(target=fetcher.fetch, args=(url, MOST)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most.values()) == {2}
    assert len(server.requests) == len(urls)
