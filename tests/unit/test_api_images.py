"""/v1/images: add, read, browse, thumbnails, remove; what is kept on disk and what never is touched."""

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
from support.toy import TOY, ToyEmbedder, picture

from embeddings.models.identity import ModelIdentity
from embeddings.tagging.tag import Tag
from store.locations import to_text
from store.records import Row
from store.testing import MemoryStore


@pytest.fixture
def client(tmp_path: Path) -> Iterator[ApiClient]:
    with api_client(tmp_path) as client:
        yield client


def kept_uploads(data: Path) -> set[str]:
    return {path.name for path in (data / "uploads").rglob("*") if path.is_file()}


def kept_thumbnails(data: Path) -> set[str]:
    return {path.name for path in (data / "thumbnails").rglob("*") if path.is_file()}


def test_an_added_picture_has_all_its_facts(client: ApiClient, tmp_path: Path) -> None:
    data = picture("yellow", size=(64, 32))
    answer = client.post(
        "/v1/images",
        files={"file": ("C:\\photos\\sun\N{RIGHT-TO-LEFT OVERRIDE}.png", data)},
        data={"id": "sun:1", "meta": '{"album": "Rome", "stars": 5}'},
    )
    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/images/sun%3A1?collection=photos"
    document = client.get(answer.headers["location"]).json()
    assert document == answer.json()
    times = [datetime.fromisoformat(document.pop(name)) for name in ("modified_at", "indexed_at")]
    assert all(time.tzinfo == UTC and abs((datetime.now(UTC) - time).total_seconds()) < 60 for time in times)
    assert len(document.pop("phash")) == 16
    assert document == {
        "id": "sun:1",
        "source": "upload",
        "path": "sun.png",
        "tags": [{"name": "red", "confidence": 0.5}, {"name": "green", "confidence": 0.5}],
        "width": 64,
        "height": 32,
        "bytes": len(data),
        "content_hash": sha256(data).hexdigest(),
        "taken_at": None,
        "meta": {"album": "Rome", "stars": 5},
        "thumbnail": "/v1/images/sun%3A1/thumbnail?collection=photos",
    }
    assert (tmp_path / "uploads" / "photos" / sha256(b"sun:1").hexdigest()).read_bytes() == data


def test_an_id_made_from_the_bytes_is_the_same_again(client: ApiClient) -> None:
    first, again, other = (client.add(picture(colour))["id"] for colour in ("red", "red", "blue"))
    assert first == again != other
    assert client.get("/v1/images").json()["total"] == 2


def test_known_bytes_are_not_computed_again(tmp_path: Path) -> None:
    with ToyEmbedder() as embedder, api_client(tmp_path, embedder) as client:
        client.add(picture("red"), id="one", meta='{"n": 1}')
        second = client.add(picture("red"), id="two")
        assert embedder.runs == [1]
        assert (second["tags"][0]["name"], second["meta"]) == ("red", {})
        assert [hit["id"] for hit in client.post("/v1/search", json={"id": "one"}).json()["results"]] == ["two"]


def test_an_upload_with_the_same_id_replaces_the_earlier_one(client: ApiClient, tmp_path: Path) -> None:
    client.add(picture("red"), id="one")
    client.get("/v1/images/one/thumbnail")
    document = client.add(picture("blue"), id="one")
    assert document["tags"][0]["name"] == "blue"
    assert client.get("/v1/images").json()["total"] == 1
    assert len(kept_uploads(tmp_path)) == 1
    assert kept_thumbnails(tmp_path) == set()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id": "../etc/passwd"}, "id"),
        ({"id": ".."}, "id"),
        ({"id": "x" * 129}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": "a\n"}, "id"),
        ({"meta": "not json"}, "meta"),
        ({"meta": "[1]"}, "meta"),
        ({"meta": '{"a": NaN}'}, "meta"),
        ({"meta": '{"a": "' + "x" * 70_000 + '"}'}, "meta"),
        ({"collection": "a/b"}, "collection"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_fields_add_nothing(client: ApiClient, tmp_path: Path, fields: dict[str, str], field: str) -> None:
    answer = client.post("/v1/images", files={"file": ("a.png", picture("red"))}, data=fields)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert kept_uploads(tmp_path) == set()
    assert client.get("/v1/collections").json()["collections"] == []


def test_a_bad_picture_adds_nothing(client: ApiClient, tmp_path: Path) -> None:
    answer = client.post("/v1/images", files={"file": ("a.png", b"no picture")})
    assert (answer.status_code, answer.json()["code"]) == (422, "image_undecodable")
    assert kept_uploads(tmp_path) == set()
    assert client.get("/v1/collections").json()["collections"] == []


def test_a_data_directory_that_cannot_be_written_adds_nothing(client: ApiClient, tmp_path: Path) -> None:
    (tmp_path / "uploads").write_text("a file where the folder should be")
    answer = client.post("/v1/images", files={"file": ("a.png", picture("red"))})
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert client.get("/v1/collections").json()["collections"] == []
    (tmp_path / "uploads").unlink()
    client.add(picture("red"))


def test_pages_of_pictures(client: ApiClient) -> None:
    for name in ("c", "a", "b"):
        client.add(picture("red" if name != "b" else "green"), id=name)
    first = client.get("/v1/images", params={"limit": 2}).json()
    assert [image["id"] for image in first["images"]] == ["a", "b"]
    assert (first["offset"], first["limit"], first["total"]) == (0, 2, 3)
    second = client.get("/v1/images", params={"limit": 2, "offset": 2}).json()
    assert [image["id"] for image in second["images"]] == ["c"]
    tagged = client.get("/v1/images", params={"tag": "red"}).json()
    assert ([image["id"] for image in tagged["images"]], tagged["total"]) == (["a", "c"], 2)


@pytest.mark.parametrize(
    ("parameters", "status", "field"),
    [
        ({"limit": "0"}, 422, "limit"),
        ({"limit": "100000"}, 422, "limit"),
        ({"offset": "-1"}, 422, "offset"),
        ({"tag": 'red" or 1==1'}, 404, "tag"),
        ({"collection": "nosuch"}, 404, "collection"),
    ],
)
def test_wrong_pages(client: ApiClient, parameters: dict[str, str], status: int, field: str) -> None:
    client.add(picture("red"))
    answer = client.get("/v1/images", params=parameters)
    assert (answer.status_code, answer.json()["field"]) == (status, field)


@pytest.mark.parametrize("path", ["/v1/images/nosuch", "/v1/images/nosuch/thumbnail", "/v1/images/%22%20or%201==1"])
def test_an_unknown_id(client: ApiClient, path: str) -> None:
    client.add(picture("red"))
    answer = client.get(path)
    assert (answer.status_code, answer.json()["field"]) == (404, "id")


def test_removing(client: ApiClient, tmp_path: Path) -> None:
    client.add(picture("red"), id="one")
    client.get("/v1/images/one/thumbnail")
    answer = client.delete("/v1/images/one")
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get("/v1/images/one").status_code == 404
    assert client.delete("/v1/images/one").status_code == 404
    assert kept_uploads(tmp_path) | kept_thumbnails(tmp_path) == set()


def test_removing_one_of_two_with_the_same_bytes_leaves_the_thumbnail(client: ApiClient, tmp_path: Path) -> None:
    client.add(picture("red"), id="one")
    client.add(picture("red"), id="two")
    client.get("/v1/images/one/thumbnail")
    client.delete("/v1/images/one")
    assert len(kept_thumbnails(tmp_path)) == 1


def test_a_thumbnail_is_small_and_kept(client: ApiClient, tmp_path: Path) -> None:
    document = client.add(picture("red", "blue", size=(800, 400)), id="wide")
    answer = client.get(document["thumbnail"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"].startswith("private")
    assert Image.open(io.BytesIO(answer.content)).size == (320, 160)
    assert kept_thumbnails(tmp_path) == {f"{document['content_hash']}.jpg"}
    assert client.get(document["thumbnail"]).content == answer.content
    same = client.get(document["thumbnail"], headers={"If-None-Match": answer.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


def folder_row(folder: Path, name: str, data: bytes) -> Row:
    return Row(
        id="folder-1",
        source=to_text(str(folder)),
        path=to_text(name),
        content_hash=sha256(data).hexdigest(),
        phash=2**63 + 1,
        vector=None,
        tags=(Tag("red", 1.0),),
        width=64,
        height=64,
        bytes=len(data),
        taken_at=datetime(2024, 5, 6, 7, 8, 9),
        modified_at=1_700_000_000_000_000_000,
        indexed_at=datetime(2026, 1, 2, tzinfo=UTC),
        meta={},
    )


@pytest.fixture
def folder_client(tmp_path: Path) -> Iterator[tuple[ApiClient, Path]]:
    """An app on a collection with one picture of a folder, whose name is not UTF-8, and the picture's file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    name = os.fsdecode(b"caf\xe9.png")
    data = picture("red")
    (folder / name).write_bytes(data)
    store = MemoryStore()
    with ToyEmbedder() as embedder, api_client(tmp_path / "data", embedder, store) as client:
        vector = embedder.finish([embedder.submit(data).result()])[0].vector
        store.create("photos", TOY).upsert([replace(folder_row(folder, name, data), vector=vector)])
        yield client, folder / name


def test_a_picture_of_a_folder(folder_client: tuple[ApiClient, Path]) -> None:
    client, file = folder_client
    document = client.get("/v1/images/folder-1").json()
    assert document["source"] == str(file.parent)
    assert document["path"] == f"{file.parent}/caf\N{REPLACEMENT CHARACTER}.png"
    assert document["phash"] == "8000000000000001"
    assert document["taken_at"] == "2024-05-06T07:08:09"
    assert document["modified_at"] == "2023-11-14T22:13:20Z"
    assert document["indexed_at"] == "2026-01-02T00:00:00Z"
    assert client.get(document["thumbnail"]).status_code == 200


def test_removing_a_picture_of_a_folder_leaves_its_file(folder_client: tuple[ApiClient, Path]) -> None:
    client, file = folder_client
    assert client.delete("/v1/images/folder-1").status_code == 204
    assert file.exists()


def test_an_upload_cannot_take_the_id_of_an_indexed_file(folder_client: tuple[ApiClient, Path]) -> None:
    client, _ = folder_client
    answer = client.post("/v1/images", files={"file": ("a.png", picture("blue"))}, data={"id": "folder-1"})
    assert (answer.status_code, answer.json()["field"]) == (422, "id")
    assert client.get("/v1/images/folder-1").json()["tags"][0]["name"] == "red"


def test_a_file_that_changed_is_not_shown(folder_client: tuple[ApiClient, Path]) -> None:
    client, file = folder_client
    file.write_bytes(picture("blue"))
    answer = client.get("/v1/images/folder-1/thumbnail")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "changed since it was indexed" in answer.json()["detail"]


def test_a_file_that_is_gone(folder_client: tuple[ApiClient, Path]) -> None:
    client, file = folder_client
    file.unlink()
    answer = client.get("/v1/images/folder-1/thumbnail")
    assert (answer.status_code, answer.json()["field"]) == (404, "id")
    assert "no longer exists" in answer.json()["detail"]


def test_a_picture_in_a_bucket_is_found_but_not_shown(tmp_path: Path) -> None:
    store = MemoryStore()
    bucket_row = replace(folder_row(tmp_path, "cat.png", b""), source="s3://bucket/photos", vector=np.array([1, 0, 0]))
    store.create("photos", TOY).upsert([bucket_row])
    with api_client(tmp_path / "data", store=store) as client:
        document = client.get("/v1/images/folder-1").json()
        assert (document["source"], document["path"]) == ("s3://bucket/photos", "s3://bucket/photos/cat.png")
        answer = client.get(document["thumbnail"])
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (404, "not_found", "id")
        assert "not on the service's machine" in answer.json()["detail"]


def test_a_pipe_in_the_place_of_a_file_does_not_hang(folder_client: tuple[ApiClient, Path]) -> None:
    client, file = folder_client
    file.unlink()
    os.mkfifo(file)
    answer = client.get("/v1/images/folder-1/thumbnail")
    assert (answer.status_code, answer.json()["code"]) == (404, "file_unreadable")


def test_collections_and_their_models(client: ApiClient) -> None:
    client.add(picture("red"), collection="zoo")
    client.add(picture("red"))
    answer = client.get("/v1/collections").json()
    assert [(one["name"], one["model"], one["count"]) for one in answer["collections"]] == [
        ("photos", "toy", 1),
        ("zoo", "toy", 1),
    ]
    assert (answer["collections"][0]["fingerprint"], answer["collections"][0]["dimension"]) == (TOY.fingerprint, 3)
    assert answer["total"] == 2


def test_a_collection_of_another_model(tmp_path: Path) -> None:
    store = MemoryStore()
    store.create("photos", ModelIdentity("resnet50", "abcdef012345", 4))
    with api_client(tmp_path, store=store) as client:
        for path, options in (
            ("/v1/search", {"files": {"file": ("a.png", picture("red"))}}),
            ("/v1/images", {"files": {"file": ("a.png", picture("red"))}}),
        ):
            answer = client.post(path, **options)
            assert (answer.status_code, answer.json()["code"]) == (409, "model_mismatch")
            assert "resnet50" in answer.json()["detail"]
        assert client.get("/v1/images").status_code == 200
    assert kept_uploads(tmp_path) == set()
