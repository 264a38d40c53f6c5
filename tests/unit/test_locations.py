"""Paths as text: reversible for every name a file can have, readable for people."""

import os
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.locations import (
    UPLOAD,
    display_path,
    file_of,
    file_path,
    folder_source,
    from_text,
    located,
    to_text,
    upload_path,
)
from store.records import Row


def row(source: str, path: str, row_id: str = "1") -> Row:
    then = datetime(2026, 1, 2, tzinfo=UTC)
    return Row(row_id, source, path, "00", 0, None, (), 1, 1, 1, None, 0, then, {})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.jpg", "plain.jpg"),
        ("größe/日本.jpg", "größe/日本.jpg"),
        (os.fsdecode(b"caf\xe9.jpg"), "caf\U0010dce9.jpg"),
        (os.fsdecode(b"\x80\xff"), "\U0010dc80\U0010dcff"),
    ],
)
def test_text_of_a_path(name: str, text: str) -> None:
    assert to_text(name) == text
    assert from_text(text) == name


@given(st.binary(max_size=40))
def test_every_name_comes_back_and_is_valid_text(name: bytes) -> None:
    path = os.fsdecode(name)
    to_text(path).encode()
    assert from_text(to_text(path)) == path


def test_a_name_that_really_has_a_private_character_comes_back() -> None:
    name = "a\U0010dce9b"
    assert to_text(name) != to_text(os.fsdecode(b"a\xe9b"))
    assert from_text(to_text(name)) == name


@pytest.mark.parametrize(
    ("source", "path", "shown"),
    [
        ("/home/ann/Pictures", "2024/rome.jpg", "/home/ann/Pictures/2024/rome.jpg"),
        ("/", "rome.jpg", "/rome.jpg"),
        ("/p", "caf\U0010dce9.jpg", "/p/caf\N{REPLACEMENT CHARACTER}.jpg"),
        (UPLOAD, "rome.jpg", "rome.jpg"),
    ],
)
def test_path_that_people_see(source: str, path: str, shown: str) -> None:
    assert display_path(row(source, path)) == shown


def test_file_of_a_row_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"f\xfc")
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"here")
    found = file_path(row(to_text(str(folder)), to_text(os.fsdecode(b"caf\xe9.jpg"))), Path("/nowhere"))
    assert found.read_bytes() == b"here"


def test_file_of_an_upload_never_has_the_name_that_was_given(tmp_path: Path) -> None:
    assert file_path(row(UPLOAD, "../../etc/passwd", "cat-1"), tmp_path) == tmp_path / sha256(b"cat-1").hexdigest()
    assert upload_path("..", tmp_path).parent == tmp_path


@pytest.mark.parametrize(
    ("source", "path", "place"),
    [
        ("/data/shop.csv", "photos/a.jpg", "/data/photos/a.jpg"),
        ("/data/shop.csv", "/elsewhere/a.jpg", "/elsewhere/a.jpg"),
        ("/data/shop.JSONL", "file:///my%20photos/a%23.jpg", "/my photos/a#.jpg"),
        ("/data/shop.parquet", "file://localhost/a.jpg", "/a.jpg"),
        ("/data/shop.csv", "s3://bucket/a b.jpg", "s3://bucket/a b.jpg"),
        ("/data/web.txt", "https://example.org/a.jpg", "https://example.org/a.jpg"),
        ("s3://bucket/photos", "2024/rome.jpg", "s3://bucket/photos/2024/rome.jpg"),
        ("s3://bucket", "/rome.jpg", "s3://bucket//rome.jpg"),
        ("s3://bucket/shop.csv", "a.jpg", "s3://bucket/shop.csv/a.jpg"),
        (folder_source("/data/shop.csv"), "a.jpg", "/data/shop.csv/a.jpg"),
    ],
)
def test_source_and_path_give_the_location_of_an_image(source: str, path: str, place: str) -> None:
    assert located(source, path) == display_path(row(source, path)) == place
    here = None if "://" in place else Path(place)
    assert file_path(row(source, path), Path("/uploads")) == here


def test_a_file_address_has_every_name_that_a_file_can_have() -> None:
    assert file_of("file:///caf%E9.jpg") == to_text(os.fsdecode(b"/caf\xe9.jpg"))
    assert file_of("file:///100%.jpg") == "/100%.jpg"
