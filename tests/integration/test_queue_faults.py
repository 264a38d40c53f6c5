"""Bulk jobs with real workers, Redis and Milvus when things go wrong: nothing is lost and nothing doubled."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support.queue_stand import VISIBILITY, Stand, kill, stand_at
from support.toy import TOY, picture

from embeddings.errors import QueueUnavailable
from indexer.jobs.base import JobStatus
from indexer.queue.celery_app import CHUNKS, PREFIX, make_app
from store import open_store

KILLS = 3


@pytest.fixture
def stand(tmp_path, milvus_uri) -> Iterator[Stand]:
    with stand_at(tmp_path, milvus_uri) as stand:
        yield stand


def kill_workers(stand: Stand, images: int, kills: int, seconds: str) -> None:
    """Kill one of two workers again and again at random moments, and start another each time."""
    dice = random.Random(kills)
    stand.fill(images)
    workers = [stand.worker(TOY_SECONDS=seconds) for _ in range(2)]
    job = stand.start()
    for number in range(kills):
        stand.under_way(job, least=1 + number * images // (2 * kills))
        time.sleep(dice.random())
        victim = workers.pop(dice.randrange(len(workers)))
        kill(victim)
        workers.append(stand.worker(TOY_SECONDS=seconds))
    job = stand.ended(job, 120)
    assert job.state is JobStatus.DONE
    stand.check(job)


def test_workers_that_are_killed(stand: Stand) -> None:
    kill_workers(stand, 700, KILLS, "0.2")


@pytest.mark.slow
def test_workers_that_are_killed_many_times(stand: Stand) -> None:
    kill_workers(stand, 6_000, 25, "0.2")


def test_a_worker_that_is_killed_while_it_plans(stand: Stand) -> None:
    stand.fill(100)
    job = stand.start()
    worker = stand.worker()
    # the planner is gone as soon as it has begun
    stand.until(lambda: stand.redis.client.hget(f"lookalike:job:{job.id}", "planned") == "0")
    kill(worker)
    stand.worker()
    stand.check(stand.ended(job))


def test_a_worker_that_is_killed_while_it_looks_for_lost_messages(stand: Stand) -> None:
    stand.fill(300)
    worker = stand.worker(TOY_SECONDS="0.2")
    job = stand.start()
    stand.under_way(job)
    kill(worker)
    assert stand.messages()["unacked"] > 0
    # what it leaves then is the broker's lock, which kombu takes like this
    with make_app(stand.redis.url, VISIBILITY).connection_for_read() as connection:
        channel = connection.default_channel
        assert channel.client.lock(channel.unacked_mutex_key, timeout=channel.unacked_mutex_expire).acquire(False)
    assert stand.redis.client.exists(PREFIX + "unacked_mutex")
    stand.worker()
    stand.check(stand.ended(job))


def test_redis_that_is_killed_and_started_again(stand: Stand) -> None:
    stand.fill(600)
    stand.worker(TOY_SECONDS="0.2")
    stand.worker(TOY_SECONDS="0.2")
    job = stand.start()
    stand.under_way(job)
    stand.redis.kill()
    with pytest.raises(QueueUnavailable, match="LOOKALIKE_REDIS_URL"):
        stand.jobs.get(job.id)
    stand.until(lambda: f"Redis at 127.0.0.1:{stand.redis.port} does not answer" in stand.log())
    stand.redis.start()
    job = stand.ended(job, 120)
    assert job.state is JobStatus.DONE
    stand.check(job)


def test_redis_that_is_emptied(stand: Stand) -> None:
    stand.fill(600)
    stand.worker(TOY_SECONDS="0.2")
    job = stand.start()
    stand.under_way(job)
    stand.redis.client.flushall()
    lost = stand.jobs.get(job.id)
    assert lost.state is JobStatus.FAILED and lost.reason is not None and "retry" in lost.reason
    assert not stand.jobs.retry(job.id).state.ended
    job = stand.ended(job)
    assert job.state is JobStatus.DONE and job.skipped + job.indexed == 600
    stand.check(job)


def test_what_an_emptied_redis_has_lost_is_taken_up_at_the_start_of_a_service(stand: Stand) -> None:
    stand.fill(50)
    job, other = stand.start(), stand.start()
    stand.jobs.cancel(other.id)
    stand.redis.client.flushall()
    with stand.open_jobs() as jobs:
        jobs.resume()
    stand.worker()
    assert stand.ended(job).indexed == 50
    assert [known.id for known in stand.jobs.all()] == [job.id]
    stand.check(job)


def test_a_message_that_is_lost(stand: Stand) -> None:
    stand.fill(300)
    stand.worker(TOY_SECONDS="0.2")
    job = stand.start()
    stand.under_way(job)
    assert stand.redis.client.rpop(PREFIX + CHUNKS) is not None  # as by a worker that dies before it takes note
    job = stand.ended(job)
    assert job.state is JobStatus.DONE
    stand.check(job)


def test_a_chunk_that_is_delivered_twice(stand: Stand) -> None:
    stand.fill(300)
    job = stand.start()
    first = stand.worker(TOY_SECONDS="0.2")
    stand.until(lambda: stand.redis.client.llen(PREFIX + CHUNKS) > 3)
    messages = stand.redis.client.lrange(PREFIX + CHUNKS, 0, -1)
    stand.redis.client.lpush(PREFIX + CHUNKS, *messages)
    stand.worker(TOY_SECONDS="0.2")
    job = stand.ended(job)
    assert (job.state, job.indexed) == (JobStatus.DONE, 300)
    stand.check(job)
    assert first.poll() is None


def test_images_that_kill_hang_or_exhaust_the_decoder(stand: Stand) -> None:
    stand.fill(60)
    for name in (b"KILL", b"HANG", b"EXHAUST"):
        (stand.library / f"00000-{name.decode()}.png").write_bytes(name)
    stand.worker()
    job = stand.ended(stand.start())
    assert (job.state, job.indexed, job.failed) == (JobStatus.DONE_WITH_FAILURES, 60, 3)
    codes = {Path(failure.path).stem: failure.code for failure in stand.jobs.failures(job.id)}
    assert codes.keys() == {"00000-KILL", "00000-HANG", "00000-EXHAUST"}
    assert set(codes.values()) <= {"image_undecodable", "image_too_large"}
    stand.check(job)


def test_eight_writers_of_the_same_rows(stand: Stand) -> None:
    stand.fill(100)
    stand.worker()
    job = stand.ended(stand.start())
    rows = stand.opened().fetch([known.id for known in stand.opened().known()], with_vectors=True)
    together = threading.Barrier(8)

    def write(_: int) -> None:
        with open_store(stand.milvus_uri, "", stand.folder, timeout=30.0) as store:
            collection = store.open(stand.collection, TOY)
            together.wait()
            collection.upsert(rows)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    collection = stand.opened()
    ids = [row.id for row in rows]
    # read first: it waits for all that was written, where a count or rows by id may be a moment behind
    assert sorted(known.id for known in collection.known()) == sorted(ids)
    after = collection.fetch(ids, with_vectors=True)
    assert after == rows and collection.count() == 100
    assert all(np.array_equal(new.vector, old.vector) for new, old in zip(after, rows, strict=True))
    stand.check(job)


def test_a_worker_that_starts_before_redis(stand: Stand) -> None:
    stand.fill(20)
    job = stand.start()
    stand.redis.kill()
    stand.worker()
    stand.until(lambda: f"Redis at 127.0.0.1:{stand.redis.port} does not answer: start it" in stand.log())
    stand.redis.start()
    stand.check(stand.ended(job))


def test_a_library_at_another_place_is_refused(stand: Stand) -> None:
    stand.fill(300)
    elsewhere = stand.folder / "elsewhere"
    elsewhere.mkdir()
    stand.worker(TOY_SECONDS="0.3")
    stand.worker(TOY_SECONDS="0.3", LOOKALIKE_LIBRARIES=f"library={elsewhere}")
    stand.until(lambda: len(stand.jobs.workers()) == 2)
    for number in range(40):
        (elsewhere / f"{number}.png").write_bytes(picture("red", size=(9, 9 + number)))
    job = stand.ended(stand.start())
    assert job.state is JobStatus.FAILED and job.reason is not None and "mount it at the same place" in job.reason
