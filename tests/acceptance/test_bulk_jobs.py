"""Bulk jobs as an operator has them: the real commands, worker and service, with real Redis and Milvus."""

import csv
import io
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from support.lookalike_command import Lookalike
from support.milvus_server import free_ports
from support.redis_server import RedisServer, running_redis
from support.waiting import until


@pytest.fixture
def redis(tmp_path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with running_redis(folder) as server:
        yield server


@pytest.fixture
def settings(redis, milvus_uri, tmp_path, photos) -> dict[str, str]:
    return {
        "LOOKALIKE_REDIS_URL": redis.url,
        "LOOKALIKE_MILVUS_URI": milvus_uri,
        "LOOKALIKE_COLLECTION": f"a{tmp_path.name.replace('-', '_')}"[:60],
        "LOOKALIKE_LIBRARIES": f"holidays={photos}",
        "LOOKALIKE_VISIBILITY_TIMEOUT": "10",
        "LOOKALIKE_METRICS_PORT": str(free_ports(1)[0]),
    }


@contextmanager
def running(lookalike: Lookalike, *arguments: object, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command that goes on until it is told to stop; it must go quietly then."""
    process = lookalike.start(*arguments, **settings)
    try:
        yield process
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_the_commands_of_an_operator(lookalike, photos, settings):
    (photos / "broken.jpg").write_bytes(b"rubbish")
    nobody = lookalike("jobs", "workers", **settings)
    assert nobody.out == "" and "lookalike worker" in nobody.err
    with running(lookalike, "worker", **settings):
        started = lookalike("jobs", "start", photos, "--json", **settings)
        assert started.status == 0, started.err
        job_id = started.json["id"]
        watched = lookalike("jobs", "watch", job_id, **settings)
        assert watched.status == 1
        assert "done_with_failures" in watched.out and "7 images found, 6 indexed" in watched.out
        assert f"lookalike jobs failures {job_id}" in watched.err
        shown = lookalike("jobs", "show", job_id, "--json", **settings).json
        assert (shown["state"], shown["found"], shown["failed"]) == ("done_with_failures", 7, 1)
        rows = list(csv.DictReader(io.StringIO(lookalike("jobs", "failures", job_id, "--csv", **settings).out)))
        assert [(Path(row["path"]).name, row["code"]) for row in rows] == [("broken.jpg", "image_undecodable")]
        (worker,) = lookalike("jobs", "workers", "--json", **settings).json["workers"]
        assert worker["model"] == "tf_efficientnet_lite0" and worker["images"] == 7
        figures = httpx.get(f"http://127.0.0.1:{settings['LOOKALIKE_METRICS_PORT']}/metrics").text
        assert 'lookalike_images_total{outcome="indexed"} 6.0' in figures
        assert 'lookalike_failures_total{code="image_undecodable"} 1.0' in figures
        assert 'lookalike_queue_messages{queue="chunks"} 0.0' in figures
        (photos / "broken.jpg").unlink()
        retried = lookalike("jobs", "retry", job_id, "--watch", **settings)
        assert retried.status == 0 and "6 unchanged" in retried.out
        assert lookalike("jobs", "cancel", job_id, **settings).out.startswith(f"{job_id}: done")
    found = lookalike("search", photos / "coffee.png", "--json", **settings).json
    assert Path(found["results"][0]["path"]).name == "coffee.png"
    assert job_id in lookalike("jobs", "list", **settings).out


def test_mistakes_are_told_in_a_sentence(lookalike, photos, settings):
    assert "LOOKALIKE_REDIS_URL" in lookalike("worker").err
    lite = lookalike("worker", LOOKALIKE_REDIS_URL="redis://127.0.0.1:1")
    assert lite.status == 2 and "LOOKALIKE_MILVUS_URI" in lite.err
    away = lookalike("jobs", "list", **settings | {"LOOKALIKE_REDIS_URL": "redis://:s3cret@127.0.0.1:1"})
    assert away.status == 2 and "127.0.0.1:1 does not answer" in away.err and "s3cret" not in away.err
    wrong = lookalike("jobs", "list", **settings | {"LOOKALIKE_REDIS_URL": "127.0.0.1:6379"})
    assert wrong.status == 2 and "redis://" in wrong.err
    nowhere = lookalike("jobs", "start", photos / "nowhere", **settings)
    assert nowhere.status == 2 and "nowhere" in nowhere.err
    assert lookalike("jobs", "show", "abc", **settings).status == 2


def test_the_service_starts_jobs_that_workers_do(lookalike, photos, settings, redis):
    port = free_ports(1)[0]
    with (
        running(lookalike, "serve", "--port", port, **settings | {"LOOKALIKE_METRICS_PORT": "0"}) as serving,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=90) as client,
    ):
        assert serving.stderr is not None
        assert "serving" in serving.stderr.readline()
        assert client.get("/ready").json()["checks"]["jobs"] == {"ok": True}
        job = client.post("/v1/jobs", json={"source": "holidays"}).json()
        assert job["state"] == "queued"
        with running(lookalike, "worker", **settings):
            events = []
            with client.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
                events = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
            assert events[0]["state"] in ("queued", "running") and events[-1]["state"] == "done"
            assert events[-1]["indexed"] == 6
        results = client.post("/v1/search", files={"file": (photos / "coffee.png").read_bytes()}).json()["results"]
        assert Path(results[0]["path"]).name == "coffee.png"
        # without Redis it says so, and goes on when that comes back
        redis.kill()
        refused = client.get("/v1/jobs")
        assert refused.status_code == 503 and refused.headers["retry-after"] == "5"
        assert refused.json()["code"] == "queue_unavailable"
        assert client.get("/ready").status_code == 503
        redis.start()
        until(lambda: client.get("/ready").status_code == 200, 20)
        assert [known["id"] for known in client.get("/v1/jobs").json()["jobs"]] == [job["id"]]


def test_the_service_starts_before_its_store_and_its_queue(lookalike, settings, redis):
    port, nobody = free_ports(2)
    redis.kill()
    away = settings | {"LOOKALIKE_MILVUS_URI": f"http://127.0.0.1:{nobody}"}
    with (
        running(lookalike, "serve", "--port", port, **away) as serving,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=90) as client,
    ):
        assert serving.stderr is not None
        assert "serving" in serving.stderr.readline()
        checks = client.get("/ready").json()["checks"]
        assert checks["model"]["ok"] and not checks["store"]["ok"] and not checks["jobs"]["ok"]
        refused = client.get("/v1/images")
        assert refused.status_code == 503 and refused.json()["code"] == "store_unavailable"
        assert int(refused.headers["retry-after"]) > 0
