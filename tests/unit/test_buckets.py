"""Buckets and folders on other file systems: in memory, by file://, and over the S3 protocol in tests/integration."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest
from fsspec import register_implementation
from fsspec.implementations.memory import MemoryFileSystem
from support.toy import TOY, ToyEmbedder, picture

from embeddings.errors import FileUnreadable, SourceUnavailable, UsageError
from indexer.pipeline.index_source import index_source
from indexer.sources.base import Reference, Unlistable
from indexer.sources.bucket import FsspecSource, change_mark
from indexer.sources.folder import Folder
from indexer.sources.manifest import Manifest
from indexer.sources.open_source import open_source
from store.testing import MemoryStore


class Moody(MemoryFileSystem):
    """A file system that fails when it is told to, as those behind networks do."""

    protocol = "moody"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    failures: ClassVar[list[Exception]] = []
    forbidden: ClassVar[set[str]] = set()

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("moody://", "memory://", 1))

    def _may_fail(self, path: str) -> None:
        if self._strip_protocol(path) in self.forbidden:
            raise PermissionError("no entry for //ann:hidden@host/x?token=hidden")
        if self.failures:
            raise self.failures.pop()

    def ls(self, path, detail=True, **kwargs):
        self._may_fail(path)
        return super().ls(path, detail, **kwargs)

    def info(self, path, **kwargs):
        self._may_fail(path)
        return super().info(path, **kwargs)

    def cat_file(self, path, **kwargs):
        self._may_fail(path)
        return super().cat_file(path, **kwargs)


register_implementation("moody", Moody)


@pytest.fixture
def moody():
    fs = Moody()
    fs.store.clear()
    fs.failures.clear()
    fs.forbidden.clear()
    fs.pipe({"/b/a.jpg": b"aaaa", "/b/sub/b.jpg": b"bb"})
    return fs


def listed(source: FsspecSource) -> list[str]:
    return [item.path for item in source.references()]


def test_files_of_all_folders_without_what_is_hidden_or_no_image(moody):
    moody.pipe({f"/b/{name}": b"x" for name in ("c/2.png", "c/1.png", ".x/d.jpg", ".e.jpg", "f.txt", "g.MP4", "h")})
    source = FsspecSource("moody://b/")
    assert listed(source) == ["a.jpg", "c/1.png", "c/2.png", "h", "sub/b.jpg"]
    assert source.name == "moody://b"
    assert source.shown("sub/b.jpg") == "moody://b/sub/b.jpg"


def test_size_and_change_time(moody):
    first, _ = FsspecSource("moody://b").references()
    assert isinstance(first, Reference) and first.bytes == 4
    assert first.modified_at == pytest.approx(moody.info("/b/a.jpg")["created"].timestamp() * 1e9, abs=1e4)


def test_no_more_is_read_than_asked_for(moody):
    assert FsspecSource("moody://b").fetch("a.jpg", 2) == b"aaa"
    assert FsspecSource("moody://b").fetch("a.jpg", 100) == b"aaaa"


def test_a_file_that_is_gone(moody):
    source = FsspecSource("moody://b")
    assert source.is_gone("c.jpg") and not source.is_gone("a.jpg")
    with pytest.raises(FileUnreadable, match="not there any more"):
        source.fetch("c.jpg", 10)


class SSHException(Exception):
    """Named as paramiko's."""


class AuthenticationException(SSHException):
    """Named as paramiko's."""


@pytest.mark.parametrize(
    "failure",
    [ConnectionResetError("reset"), TimeoutError(), EOFError(), OSError("Socket is closed"), SSHException("dropped")],
)
def test_what_fails_in_passing_is_tried_again(moody, failure):
    source = FsspecSource("moody://b")
    moody.failures.append(failure)
    assert source.fetch("a.jpg", 10) == b"aaaa"
    moody.failures.append(failure)
    assert listed(source) == ["a.jpg", "sub/b.jpg"]


def test_what_will_fail_again_is_not_tried_again(moody):
    moody.failures += [OSError("later"), AuthenticationException("no such key")]
    with pytest.raises(SourceUnavailable, match="no such key"):
        listed(FsspecSource("moody://b"))
    assert [str(failure) for failure in moody.failures] == ["later"]


def test_a_file_that_may_not_be_read_fails_alone(moody):
    moody.forbidden.add("/b/a.jpg")
    with pytest.raises(FileUnreadable, match="cannot be read: no entry") as caught:
        FsspecSource("moody://b").fetch("a.jpg", 10)
    assert "hidden" not in caught.value.message
    assert not FsspecSource("moody://b").is_gone("a.jpg")


def test_a_source_that_may_not_be_read_any_more_ends_the_run(moody):
    source = FsspecSource("moody://b")
    moody.forbidden.update(("/b/a.jpg", "/b"))
    with pytest.raises(SourceUnavailable, match="moody://b may not be read") as caught:
        source.fetch("a.jpg", 10)
    assert "hidden" not in caught.value.message
    with pytest.raises(SourceUnavailable, match="moody://b may not be read"):
        listed(source)


def test_a_folder_that_may_not_be_read_is_a_failure_and_the_rest_goes_on(moody):
    moody.pipe("/b/z.jpg", b"z")
    moody.forbidden.add("/b/sub")
    first, second, third = FsspecSource("moody://b").references()
    assert isinstance(second, Unlistable) and second.path == "sub"
    assert (first.path, third.path) == ("a.jpg", "z.jpg")


@pytest.mark.parametrize("address", ["moody://b/nothing", "moody://b/a.jpg"])
def test_a_source_that_is_no_folder_is_one_clear_sentence(moody, address):
    with pytest.raises(SourceUnavailable, match=r"there is nothing at|it is a file"):
        listed(FsspecSource(address))


@pytest.mark.parametrize(
    "address, says",
    [
        ("gopher://b", "gopher:// is not a supported address"),
        ("zip://a.jpg::/etc/x.zip", "zip:// is not a supported address"),
        ("sftp://ann:hidden@host/photos", "does not carry passwords"),
        ("sftp://ann:hid/den@host/photos", "does not carry passwords"),
        ("az://container/photos?sig=hidden", "does not carry passwords"),
    ],
)
def test_addresses_that_are_refused(address, says):
    with pytest.raises(UsageError, match=says) as caught:
        FsspecSource(address)
    assert "hidden" not in caught.value.message


def test_a_missing_library_is_named():
    with pytest.raises(SourceUnavailable, match=r"reading gs:// needs a library that is not installed: please install"):
        FsspecSource("gs://bucket/photos")


@pytest.mark.parametrize(
    "facts, mark",
    [
        ({"LastModified": datetime(2026, 5, 31, 12, 0, 0, 250_000, UTC)}, 1_780_228_800_250_000_000),
        ({"mtime": datetime(2026, 5, 31, 12)}, 1_780_228_800_000_000_000),
        ({"updated": "2026-05-31T14:00:00+02:00"}, 1_780_228_800_000_000_000),
        ({"mtime": 1_780_228_800}, 1_780_228_800_000_000_000),
        ({"LastModified": None, "ETag": "0cc175b9c0f1b6a831c399e269772661"}, 2_361_834_122_652_811_022),
        ({"size": 5}, None),
    ],
)
def test_a_number_that_changes_with_the_file(facts, mark):
    assert change_mark(facts) == mark


def test_folders_of_this_machine_by_address(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).write_bytes(b"here")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    source = FsspecSource(f"file://{tmp_path}")
    (item,) = source.references()
    assert isinstance(item, Reference) and source.fetch(item.path, 10) == b"here"
    assert [i.path for i in Folder(tmp_path).references()] == [item.path]


def test_a_bucket_becomes_rows_and_stays_so(moody):
    moody.rm("/b", recursive=True)
    moody.pipe({"/b/red.png": picture("red"), "/b/sub/green.png": picture("green"), "/b/broken.png": b""})
    collection = MemoryStore().create("photos", TOY)
    with ToyEmbedder() as embedder:
        first = index_source(FsspecSource("moody://b"), collection, embedder, 100_000, True, lambda _: None)
        assert (first.indexed, first.failed) == (2, 1)
        assert first.failures[0].path == "moody://b/broken.png"
        moody.mv("/b/red.png", "/b/sub/new.png")
        again = index_source(FsspecSource("moody://b"), collection, embedder, 100_000, True, lambda _: None)
    assert (again.copied, again.skipped, again.removed) == (1, 1, 1)


def test_sources_are_told_apart_by_looking(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "odd.csv").mkdir()
    (tmp_path / "list.csv").write_text("uri\n")
    monkeypatch.chdir(tmp_path)
    names = {
        "photos": str(tmp_path / "photos"),
        "odd.csv": f"{tmp_path}/odd.csv/",
        "list.csv": str(tmp_path / "list.csv"),
        (tmp_path / "photos").as_uri(): str(tmp_path / "photos"),
        "memory://photos/": "memory://photos",
    }
    opened = {text: open_source(text) for text in names}
    assert {text: source.name for text, source in opened.items()} == names
    assert [type(source) for source in opened.values()] == [Folder, Folder, Manifest, Folder, FsspecSource]


@pytest.mark.parametrize(
    "text, says",
    [
        ("a.jpg", "is neither a folder nor a list of images: name a folder"),
        ("https://example.org/a", "a web address is not a source"),
        ("nothing", "there is no folder"),
        ("", "the name of the source is empty: name a folder"),
        (" ", "the name of the source is empty: name a folder"),
        ("nothing.csv", "there is no list"),
    ],
)
def test_an_invalid_source_is_refused_with_one_clear_sentence(tmp_path, monkeypatch, text, says):
    Path(tmp_path / "a.jpg").write_bytes(picture("red"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=says):
        open_source(text)
