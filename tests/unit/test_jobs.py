"""Jobs in the process: queued, run, watched, cancelled, retried, and taken up again."""

import json
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.toy import ToyEmbedder, picture
from support.waiting import until

from embeddings.errors import NotFound, StoreUnavailable, UsageError
from indexer.jobs.base import Job, JobStatus, Libraries
from indexer.jobs.local import LocalJobs
from indexer.pipeline.progress import IndexProgress
from store.testing import MemoryStore


@pytest.fixture
def library(tmp_path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    for i, colour in enumerate(("red", "green", "blue")):
        (folder / f"{colour}.png").write_bytes(picture(colour, size=(64 + i, 64)))
    return folder


@pytest.fixture
def store():
    return MemoryStore()


class SlowEmbedder(ToyEmbedder):
    """Waits for a sign before each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.sign = threading.Event()

    def finish(self, decoded):
        self.reached.set()
        assert self.sign.wait(10)
        return super().finish(decoded)


@contextmanager
def open_jobs(tmp_path: Path, store: MemoryStore, embedder: ToyEmbedder | None = None):
    libraries = Libraries({"library": str(tmp_path / "library"), "gone": str(tmp_path / "gone")})
    with embedder or ToyEmbedder() as used, LocalJobs(store, used, libraries, tmp_path / "jobs", 1_000_000) as jobs:
        yield jobs


def ended(jobs: LocalJobs, job: Job) -> Job:
    until(lambda: jobs.get(job.id).state.ended)
    return jobs.get(job.id)


def test_a_job_indexes_a_library(tmp_path, library, store):
    with open_jobs(tmp_path, store) as jobs:
        queued = jobs.start("library", "family")
        assert (queued.state, queued.source, queued.collection) == (JobStatus.QUEUED, "library", "family")
        job = ended(jobs, queued)
    assert (job.state, job.found, job.indexed, job.failed) == (JobStatus.DONE, 3, 3, 0)
    assert job.seconds > 0 and job.seconds_left is None and job.reason is None
    assert store.open("family").count() == 3


def test_failures_are_kept_and_tried_again(tmp_path, library, store):
    (library / "broken.png").write_bytes(b"rubbish")
    with open_jobs(tmp_path, store) as jobs:
        job = ended(jobs, jobs.start("library", "family"))
        assert (job.state, job.indexed, job.failed) == (JobStatus.DONE_WITH_FAILURES, 3, 1)
        (failure,) = jobs.failures(job.id)
        assert (failure.path, failure.code) == (str(library / "broken.png"), "image_undecodable")
        (library / "broken.png").write_bytes(picture("yellow"))
        jobs.retry(job.id)
        again = ended(jobs, job)
        assert (again.state, again.indexed, again.skipped) == (JobStatus.DONE, 1, 3)
        assert jobs.failures(job.id) == []


def test_a_running_job_tells_how_far_it_is_and_can_be_cancelled(tmp_path, library, store):
    embedder = SlowEmbedder()
    with open_jobs(tmp_path, store, embedder) as jobs:
        running, waiting = jobs.start("library", "family"), jobs.start("library", "other")
        assert embedder.reached.wait(10)
        until(lambda: jobs.get(running.id).found == 3)
        with pytest.raises(UsageError, match="is running: cancel it first"):
            jobs.retry(running.id)
        assert jobs.cancel(waiting.id).state is JobStatus.CANCELLED
        jobs.cancel(running.id)
        embedder.sign.set()
        assert ended(jobs, running).state is JobStatus.CANCELLED
        assert [job.id for job in jobs.all()] == [waiting.id, running.id]
        assert jobs.cancel(running.id).state is JobStatus.CANCELLED
    with pytest.raises(NotFound):
        store.open("other")


def test_what_was_running_when_the_process_ended_is_taken_up_again(tmp_path, library, store):
    embedder = SlowEmbedder()
    with open_jobs(tmp_path, store, embedder) as jobs:
        running, waiting = jobs.start("library", "family"), jobs.start("library", "other")
        assert embedder.reached.wait(10)
        threading.Timer(0.1, embedder.sign.set).start()
    with open_jobs(tmp_path, store) as jobs:
        assert [ended(jobs, job).state for job in (running, waiting)] == [JobStatus.DONE, JobStatus.DONE]
    assert store.open("family").count() == store.open("other").count() == 3


def test_ended_jobs_are_remembered(tmp_path, library, store):
    with open_jobs(tmp_path, store) as jobs:
        job = ended(jobs, jobs.start("library", "family"))
    (tmp_path / "jobs" / "rubbish.json").write_text("{")
    with open_jobs(tmp_path, store) as jobs:
        assert jobs.all() == [job]


def test_a_folder_that_is_gone_fails_the_job_with_a_reason(tmp_path, library, store):
    with open_jobs(tmp_path, store) as jobs:
        job = ended(jobs, jobs.start("gone", "family"))
    assert job.state is JobStatus.FAILED and job.reason is not None and "there is no folder" in job.reason


def test_a_store_that_fails_fails_the_job_and_not_the_next(tmp_path, library, store):
    with open_jobs(tmp_path, store) as jobs:
        store.available = False
        job = ended(jobs, jobs.start("library", "family"))
        assert job.state is JobStatus.FAILED and job.reason == str(StoreUnavailable())
        store.available = True
        jobs.retry(job.id)
        assert ended(jobs, job).state is JobStatus.DONE


@pytest.mark.parametrize("source", ["nothing", "../etc", "/etc", str(Path("/")), ""])
def test_only_libraries_can_be_named(tmp_path, store, source):
    with open_jobs(tmp_path, store) as jobs, pytest.raises(NotFound, match="there is no library") as caught:
        jobs.start(source, "family")
    assert caught.value.field == "source"


def test_unknown_jobs(tmp_path, store):
    with open_jobs(tmp_path, store) as jobs:
        for use in (jobs.get, jobs.cancel, jobs.retry, jobs.failures):
            with pytest.raises(NotFound, match="there is no job"):
                use("none")


def test_library_names_must_do_in_an_address():
    with pytest.raises(UsageError, match="LOOKALIKE_LIBRARIES"):
        Libraries({"a/b": "."})


def test_time_left_is_what_is_left_at_the_rate_so_far():
    progress = IndexProgress(found=100, indexed=20, copied=5, skipped=15)
    job = Job("1", JobStatus.RUNNING, "library", "family").after(progress, 5.0)
    assert (job.finished, job.images_per_second, job.seconds_left) == (40, 5.0, 12.0)


def test_a_record_is_one_file(tmp_path, library, store):
    with open_jobs(tmp_path, store) as jobs:
        job = ended(jobs, jobs.start("library", "family"))
    (file,) = (tmp_path / "jobs").iterdir()
    assert json.loads(file.read_text())["job"]["id"] == job.id
