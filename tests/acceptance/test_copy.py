"""`lookalike copy` as a user runs it, between Milvus Lite and a real Milvus server."""

import hashlib
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from support.waiting import until

from embeddings.errors import NotFound
from embeddings.models.identity import ModelIdentity
from embeddings.tagging.tag import Tag
from store import open_store
from store.locations import upload_path
from store.records import Row

MODEL = ModelIdentity("made-up", "0123456789ab", 256)
ROWS = 6_000
WHEN = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)
REPORT = {
    *("collection", "source", "copy", "target", "model", "found", "copied", "skipped", "kept", "verified"),
    *("uploads", "files", "missing", "seconds", "rows_per_second"),
}


@pytest.fixture
def server(milvus_uri) -> Iterator[str]:
    """The address of a server without collections."""
    yield milvus_uri
    with open_store(milvus_uri, "", Path(), 30) as store:
        for info in store.collections():
            store.drop(info.name)


def made_up(count: int) -> list[Row]:
    vectors = np.random.default_rng(0).standard_normal((count, MODEL.dimension)).astype(np.float32)
    return [
        Row(
            id=f"日本:{n}" if n % 2 else hashlib.sha256(b"%d" % n).hexdigest(),
            source="upload" if n < 2 else "/srv/photos",
            path=f"{n}.jpg",
            content_hash=f"{n}",
            phash=2**64 - 1 - n,
            vector=vector,
            tags=(Tag("big cat", 0.5),) if n % 3 else (),
            width=4,
            height=3,
            bytes=n,
            taken_at=None,
            modified_at=n,
            indexed_at=WHEN,
            meta={"n": n, "text": 'ü "'},
        )
        for n, vector in enumerate(vectors)
    ]


def fill(data: Path, rows: list[Row]) -> None:
    with open_store("", "", data, 30) as store:
        store.create("photos", MODEL).upsert(rows)


def check(uri: str, data: Path, name: str, rows: list[Row]) -> None:
    """Compare everything that is there with the rows, vectors included."""
    with open_store(uri, "", data, 30) as store:
        collection = store.open(name, MODEL)
        there = {row.id: row for row in collection.scan(with_vectors=True)}
    assert there == {row.id: row for row in rows}
    for row in rows:
        np.testing.assert_allclose(there[row.id].vector, row.vector / np.linalg.norm(row.vector), atol=1e-5)


def count(uri: str) -> int:
    with open_store(uri, "", Path(), 30) as store:
        try:
            return store.open("photos").count()
        except NotFound:
            return 0


@pytest.mark.parametrize(
    "sign, status", [(signal.SIGKILL, -signal.SIGKILL), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_copy_that_is_stopped_goes_on_and_comes_back_whole(lookalike, tmp_path, server, sign, status):
    rows = made_up(ROWS)
    fill(lookalike.data, rows)
    running = lookalike.start("copy", "photos", "--to", server)
    until(lambda: 0 < count(server) < ROWS or running.poll() is not None)
    assert running.poll() is None, running.communicate()
    os.kill(running.pid, sign)
    _, err = running.communicate(timeout=60)
    assert running.returncode == status
    if sign == signal.SIGINT:
        assert "the same command continues from there" in err and "Traceback" not in err
    there = count(server)
    assert 0 < there < ROWS
    again = lookalike("copy", "photos", "--to", server, "--json").json
    assert set(again) == REPORT and (again["found"], again["kept"], again["verified"]) == (ROWS, 0, 100)
    assert again["skipped"] >= there and again["copied"] == ROWS - again["skipped"]
    check(server, Path(), "photos", rows)
    if sign == signal.SIGINT:
        return
    back = lookalike("copy", "photos", "again", "--from", server, "--to", tmp_path / "other", "--json")
    assert (back.status, back.err, back.json["copied"]) == (0, "", ROWS)
    check("", tmp_path / "other", "again", rows)


def test_searches_find_the_same_after_a_move(indexed, indexed_photos, server):
    moved = indexed("copy", "photos", "--to", server)
    assert (moved.status, moved.err) == (0, "")
    assert f"photos in {indexed.data} -> photos in {server}: 6 rows found, 6 copied, 0 there already" in moved.out
    query = ("search", indexed_photos / "coffee.png", "--json")
    before, after = indexed(*query).json["results"], indexed(*query, LOOKALIKE_MILVUS_URI=server).json["results"]
    assert [(one["id"], one["path"], one["tags"]) for one in after] == [
        (one["id"], one["path"], one["tags"]) for one in before
    ]
    # the folder's rows keep its name: nothing is indexed again
    assert indexed("index", indexed_photos, "--json", LOOKALIKE_MILVUS_URI=server).json["skipped"] == 6


def test_uploads_are_found_under_the_new_name(lookalike):
    fill(lookalike.data, made_up(4))
    first, second = ("日本:1", hashlib.sha256(b"0").hexdigest())
    uploads = lookalike.data / "uploads"
    (uploads / "photos").mkdir(parents=True)
    upload_path(first, uploads / "photos").write_bytes(b"bytes")
    result = lookalike.told("copy", "photos", "two")
    assert result.status == 0 and f"2 uploaded images, whose files are in {uploads / 'two'}" in result.out
    assert f"files that are gone: 1 ({second})" in result.err
    assert upload_path(first, uploads / "two").read_bytes() == b"bytes"
    report = lookalike.told("copy", "photos", "two", "--json").json
    assert (report["skipped"], report["uploads"], report["files"], report["missing"]) == (4, 2, 0, [second])


def test_what_cannot_be_copied_is_one_sentence_that_says_what_to_do(lookalike, tmp_path):
    fill(lookalike.data, made_up(3))
    other = tmp_path / "other"
    with open_store("", "", other, 30) as store:
        store.create("photos", ModelIdentity("resnet50", "ba9876543210", 256))
    for arguments, says in [
        (["photos"], "NEW_NAME"),
        (["photos", "--to", lookalike.data], "NEW_NAME"),
        (["holidays", "--to", tmp_path / "new"], "there are: photos"),
        (["photos", "a-b"], "'a-b' is not possible"),
        (["photos", "--from", tmp_path / "nothing"], f"there is no collection in {tmp_path / 'nothing'}"),
        (["photos", "--to", "ftp://host"], "--to takes http(s)://HOST:PORT"),
        (["photos", "--to", "http://me:secret@host:1"], "--to-token-env"),
        (["photos", "--to", "http://host:1", "--to-token-env", "NOT_SET"], "NOT_SET is not set"),
        (["photos", "--to", "http://127.0.0.1:1"], "http://127.0.0.1:1 does not answer"),
        (["photos", "--to", other], "made with the model resnet50 (ba9876543210)"),
    ]:
        result = lookalike.told("copy", *arguments)
        assert result.status == 2 and says in result.err, result.err
        assert result.out == "" and len(result.err.splitlines()) == 1 and "secret" not in result.err
    assert not (tmp_path / "nothing").exists()


def test_rows_of_two_collections_meet_only_when_asked(lookalike, tmp_path):
    rows = made_up(6)
    fill(lookalike.data, rows[:3])
    fill(tmp_path / "other", rows[2:])
    refused = lookalike.told("copy", "photos", "--to", tmp_path / "other")
    assert refused.status == 2 and "has 3 rows" in refused.err and "--merge" in refused.err
    merged = lookalike.told("copy", "photos", "--to", tmp_path / "other", "--merge", "--json").json
    assert (merged["copied"], merged["skipped"]) == (2, 1)
    check("", tmp_path / "other", "photos", rows)
