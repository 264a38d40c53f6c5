"""URLs that are parsed, and URLs that are refused before anything is resolved."""

import pytest

from embeddings.errors import UrlBlocked
from embeddings.web.url import WebUrl, last_part


@pytest.mark.parametrize(
    ("text", "url", "authority"),
    [
        ("http://a.example", WebUrl("http", "a.example", 80, "/"), "a.example"),
        ("HTTPS://A.Example:443/B?c=d#e", WebUrl("https", "a.example", 443, "/B?c=d"), "a.example"),
        ("https://a.example:80/", WebUrl("https", "a.example", 80, "/"), "a.example:80"),
        ("http://a.example:8080?q", WebUrl("http", "a.example", 8080, "/?q"), "a.example:8080"),
        ("http://[2606:4700:0::1111]:8000/x", WebUrl("http", "2606:4700::1111", 8000, "/x"), "[2606:4700::1111]:8000"),
        ("http://a.example/a b/\N{LATIN SMALL LETTER E WITH ACUTE}%20.jpg", None, "a.example"),
        ("http://stra\N{LATIN SMALL LETTER SHARP S}e.example/", None, "xn--strae-oqa.example"),
        ("http://\N{CIRCLED DIGIT ONE}.\N{FULLWIDTH DIGIT ONE}.1.1/", None, "1.1.1.1"),
    ],
)
def test_a_url_is_parsed(text: str, url: WebUrl | None, authority: str) -> None:
    parsed = WebUrl.parse(text)
    assert url is None or parsed == url
    assert parsed.authority == authority


def test_characters_outside_a_request_line_are_escaped() -> None:
    assert WebUrl.parse('http://a.example/a b/\u00e9%20"<>.jpg?q=\u00e9&r=%41').target == (
        "/a%20b/%C3%A9%20%22%3C%3E.jpg?q=%C3%A9&r=%41"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "picture.jpg",
        "//a.example/",
        "ftp://a.example/",
        "ftp://a.example:8000/",
        "ws://a.example:8000/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/_x",
        "data:image/png;base64,AAAA",
        "http:a.example",
        "http:///a",
        "http://:80/",
        "http://user@a.example/",
        "http://user:password@a.example/",
        "http://@a.example/",
        "http://a.example\\@127.0.0.1/",
        "http://a.example/\r\nHost: b",
        "http://a.exa\tmple/",
        "http://a.example/\x00",
        "http://a example/",
        "http://a.example%00.b/",
        "http://.a.example/",
        "http://-a.example/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://[::g]/",
        "http://a.example:x/",
        "http://a.example:99999/",
        "http://a.example:0/",
        "http://a.example:22/",
        "http://a.example:25/",
        "http://a.example:6667/",
        "http://a.example/" + "x" * 8192,
        "http://\u2100.example/",
        "http://a.example/\ud800",
        f"http://{'a' * 300}/",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(UrlBlocked) as caught:
        WebUrl.parse(text)
    assert (caught.value.message, caught.value.field) == (UrlBlocked().message, "url")


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("c.jpg?x", "http://a.example:8000/b/c.jpg?x"),
        ("/c.jpg", "http://a.example:8000/c.jpg"),
        ("//b.example/c.jpg", "http://b.example/c.jpg"),
        ("https://b.example/c d.jpg#e", "https://b.example/c%20d.jpg"),
        ("?page=2", "http://a.example:8000/b/a.jpg?page=2"),
    ],
)
def test_redirects(location: str, leads_to: str) -> None:
    assert str(WebUrl.parse("http://a.example:8000/b/a.jpg").joined(location)) == leads_to


@pytest.mark.parametrize(
    "location", ["ftp://a.example/", "http://[::1", "http://u:p@a.example/", "http://a.example:22/"]
)
def test_redirects_that_are_refused(location: str) -> None:
    with pytest.raises(UrlBlocked):
        WebUrl.parse("http://a.example/").joined(location)


def test_the_last_part() -> None:
    assert last_part("http://a.example/b/c%20d%2Fe.jpg?f=/g.jpg#h") == "e.jpg"
    assert last_part("http://a.example/") == last_part("http://a.example") == ""
