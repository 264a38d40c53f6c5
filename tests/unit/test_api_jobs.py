"""The routes of jobs."""

import json
import time
from pathlib import Path

import pytest
from support.api_client import api_client
from support.toy import picture


@pytest.fixture
def client(tmp_path):
    library = tmp_path / "library"
    library.mkdir()
    (library / "red.png").write_bytes(picture("red"))
    (library / "broken.png").write_bytes(b"rubbish")
    with api_client(tmp_path / "data", libraries={"holidays": str(library)}) as client:
        yield client


def finished(client, job_id: str) -> dict:
    deadline = time.monotonic() + 20
    while True:
        job = client.get(f"/v1/jobs/{job_id}").json()
        if job["state"] not in ("queued", "running"):
            return job
        assert time.monotonic() < deadline


def test_a_job_from_start_to_end(client):
    answer = client.post("/v1/jobs", json={"source": "holidays", "collection": "family"})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["source"], job["collection"]) == ("queued", "holidays", "family")
    done = finished(client, job["id"])
    assert (done["state"], done["found"], done["indexed"], done["failed"]) == ("done_with_failures", 2, 1, 1)
    listed = client.get("/v1/jobs").json()
    assert listed["total"] == 1 and listed["jobs"] == [done]
    failures = client.get(f"/v1/jobs/{job['id']}/failures").json()
    assert [(Path(f["path"]).name, f["code"]) for f in failures["failures"]] == [("broken.png", "image_undecodable")]
    lines = client.get(f"/v1/jobs/{job['id']}/failures.csv").text.splitlines()
    assert lines[0] == "path,code,message" and "broken.png,image_undecodable," in lines[1]
    found = client.get("/v1/images", params={"collection": "family"}).json()
    assert [Path(image["path"]).name for image in found["images"]] == ["red.png"]


def test_an_ended_job_can_be_retried_and_cancelled_without_effect(client):
    job = client.post("/v1/jobs", json={"source": "holidays"}).json()
    assert job["collection"] == "photos"
    finished(client, job["id"])
    assert client.post(f"/v1/jobs/{job['id']}/retry").status_code == 202
    again = finished(client, job["id"])
    assert (again["skipped"], again["failed"]) == (1, 1)
    assert client.delete(f"/v1/jobs/{job['id']}").json()["state"] == "done_with_failures"


def test_events_tell_of_every_change_and_end_with_the_job(client):
    job = client.post("/v1/jobs", json={"source": "holidays"}).json()
    answer = client.get(f"/v1/jobs/{job['id']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert events[-1]["state"] == "done_with_failures"


def test_libraries_are_listed_by_name(client):
    assert client.get("/v1/libraries").json()["libraries"] == [{"name": "holidays"}]


@pytest.mark.parametrize(
    "body, status, field",
    [
        ({"source": "/etc"}, 404, "source"),
        ({"source": "../holidays"}, 404, "source"),
        ({}, 422, "source"),
        ({"source": "holidays", "collection": "no name"}, 422, "collection"),
        ({"source": "holidays", "folder": "/etc"}, 422, "folder"),
    ],
)
def test_wrong_requests_name_the_field(client, body, status, field):
    answer = client.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert client.get("/v1/jobs").json()["jobs"] == []


@pytest.mark.parametrize("path", ["", "/failures", "/failures.csv", "/events"])
def test_unknown_jobs_are_not_found(client, path):
    answer = client.get(f"/v1/jobs/none{path}")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (404, "not_found", "id")
