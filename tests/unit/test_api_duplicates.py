"""The routes of duplicates."""

import csv
import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from PIL import Image
from support.api_client import ApiClient, api_client
from support.pictures import encoded, photo
from support.toy import ToyEmbedder, ToyPool

from duplicates.pixel_match import SPEC as LOOK
from embeddings.decode_pool.pool import Picture
from embeddings.imaging.decode import Box, DecodedImage, InputSpec
from store.testing import MemoryStore

EMPTY = {"phash_distance", "mirrored", "score", "pixels"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[ApiClient]:
    with api_client(tmp_path / "data") as client:
        image = photo(320, 240, 1)
        client.add(encoded(image, "JPEG", quality=90), id="large")
        client.add(encoded(image, "JPEG", quality=90), id="large-again")
        client.add(encoded(image.resize((160, 120)), "JPEG"), id="small")
        client.add(encoded(Image.new("RGB", (64, 64), "blue"), "PNG"), id="other")
        yield client


def finished(client: ApiClient, **query: str) -> dict:
    """Return the list once the scan that it begins is done."""
    deadline = time.monotonic() + 30
    while True:
        answer = client.get("/v1/duplicates", params=query)
        assert answer.status_code == 200, answer.text
        if answer.json()["scan"]["state"] not in ("queued", "running"):
            return answer.json()
        assert time.monotonic() < deadline


def ids(group: dict) -> set[str]:
    return {image["id"] for image in group["images"]}


def test_groups_come_with_evidence_and_the_best_copy(client):
    page = finished(client)
    assert (page["scan"]["state"], page["scan"]["reason"]) == ("done", None) and page["scan"]["complete_at"]
    assert page["totals"] == {"exact": 1, "near": 1, "similar": 0} and page["total"] == 2
    exact, near = page["groups"]
    assert (exact["kind"], ids(exact), exact["reference"]) == ("exact", {"large", "large-again"}, None)
    assert [image["evidence"] for image in exact["images"]] == [None, None]
    assert (near["kind"], near["count"], near["best_because"]) == ("near", 2, "resolution")
    assert near["best"] in ("large", "large-again") and ids(near) == {near["best"], "small"}
    by_id = {image["id"]: image for image in near["images"]}
    assert (by_id["small"]["copies"], by_id[near["best"]]["copies"]) == (1, 2)
    assert (by_id["small"]["width"], by_id["small"]["height"]) == (160, 120)
    (other,) = [image["evidence"] for image in near["images"] if image["id"] != near["reference"]]
    assert other["phash_distance"] <= 4 and not other["mirrored"] and min(other["score"], other["pixels"]) > 0.985
    assert client.get(by_id["small"]["thumbnail"]).status_code == 200


def test_pages_and_kinds(client):
    finished(client)
    pages = [client.get("/v1/duplicates", params={"limit": 1, "offset": n}).json() for n in (0, 1, 2)]
    assert [[group["kind"] for group in page["groups"]] for page in pages] == [["exact"], ["near"], []]
    assert {page["total"] for page in pages} == {2}
    only = client.get("/v1/duplicates", params={"kind": "near"}).json()
    assert only["total"] == 1 and only["totals"]["exact"] == 1


def test_what_is_removed_or_added_shows(client):
    finished(client)
    client.delete("/v1/images/large-again")
    page = client.get("/v1/duplicates").json()
    assert [group["kind"] for group in page["groups"]] == ["near"]
    client.add(encoded(Image.new("RGB", (64, 64), "blue"), "PNG"), id="other-again")
    started = client.post("/v1/duplicates/scan")
    assert started.status_code == 202 and started.json()["state"] in ("queued", "running", "done")
    exact, near = finished(client)["groups"]
    assert ids(exact) == {"other", "other-again"} and near["kind"] == "near"


def test_decisions_hide_groups_until_they_are_taken_back(client):
    exact, near = finished(client)["groups"]
    made = client.post(f"/v1/duplicates/{exact['id']}", json={"decision": "keep_all"})
    assert made.status_code == 200 and len(made.json()["content_hashes"]) == 1
    client.post(f"/v1/duplicates/{near['id']}", json={"decision": "not_duplicates"})
    assert client.get("/v1/duplicates").json()["groups"] == []
    kept = client.get("/v1/duplicates", params={"kept": "true"}).json()["groups"]
    assert [(group["id"], group["kept"]) for group in kept] == [(exact["id"], True)]
    listed = client.get("/v1/duplicates/decisions").json()
    assert {(d["id"], d["decision"]) for d in listed["decisions"]} == {
        (exact["id"], "keep_all"),
        (near["id"], "not_duplicates"),
    }
    assert listed["total"] == 2
    for group in (exact, near):
        assert client.delete(f"/v1/duplicates/{group['id']}/decision").status_code == 204
    assert [group["id"] for group in client.get("/v1/duplicates").json()["groups"]] == [exact["id"], near["id"]]
    assert client.get("/v1/images").json()["total"] == 4


class SlowPool(ToyPool):
    """Decodes for the second look only once it may; searches and uploads go on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may = threading.Event(), threading.Event()

    def decode(self, picture: Picture, spec: InputSpec, box: Box | None = None) -> Future[DecodedImage]:
        if spec == LOOK:
            self.asked.set()
            assert self.may.wait(30)
        return super().decode(picture, spec, box)


def test_a_scan_can_be_stopped_and_started_while_the_service_answers(tmp_path):
    embedder = ToyEmbedder()
    embedder.pool.close()
    embedder.pool = pool = SlowPool()
    with embedder, api_client(tmp_path / "data", embedder) as client:
        for i, quality in enumerate((80, 90)):
            client.add(encoded(photo(320, 240, 1), "JPEG", quality=quality), id=str(i))
        assert client.get("/v1/duplicates").json()["scan"]["complete_at"] is None
        assert pool.asked.wait(30)
        scan = client.get("/v1/duplicates").json()["scan"]
        assert (scan["state"], scan["stage"], scan["scanned"], scan["total"]) == ("running", "looking", 0, 1)
        assert client.get("/v1/images").json()["total"] == 2
        assert client.delete("/v1/duplicates/scan").json()["state"] == "running"
        pool.may.set()
        stopped = finished(client)
        assert stopped["scan"]["state"] == "stopped" and stopped["scan"]["complete_at"] is None
        assert client.get("/v1/duplicates").json()["scan"]["state"] == "stopped"  # asking does not start it again
        client.post("/v1/duplicates/scan")
        done = finished(client)
        assert done["scan"]["state"] == "done" and done["totals"]["near"] == 1


def test_exports_have_every_picture(client):
    finished(client)
    answer = client.get("/v1/duplicates.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="photos-duplicates.csv"'
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [line["kind"] for line in lines] == ["exact", "exact", "near", "near"]
    assert sum(line["best"] == "true" for line in lines) == 2
    assert all(line[name] == "" for line in lines[:2] for name in EMPTY)
    document = json.loads(client.get("/v1/duplicates.json").text)
    assert [group["kind"] for group in document["groups"]] == ["exact", "near"]
    assert document["groups"] == client.get("/v1/duplicates").json()["groups"]
    assert list(csv.reader(io.StringIO(client.get("/v1/duplicates.csv?kind=similar").text)))[1:] == []


def test_a_name_that_is_a_formula_is_no_formula_in_a_spreadsheet(client):
    for i in range(2):
        upload = {"file": ("=SUM(A1), a.png", encoded(Image.new("RGB", (8, 8), "green"), "PNG"))}
        assert client.post("/v1/images", files=upload, data={"id": f"formula-{i}"}).status_code == 201
    finished(client)
    lines = list(csv.DictReader(io.StringIO(client.get("/v1/duplicates.csv?kind=exact").text)))
    assert [line["path"] for line in lines if "formula" in line["id"]] == ["'=SUM(A1), a.png"] * 2
    (group,) = [g for g in client.get("/v1/duplicates").json()["groups"] if "formula-0" in ids(g)]
    assert {image["path"] for image in group["images"]} == {"=SUM(A1), a.png"}


@pytest.mark.parametrize(
    "method, path, body, status, field",
    [
        ("GET", "/v1/duplicates?collection=nosuch", None, 404, "collection"),
        ("GET", "/v1/duplicates?kind=nearly", None, 422, "kind"),
        ("GET", "/v1/duplicates?limit=101", None, 422, "limit"),
        ("GET", "/v1/duplicates?offset=-1", None, 422, "offset"),
        ("GET", "/v1/duplicates.csv?collection=nosuch", None, 404, "collection"),
        ("GET", "/v1/duplicates.json?collection=nosuch", None, 404, "collection"),
        ("GET", "/v1/duplicates/decisions?collection=nosuch", None, 404, "collection"),
        ("POST", "/v1/duplicates/scan?collection=nosuch", None, 404, "collection"),
        ("DELETE", "/v1/duplicates/scan?collection=nosuch", None, 404, "collection"),
        ("POST", "/v1/duplicates/near-0", {"decision": "keep_all"}, 404, "id"),
        ("POST", "/v1/duplicates/near-0", {"decision": "delete"}, 422, "decision"),
        ("POST", "/v1/duplicates/near-0", {}, 422, "decision"),
        ("POST", "/v1/duplicates/near-0", {"decision": "keep_all", "collection": "nosuch"}, 404, "collection"),
        ("DELETE", "/v1/duplicates/near-0/decision", None, 404, "id"),
    ],
)
def test_wrong_requests_name_the_field(client, method, path, body, status, field):
    answer = client.run(client.http.request(method, path, json=body))
    assert (answer.status_code, answer.json()["field"]) == (status, field)


def test_the_same_bytes_cannot_be_no_duplicates(client):
    exact, _ = finished(client)["groups"]
    answer = client.post(f"/v1/duplicates/{exact['id']}", json={"decision": "not_duplicates"})
    assert (answer.status_code, answer.json()["field"]) == (422, "decision")


def test_a_store_that_is_down_is_said_and_comes_back(tmp_path):
    store = MemoryStore()
    with api_client(tmp_path / "data", store=store) as client:
        client.add(encoded(photo(64, 64, 1), "PNG"), id="a")
        store.available = False
        assert client.get("/v1/duplicates").json()["code"] == "store_unavailable"
        store.available = True
        assert finished(client)["scan"]["state"] == "done"
