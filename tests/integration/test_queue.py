"""Bulk jobs with real workers, Redis and Milvus: what is done, told, cancelled and tried again when all goes well."""

import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import datetime

import pytest
from support.queue_stand import VISIBILITY, Stand, kill, stand_at
from support.toy import picture

from embeddings.errors import NotFound, UsageError
from embeddings.models.identity import ModelIdentity
from indexer.jobs.base import Job, JobStatus


@pytest.fixture
def stand(tmp_path, milvus_uri) -> Iterator[Stand]:
    with stand_at(tmp_path, milvus_uri) as stand:
        yield stand


def test_a_job_from_start_to_end(stand: Stand) -> None:
    stand.fill(200)
    queued = stand.start()
    assert (queued.state, queued.source, queued.found) == (JobStatus.QUEUED, "library", 0)
    stand.worker()
    stand.worker()
    job = stand.ended(queued)
    assert (job.state, job.found, job.indexed, job.reason) == (JobStatus.DONE, 200, 200, None)
    assert job.seconds > 0
    stand.check(job)
    # again: nothing is new
    again = stand.ended(stand.start())
    assert (again.state, again.found, again.skipped, again.indexed) == (JobStatus.DONE, 200, 200, 0)
    assert [known.id for known in stand.jobs.all()] == [again.id, job.id]
    workers = stand.jobs.workers()
    assert len(workers) == 2 and sum(worker.images for worker in workers) == 200
    assert {worker.model for worker in workers} == {"toy"}


def test_twins_renames_failures_and_prune(stand: Stand) -> None:
    stand.fill(40)
    (stand.library / "twin.png").write_bytes((stand.library / "00007.png").read_bytes())
    (stand.library / "broken.png").write_bytes(b"rubbish")
    stand.worker()
    job = stand.ended(stand.start())
    assert (job.state, job.found, job.failed) == (JobStatus.DONE_WITH_FAILURES, 42, 1)
    stand.check(job)
    (failure,) = stand.jobs.failures(job.id)
    assert failure.path == str(stand.library / "broken.png") and failure.code == "image_undecodable"
    # what is mended is indexed by trying again; what was renamed is copied; what is gone is removed
    (stand.library / "broken.png").write_bytes(picture("yellow"))
    (stand.library / "00003.png").rename(stand.library / "renamed.png")
    (stand.library / "00004.png").unlink()
    retried = stand.ended(stand.jobs.retry(job.id))
    assert (retried.state, retried.found, retried.indexed, retried.copied) == (JobStatus.DONE, 41, 1, 1)
    pruned = stand.ended(stand.start(prune=True))
    assert (pruned.skipped, pruned.removed) == (41, 2)
    stand.check(pruned)


def test_a_job_of_ten_thousand_images_that_is_cancelled_writes_no_more(stand: Stand) -> None:
    stand.fill(10_000)
    worker = stand.worker(TOY_SECONDS="0.1")
    job = stand.start()
    stand.under_way(job)
    stand.until(lambda: stand.jobs.get(job.id).found == 10_000)
    assert stand.jobs.cancel(job.id).state is JobStatus.CANCELLED
    stand.until(lambda: not any(stand.messages().values()), 10)
    there = written(stand)
    assert 0 < len(there) < 10_000
    # Redis and worker start anew, somebody looks for what was lost: it stays cancelled
    worker = start_anew(stand, worker)
    assert_cancelled(stand, job, there)
    # the same where both are killed while the job's messages still wait
    job = stand.jobs.retry(job.id)
    stand.until(lambda: stand.opened().count() > len(there))
    assert stand.jobs.cancel(job.id).state is JobStatus.CANCELLED
    assert stand.messages()["chunks"] > 0
    kill(worker)
    there = written(stand)
    assert len(there) < 10_000
    start_anew(stand, worker)
    assert_cancelled(stand, job, there)
    stand.until(lambda: not any(stand.messages().values()), 3 * VISIBILITY)
    assert_cancelled(stand, job, there)
    # and it can be taken up again
    paths = {known.path for known in stand.opened().known()}
    for file in sorted(stand.library.iterdir())[100:]:
        if file.name not in paths:
            file.unlink()
    assert stand.ended(stand.jobs.retry(job.id)).skipped == len(there)
    stand.check(job)


def written(stand: Stand) -> dict[str, datetime]:
    """Return when each row was written."""
    return {row.id: row.indexed_at for row in stand.opened().scan()}


def start_anew(stand: Stand, worker: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Kill a worker and Redis, and start both."""
    kill(worker)
    stand.redis.kill()
    stand.redis.start()
    return stand.worker(TOY_SECONDS="0.1")


def assert_cancelled(stand: Stand, job: Job, there: dict[str, datetime]) -> None:
    """Assert that workers do what there is to do, and write nothing for a job that was cancelled."""
    stand.jobs.resume()
    assert stand.ended(stand.start_elsewhere()).state is JobStatus.DONE
    assert stand.jobs.get(job.id).state is JobStatus.CANCELLED
    assert written(stand) == there


def test_a_job_for_another_model_writes_nothing(stand: Stand) -> None:
    stand.fill(3)
    stand.worker("00000000beef")
    job = stand.ended(stand.start())
    assert job.state is JobStatus.FAILED and job.reason is not None
    assert job.reason.startswith("model_mismatch") and "LOOKALIKE_MODEL" in job.reason
    with pytest.raises(NotFound):
        stand.opened()


def test_a_collection_of_another_model_is_left_alone(stand: Stand) -> None:
    stand.fill(3)
    stand.store.create(stand.collection, ModelIdentity("other", "00000000beef", 3))
    stand.worker()
    job = stand.ended(stand.start())
    assert job.state is JobStatus.FAILED and job.reason is not None and job.reason.startswith("model_mismatch")
    assert stand.opened().count() == 0


def test_a_source_that_cannot_be_read_says_so(stand: Stand) -> None:
    stand.worker()
    stand.library.rmdir()
    job = stand.ended(stand.start())
    assert job.state is JobStatus.FAILED and job.reason is not None and str(stand.library) in job.reason


def test_a_source_that_changes_meanwhile_is_counted(stand: Stand) -> None:
    stand.fill(600)
    stand.worker(TOY_SECONDS="0.05")
    job = stand.start()
    stand.under_way(job)
    for i in range(100):
        (stand.library / f"{599 - i:05}.png").unlink()
    for i in range(50):
        (stand.library / f"{i:05}.png").write_bytes(picture("yellow", size=(60 + i, 60)))
    stand.fill(30, "later")
    job = stand.ended(job)
    assert job.found == job.indexed + job.copied + job.skipped + job.failed == 530
    pruned = stand.ended(stand.start(prune=True))
    assert pruned.state is JobStatus.DONE
    stand.check(pruned)


def test_a_worker_that_is_asked_to_leave_hands_back_what_it_holds(stand: Stand) -> None:
    stand.fill(600)
    first = stand.worker(TOY_SECONDS="0.3")
    job = stand.start()
    stand.under_way(job)
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait(20) == 0
    assert stand.messages()["unacked"] == 0
    assert not stand.jobs.workers()
    stand.worker()
    stand.ended(job)
    stand.check(job)


def test_unknown_libraries_and_jobs_and_retries_of_running_jobs_are_refused(stand: Stand) -> None:
    with pytest.raises(NotFound, match="library"):
        stand.jobs.start("elsewhere", stand.collection)
    with pytest.raises(UsageError):
        stand.jobs.start_from(str(stand.folder / "nowhere"), stand.collection, False, {})
    for method in (stand.jobs.get, stand.jobs.cancel, stand.jobs.retry, stand.jobs.failures):
        with pytest.raises(NotFound):
            method("../../etc/passwd")
    job = stand.start()
    with pytest.raises(UsageError, match="cancel it first"):
        stand.jobs.retry(job.id)
