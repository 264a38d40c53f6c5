"""A bucket as a source, over the real protocol."""

import os

import pytest
from support.s3_server import PAGE, check_keys, running_s3

from embeddings.errors import FileUnreadable, SourceUnavailable
from indexer.sources.base import Reference
from indexer.sources.bucket import FsspecSource
from indexer.sources.manifest import Manifest

OBJECTS = {
    "a.jpg": b"aaaa",
    "empty.jpg": b"",
    "photos/": b"",
    "photos/.x/a.jpg": b"x",
    "photos/a.jpg": b"a",
    "photos/b/1?#ü.png": b"1",
    "photos/b/2.png": b"22",
    "photos/notes.txt": b"x",
    "photos/z.png": b"z",
}


@pytest.fixture(scope="module")
def s3():
    """A server with one bucket, and the environment set for it."""
    with running_s3() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        import s3fs

        files = s3fs.S3FileSystem(use_listings_cache=False)
        files.mkdir("bucket")
        for key, data in OBJECTS.items():
            files.call_s3("put_object", Bucket="bucket", Key=key, Body=data)
        yield files


def listed(address: str) -> list[str]:
    return [item.path for item in FsspecSource(address).references()]


def test_a_bucket_is_listed_over_several_pages(s3):
    assert len(OBJECTS) > 2 * PAGE
    assert listed("s3://bucket") == [
        "a.jpg",
        "empty.jpg",
        "photos/a.jpg",
        *(f"photos/{n}" for n in ("b/1?#ü.png", "b/2.png", "z.png")),
    ]
    assert listed("s3a://bucket/photos/") == ["a.jpg", "b/1?#ü.png", "b/2.png", "z.png"]


def test_size_and_change_time(s3):
    first = next(iter(FsspecSource("s3://bucket").references()))
    modified = s3.info("bucket/a.jpg")["LastModified"]
    assert first == Reference("a.jpg", 4, int(modified.timestamp()) * 10**9)


def test_bytes_are_read_and_no_more_than_asked_for(s3):
    source = FsspecSource("s3://bucket")
    assert source.fetch("a.jpg", 2) == b"aaa"
    assert source.fetch("a.jpg", 100) == b"aaaa"
    assert source.fetch("empty.jpg", 100) == b""
    assert source.fetch("photos/b/1?#ü.png", 100) == b"1"


def test_missing_objects_and_buckets_are_errors(s3):
    source = FsspecSource("s3://bucket")
    assert source.is_gone("b.jpg") and not source.is_gone("a.jpg")
    with pytest.raises(FileUnreadable, match="not there any more"):
        source.fetch("b.jpg", 10)
    for address in ("s3://bucket/nothing", "s3://none/photos"):
        with pytest.raises(SourceUnavailable, match=f"there is nothing at {address}"):
            listed(address)


def test_keys_that_are_refused(s3):
    source = FsspecSource("s3://bucket")
    check_keys(os.environ["AWS_ENDPOINT_URL"], True)
    try:
        for ask in (lambda: listed("s3://bucket"), lambda: source.fetch("a.jpg", 10)):
            with pytest.raises(
                SourceUnavailable, match=r"s3://bucket may not be read .*set AWS_ACCESS_KEY_ID"
            ) as caught:
                ask()
            assert "secret" not in caught.value.message
    finally:
        check_keys(os.environ["AWS_ENDPOINT_URL"], False)


def test_a_list_names_objects(s3, tmp_path):
    (tmp_path / "list.csv").write_text("uri\ns3://bucket/a.jpg\ns3://bucket/none.jpg\n")
    source = Manifest(tmp_path / "list.csv")
    there, gone = [item.path for item in source.references()]
    assert source.fetch(there, 2) == b"aaa"
    with pytest.raises(FileUnreadable, match="not there any more"):
        source.fetch(gone, 2)


def test_a_server_that_does_not_answer(s3, monkeypatch):
    """In a process of its own: the library keeps what it was first told of the server."""
    import subprocess
    import sys

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    program = "from indexer.sources.bucket import FsspecSource; list(FsspecSource('s3://bucket').references())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "SourceUnavailable: s3://bucket cannot be reached: Could not connect" in done.stderr
