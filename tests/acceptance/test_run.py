"""`lookalike run` and `serve` as a user runs them: the real service on the real model."""

import os
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.lookalike_command import serving, until_it_answers

# The packaged photos that show none of the model's classes.
NOTHING_KNOWN = set(
    ["moon", "brick", "grass", "gravel", "hubble_deep_field", "retina", "coins", "page", "text", "cell"]
)


def test_run_indexes_shows_examples_and_serves(lookalike, photos):
    with serving(lookalike, "run", photos) as (client, lines):
        assert lines[0].startswith("photos: 6 images found, 6 indexed")
        examples = "\n".join(lines[1:-1])
        assert examples.count("looks most like") == 3
        assert "motorcycle_right.png: vehicle" in examples or "motorcycle_left.png: vehicle" in examples
        assert "Ctrl-C stops" in lines[-1]
        page = client.get("/")
        assert page.status_code == 200 and "lookalike" in page.text
        picture = (photos / "album" / "motorcycle_left.png").read_bytes()
        answer = client.post("/v1/search", files={"file": picture}, data={"limit": 2}).json()
        assert [Path(result["path"]).name for result in answer["results"]] == [
            "motorcycle_left.png",
            "motorcycle_right.png",
        ]
        thumbnail = client.get(answer["results"][0]["thumbnail"])
        assert thumbnail.headers["content-type"] == "image/jpeg" and thumbnail.content[:2] == b"\xff\xd8"


def test_a_folder_that_is_served_can_be_indexed_again_by_a_job(lookalike, photos):
    with serving(lookalike, "run", photos) as (client, _):
        (photos / "coffee.png").rename(photos / "espresso.png")
        (library,) = client.get("/v1/libraries").json()["libraries"]
        job = client.post("/v1/jobs", json={"source": library["name"], "prune": True}).json()
        with client.stream("GET", f"/v1/jobs/{job['id']}/events") as events:
            states = re.findall(r'"state":"(\w+)"', "".join(events.iter_text()))
        assert states[-1] == "done"
        job = client.get(f"/v1/jobs/{job['id']}").json()
        assert (job["found"], job["copied"], job["skipped"], job["removed"]) == (6, 1, 5, 1)
        tags = {tag["name"]: tag["count"] for tag in client.get("/v1/tags").json()["tags"]}
        assert tags["espresso"] == 1


def test_without_a_folder_it_shows_the_demo(lookalike):
    with serving(lookalike, "run") as (client, lines):
        assert "20 indexed" in lines[0] and "0 failed" in lines[0]
        assert client.get("/v1/images?tag=cat").json()["total"] == 1
        images = client.get("/v1/images?limit=100").json()["images"]
        tagged = {Path(image["path"]).stem for image in images if image["tags"]}
        assert {"coffee", "camera", "chelsea", "motorcycle_left", "motorcycle_right"} <= tagged
        assert not tagged & NOTHING_KNOWN


def test_queries_at_once_are_all_answered(lookalike, photos):
    picture = (photos / "coffee.png").read_bytes()
    with serving(lookalike, "run", photos) as (client, _), ThreadPoolExecutor(32) as threads:
        several = [threads.submit(client.post, "/v1/search", files={"file": picture}) for _ in range(64)]
        assert client.get("/health").json() == {"status": "ok"}
        answers = [future.result() for future in several]
    assert {answer.status_code for answer in answers} == {200}
    assert {Path(answer.json()["results"][0]["path"]).name for answer in answers} == {"coffee.png"}


def test_an_address_in_use_is_said_at_once(lookalike, photos):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = lookalike("run", photos, "--port", port)
    assert result.status == 2 and f"127.0.0.1:{port}" in result.err and "--port" in result.err
    assert "images found" not in result.out


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(lookalike, photos, signal_number):
    process = lookalike.start("run", photos, "--port", 0)
    until_it_answers(process)
    os.killpg(process.pid, signal_number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in err
