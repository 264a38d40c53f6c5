"""Bulk jobs, and a service, whose Milvus is killed, silent or not there yet: they wait or say so, and go on."""

import os
import random
import signal
import time
from collections.abc import Iterator

import pytest
from support.milvus_server import MilvusServer, need_milvus
from support.queue_stand import Stand, stand_at
from support.store_api import StoreApi, store_api

from indexer.jobs.base import Job, JobStatus

SESSION_SECONDS = 25.0


@pytest.fixture
def absent_milvus(tmp_path_factory) -> Iterator[MilvusServer]:
    """A Milvus server that has not been started."""
    need_milvus()
    server = MilvusServer(tmp_path_factory.mktemp("own-milvus"))
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def own_milvus(absent_milvus) -> MilvusServer:
    """A Milvus server that a test may kill."""
    absent_milvus.start()
    absent_milvus.wait_until_ready()
    return absent_milvus


def kill_milvus(stand: Stand, server: MilvusServer, images: int, kills: int) -> None:
    """Kill Milvus at random moments while rows are written, and start it again; a service is asked all the while."""
    dice = random.Random(kills)
    stand.fill(images)
    with store_api(stand.folder / "service", server.uri, stand.collection) as api:
        for _ in range(2):
            stand.worker(TOY_SECONDS="0.2")
        job = stand.start()
        for number in range(kills):
            stand.under_way(job, least=1 + number * images // (2 * kills))
            stand.until(api.finds)
            assert api.answers()
            time.sleep(dice.random() / 5)
            server.kill()
            api.refuses()
            if number == 0:
                stand.until(lambda: "does not answer" in (stand.jobs.get(job.id).reason or ""))
            server.start()
            resumed(stand, job, api, number)
        job = stand.ended(job, 180)
        assert api.answers() and api.rows == images
    assert (job.state, job.indexed) == (JobStatus.DONE, images)
    stand.check(job)


def resumed(stand: Stand, job: Job, api: StoreApi, number: int) -> None:
    """Wait until a service answers and workers write again, and say how long it took."""
    began, before = time.monotonic(), stand.jobs.get(job.id).indexed
    answered = api.comes_back()
    stand.until(lambda: stand.jobs.get(job.id).indexed > before, 120)
    seconds = time.monotonic() - began
    print(f"kill {number + 1}: the service answered {answered:.0f} s after the start, workers wrote by {seconds:.0f} s")


def test_milvus_that_is_killed_while_rows_are_written(tmp_path, own_milvus) -> None:
    with stand_at(tmp_path, own_milvus.uri) as stand:
        kill_milvus(stand, own_milvus, 600, 1)


@pytest.mark.slow
def test_milvus_that_is_killed_many_times(tmp_path, own_milvus) -> None:
    with stand_at(tmp_path, own_milvus.uri) as stand:
        kill_milvus(stand, own_milvus, 8_000, 6)


def stop_milvus(stand: Stand, server: MilvusServer, seconds: float) -> None:
    """Make Milvus silent for a while; a service is asked meanwhile."""
    stand.fill(600)
    with store_api(stand.folder / "service", server.uri, stand.collection) as api:
        stand.worker(TOY_SECONDS="0.2")
        job = stand.start()
        stand.under_way(job)
        stand.until(api.finds)
        assert api.answers()
        server.signal(signal.SIGSTOP)
        try:
            api.refuses()
            stand.until(lambda: "did not answer within 3 seconds" in (stand.jobs.get(job.id).reason or ""), 30)
            time.sleep(seconds)
        finally:
            server.signal(signal.SIGCONT)
        if seconds > SESSION_SECONDS:  # it has given itself up, and is started again, as by a supervisor
            server.kill()
            server.start()
        api.comes_back()
        job = stand.ended(job, 180)
    assert (job.state, job.reason) == (JobStatus.DONE, None)
    stand.check(job)


def test_milvus_that_is_silent_for_a_while(tmp_path, own_milvus) -> None:
    with stand_at(tmp_path, own_milvus.uri) as stand:
        stop_milvus(stand, own_milvus, 6.0)


@pytest.mark.slow
def test_milvus_that_is_silent_for_two_minutes(tmp_path, own_milvus) -> None:
    with stand_at(tmp_path, own_milvus.uri) as stand:
        stop_milvus(stand, own_milvus, 120.0)


def test_a_worker_that_starts_before_milvus(tmp_path, absent_milvus) -> None:
    with stand_at(tmp_path, absent_milvus.uri) as stand:
        stand.fill(20)
        worker = stand.worker()
        job = stand.start()
        stand.until(lambda: f"the Milvus server at {absent_milvus.uri} does not answer: start it" in stand.log())
        absent_milvus.start()
        stand.check(stand.ended(job, 120))
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.wait(20) == 0
