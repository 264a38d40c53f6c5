"""/v1/images/{id}/file: the very bytes that were indexed, in a form that no browser runs, or why they are not there."""

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.api_client import ApiClient, api_client
from support.toy import TOY, picture

from store.records import Row
from store.testing import MemoryStore

ADDRESS = "/v1/images/one/file"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[ApiClient]:
    with api_client(tmp_path) as client:
        yield client


def saved(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, kind)
    return file.getvalue()


def add(client: ApiClient, data: bytes, name: str) -> None:
    answer = client.post("/v1/images", files={"file": (name, data)}, data={"id": "one"})
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("kind", "name", "media_type", "disposition"),
    [
        ("JPEG", "sun.jpg", "image/jpeg", 'inline; filename="sun.jpg"'),
        ("PNG", "sun.PNG", "image/png", 'inline; filename="sun.PNG"'),
        ("GIF", "sun.html", "image/gif", 'inline; filename="sun.html.gif"'),
        ("WEBP", "sun", "image/webp", 'inline; filename="sun.webp"'),
        ("AVIF", "sun.avif", "image/avif", 'inline; filename="sun.avif"'),
        ("BMP", "sun.bmp", "image/bmp", 'inline; filename="sun.bmp"'),
        ("TIFF", "sun.tiff", "application/octet-stream", 'attachment; filename="sun.tiff"'),
        ("TIFF", "sun.html", "application/octet-stream", 'attachment; filename="sun.html.bin"'),
        ("PNG", "..", "image/png", 'inline; filename="png"'),
    ],
)
def test_a_file_is_sent_with_headers_that_are_safe_in_a_browser(
    client: ApiClient, kind: str, name: str, media_type: str, disposition: str
) -> None:
    data = saved(kind)
    add(client, data, name)
    answer = client.get(ADDRESS)
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"] == disposition
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=5-", 5, None), ("bytes=-7", -7, None), ("bytes=60-999999", 60, None)],
)
def test_a_part(client: ApiClient, asked: str, start: int, end: int | None) -> None:
    data = picture("red")
    add(client, data, "a.png")
    answer = client.get(ADDRESS, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, data[start:end])
    first = start % len(data)
    last = first + len(answer.content) - 1
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(data)}"
    stale = client.get(ADDRESS, headers={"Range": asked, "If-Range": '"of another"'})
    assert (stale.status_code, stale.content) == (200, data)


@pytest.mark.parametrize("asked", ["bytes=9-3", "bytes=-", "bytes=-0", "bytes=999999-", "bytes=0-1,3-4", "lines=1-2"])
def test_a_range_that_is_none_is_passed_over(client: ApiClient, asked: str) -> None:
    add(client, picture("red"), "a.png")
    answer = client.get(ADDRESS, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, picture("red"))


def test_a_file_that_the_client_has_is_304_and_head_has_no_body(client: ApiClient) -> None:
    add(client, picture("red"), "a.png")
    first = client.get(ADDRESS)
    same = client.get(ADDRESS, headers={"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
    head = client.run(client.http.head(ADDRESS))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(first.content))


def test_no_file_stays_open(client: ApiClient) -> None:
    add(client, picture("red"), "a.png")
    before = set(Path("/proc/self/fd").iterdir())
    for headers in ({}, {"Range": "bytes=0-3"}, {"If-None-Match": "*"}):
        client.get(ADDRESS, headers=headers)
    client.run(client.http.head(ADDRESS))
    assert set(Path("/proc/self/fd").iterdir()) <= before


@pytest.fixture
def indexed(tmp_path: Path) -> Iterator[tuple[ApiClient, Path]]:
    """Give a client of a collection with one picture of a folder, and its file."""
    file, store = tmp_path / "photos" / "cat.png", MemoryStore()
    file.parent.mkdir()
    file.write_bytes(picture("red"))
    store.create("photos", TOY).upsert([row_of(file)])
    with api_client(tmp_path / "data", store=store) as client:
        yield client, file


def row_of(file: Path) -> Row:
    data, now = file.read_bytes(), datetime(2026, 11, 1, tzinfo=UTC)
    facts = {
        "source": str(file.parent),
        "path": file.name,
        "content_hash": sha256(data).hexdigest(),
    }
    sizes = {
        "bytes": len(data),
        "width": 8,
        "height": 8,
        "phash": 0,
        "tags": (),
        "taken_at": None,
        "indexed_at": now,
        "meta": {},
    }
    changed = file.stat().st_mtime_ns
    return Row(id="one", **facts, **sizes, modified_at=changed, vector=np.array([1, 0, 0], np.float32))


def test_a_file_of_a_folder(indexed: tuple[ApiClient, Path]) -> None:
    client, file = indexed
    assert client.get(ADDRESS).content == file.read_bytes()
    os.utime(file)
    assert client.get(ADDRESS).status_code == 200, "touched, but the same"


def test_a_name_that_would_end_the_header_or_hide_something(tmp_path: Path) -> None:
    store = MemoryStore()
    file = tmp_path / 'S\N{LATIN SMALL LETTER O WITH DIAERESIS}n"; x=\N{RIGHT-TO-LEFT OVERRIDE}\r\n1.png'
    file.write_bytes(picture("red"))
    store.create("photos", TOY).upsert([row_of(file)])
    with api_client(tmp_path / "data", store=store) as client:
        named = client.get(ADDRESS).headers["content-disposition"]
    assert named == "inline; filename=\"S_n_ x_1.png\"; filename*=UTF-8''S%C3%B6n%3B%20x%3D1.png"


def test_a_file_that_is_not_the_same_any_more(indexed: tuple[ApiClient, Path]) -> None:
    client, file = indexed
    data = file.read_bytes()
    for other in (data + b"x", data[:-1] + b"x"):
        file.write_bytes(other)
        answer = client.get(ADDRESS)
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (404, "not_found", "id")
        assert "changed since it was indexed" in answer.json()["detail"]
    file.unlink()
    assert "no longer exists" in client.get(ADDRESS).json()["detail"]
    os.mkfifo(file)
    assert client.get(ADDRESS).json()["code"] == "file_unreadable"


def test_pictures_that_are_elsewhere_and_unknown_ones(tmp_path: Path) -> None:
    store, file = MemoryStore(), tmp_path / "cat.png"
    file.write_bytes(picture("red"))
    store.create("photos", TOY).upsert([replace(row_of(file), source="s3://bucket/photos")])
    with api_client(tmp_path / "data", store=store) as client:
        answer = client.get(ADDRESS)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert "not on the service's machine" in answer.json()["detail"]
        for unknown in ("/v1/images/nosuch/file", "/v1/images/..%2F..%2Fetc%2Fpasswd/file"):
            assert client.get(unknown).status_code == 404
