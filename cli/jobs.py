"""`lookalike jobs`: start, watch, cancel and retry the jobs that workers run."""

import csv
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli.common import (
    collection_option,
    headers_of,
    headers_option,
    json_option,
    model_option,
    plural,
    print_json,
    progress_bar,
    settings_with,
)
from embeddings.embedder import Embedder
from embeddings.errors import QueueUnavailable
from indexer.jobs.base import Job, JobStatus, Worker
from indexer.open_jobs import open_queue
from indexer.pipeline.progress import Failure
from indexer.queue.redis_jobs import RedisJobs

WATCH_SECONDS = 0.5
RETRY_SECONDS = 60.0
_HEADINGS = ("id", "state", "source", "collection", "found", "done", "failed", "images/s")


@click.group()
def jobs() -> None:
    """Start, watch, cancel and retry the jobs that workers run.

    LOOKALIKE_REDIS_URL is the queue. The jobs of a service without a queue are at its /v1/jobs.
    """


@contextmanager
def _queue(collection: str | None = None, model: str | None = None) -> Iterator[tuple[RedisJobs, str]]:
    """Open the queue; yield it with the name of the collection."""
    settings = settings_with(collection, model)
    with Embedder(settings) as embedder, open_queue(settings, embedder) as queue:
        yield queue, settings.collection


@jobs.command()
@click.argument("source")
@collection_option
@model_option
@headers_option
@click.option("--prune", is_flag=True, help="Also remove entries whose files no longer exist.")
@click.option("--watch", is_flag=True, help="Show the job's progress until it ends.")
@json_option
def start(
    source: str,
    collection: str | None,
    model: str | None,
    headers: Sequence[str],
    prune: bool,
    watch: bool,
    as_json: bool,
) -> int:
    """Index SOURCE: a library of LOOKALIKE_LIBRARIES, a folder, a list, or an address such as s3://bucket/photos.

    The workers must find it under the same name.
    """
    with _queue(collection, model) as (queue, named):
        if source in queue.libraries and not Path(source).exists():
            job = queue.start(source, named, prune)
        else:
            job = queue.start_from(source, named, prune, headers_of(headers))
        if not watch:
            _print(job, as_json)
            return 0
        click.echo(job.id, err=True)
        return _finish(queue, job, as_json)


@jobs.command("list")
@json_option
def list_jobs(as_json: bool) -> None:
    """List the jobs, the newest first."""
    with _queue() as (queue, _):
        found = queue.all()
    if as_json:
        print_json({"jobs": [_document(job) for job in found]})
    elif found:
        _table(_HEADINGS, [_line(job) for job in found])
    else:
        click.echo("there are no jobs: start one with `lookalike jobs start SOURCE`", err=True)


@jobs.command()
@click.argument("job_id", metavar="ID")
@json_option
def show(job_id: str, as_json: bool) -> None:
    """Show a job's progress."""
    with _queue() as (queue, _):
        _print(queue.get(job_id), as_json)


@jobs.command()
@click.argument("job_id", metavar="ID")
@json_option
def watch(job_id: str, as_json: bool) -> int:
    """Show a job's progress until it ends; Ctrl-C leaves it running."""
    with _queue() as (queue, _):
        return _finish(queue, queue.get(job_id), as_json)


@jobs.command()
@click.argument("job_id", metavar="ID")
@json_option
def cancel(job_id: str, as_json: bool) -> None:
    """Stop a job; rows that it has written stay."""
    with _queue() as (queue, _):
        _print(queue.cancel(job_id), as_json)


@jobs.command()
@click.argument("job_id", metavar="ID")
@click.option("--watch", is_flag=True, help="Show the job's progress until it ends.")
@json_option
def retry(job_id: str, watch: bool, as_json: bool) -> int:
    """Run an ended job again: missing images are indexed, and failed images are tried again."""
    with _queue() as (queue, _):
        job = queue.retry(job_id)
        if watch:
            return _finish(queue, job, as_json)
        _print(job, as_json)
        return 0


@jobs.command()
@click.argument("job_id", metavar="ID")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: path, code, message.")
@json_option
def failures(job_id: str, as_csv: bool, as_json: bool) -> None:
    """List the images that failed, with the reasons."""
    with _queue() as (queue, _):
        failed = queue.failures(job_id)
    if as_json:
        print_json({"failures": failed})
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerows([("path", "code", "message"), *((f.path, f.code, f.message) for f in failed)])
    else:
        _print_failures(failed)


@jobs.command()
@json_option
def workers(as_json: bool) -> None:
    """List running workers."""
    with _queue() as (queue, _):
        running = queue.workers()
    if as_json:
        print_json({"workers": running})
    elif running:
        _table(
            ("name", "model", "engine", "chunks", "images", "images/s", "since"),
            [_worker_line(worker) for worker in running],
        )
    else:
        click.echo("there are no workers: start one with `lookalike worker`", err=True)


def _finish(queue: RedisJobs, job: Job, as_json: bool) -> int:
    """Watch a job to its end and print it; return the exit status."""
    job = _watch(queue, job)
    _print(job, as_json)
    if job.failed and not as_json:
        click.echo(f"`lookalike jobs failures {job.id}` lists them", err=True)
    return {JobStatus.DONE: 0, JobStatus.DONE_WITH_FAILURES: 1}.get(job.state, 2)


def _watch(queue: RedisJobs, job: Job) -> Job:
    """Show a progress bar until a job has ended."""
    with progress_bar(job.found, job.source.rstrip("/").rpartition("/")[2]) as bar:
        while True:
            if bar.total != job.found:
                bar.total = job.found
            if job.failed or job.reason:
                notes = [f"{job.failed} failed"] if job.failed else []
                bar.set_postfix_str(", ".join([*notes, job.reason or ""]).rstrip(", "), refresh=False)
            bar.update(job.finished - bar.n)
            bar.refresh()
            if job.state.ended:
                return job
            time.sleep(WATCH_SECONDS)
            job = _get(queue, job.id)


def _get(queue: RedisJobs, job_id: str) -> Job:
    """Return a job; ask again while Redis restarts."""
    deadline = time.monotonic() + RETRY_SECONDS
    while True:
        try:
            return queue.get(job_id)
        except QueueUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(WATCH_SECONDS)


def _document(job: Job) -> dict[str, Any]:
    return asdict(job) | {"images_per_second": job.images_per_second, "seconds_left": job.seconds_left}


def _print(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(_document(job))
        return
    state = f"{job.id}: {job.state}" + (f": {job.reason}" if job.reason else "")
    counts = (
        f"{job.source} -> {job.collection}: {plural(job.found, 'image')} found, {job.indexed:,} indexed, "
        f"{job.copied:,} copied, {job.skipped:,} unchanged, {job.removed:,} removed, {job.failed:,} failed "
        f"in {job.seconds:.1f} s ({job.images_per_second:,.0f} images/s)"
    )
    click.echo(f"{state}\n{counts}" if job.seconds else state)
    if job.seconds_left:
        click.echo(f"about {math.ceil(job.seconds_left):,} s left", err=True)


def _print_failures(failed: Sequence[Failure]) -> None:
    for failure in failed:
        click.echo(f"{failure.path}: {failure.message}")
    if not failed:
        click.echo("nothing failed", err=True)


def _line(job: Job) -> tuple[str, ...]:
    numbers = (f"{job.found:,}", f"{job.finished:,}", f"{job.failed:,}", f"{job.images_per_second:,.0f}")
    return (job.id, job.state, job.source, job.collection, *numbers)


def _worker_line(worker: Worker) -> tuple[str, ...]:
    since = datetime.fromtimestamp(worker.started, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    numbers = (str(worker.concurrency), f"{worker.images:,}", f"{worker.images_per_second:,.0f}")
    return (worker.name, f"{worker.model} ({worker.fingerprint})", worker.engine, *numbers, since)


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[column]) for line in [headings, *lines]) for column in range(len(headings))]
    for line in (headings, *lines):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
