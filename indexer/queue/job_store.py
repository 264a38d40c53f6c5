"""The records of jobs in Redis. They may be lost, because the collection is the record of indexed images."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import Any

from indexer.jobs.base import Job, JobStatus
from indexer.pipeline.lister import chunks
from indexer.queue import lua_scripts
from indexer.queue.chunks import Chunk, ChunkResult, FailedImage, from_text, to_text
from indexer.queue.job_specs import JobSpec
from indexer.queue.redis_connection import connect, translated_errors

RETENTION_SECONDS = 30 * 24 * 3600  # that an ended job is kept
PLANNER_SECONDS = 15  # after which a silent planner counts as gone
FAILURES_PER_RECORD = 1000
COUNTS = ("indexed", "copied", "removed", "failed")


class ReportResult(IntEnum):
    """The effect of a report: it was of an earlier round, others are awaited, or it was the last of its round."""

    STALE = 0
    AWAITING = 1
    COMPLETE = 2


@dataclass(frozen=True)
class JobState:
    """The state of a job, for workers."""

    spec: JobSpec
    state: JobStatus
    round: int
    planned: bool
    idle: float  # seconds since the last change
    attempts: int
    missing: int


class JobStore:
    """The jobs in one Redis; safe to use from several threads. Every method raises QueueUnavailable."""

    def __init__(self, url: str, prefix: str = "lookalike") -> None:
        """Connect at the first call. Raises UsageError if `url` is not an address of a Redis."""
        self.url = url
        self._redis = connect(url)
        self._prefix = prefix
        self._begin = self._redis.register_script(lua_scripts.BEGIN)
        self._set = self._redis.register_script(lua_scripts.SET)
        self._sending = self._redis.register_script(lua_scripts.SENDING)
        self._planned = self._redis.register_script(lua_scripts.PLANNED)
        self._record = self._redis.register_script(lua_scripts.RECORD)
        self._end = self._redis.register_script(lua_scripts.END)
        self._cancel = self._redis.register_script(lua_scripts.CANCEL)
        self._again = self._redis.register_script(lua_scripts.AGAIN)

    def close(self) -> None:
        """Release the connections."""
        self._redis.close()

    def ready(self) -> None:
        """Return if Redis answers."""
        with translated_errors(self.url):
            self._redis.ping()

    # for those who start jobs

    def start(self, spec: JobSpec) -> int | None:
        """Queue a job and return the round that its plan follows, None if it is queued or running already."""
        fields = {"order": spec.to_text(), "found": 0, "skipped": 0, "attempts": 0, "missing": -1}
        with translated_errors(self.url):
            round_ = int(self._again(self._keys(spec.id, "active"), [spec.id, *_pairs(fields)]))
            if round_ < 0:
                return None
            self._redis.zadd(self._key("jobs"), {spec.id: spec.created})
            self._redis.zremrangebyscore(self._key("jobs"), "-inf", spec.created - RETENTION_SECONDS)
        return round_

    def cancel(self, job_id: str) -> bool:
        """Mark a job as cancelled; return whether it had not ended yet."""
        with translated_errors(self.url):
            return bool(self._cancel(self._keys(job_id, "active"), [job_id, RETENTION_SECONDS]))

    def jobs(self) -> list[Job]:
        """Return all jobs, the newest first."""
        with translated_errors(self.url):
            return self._jobs(self._redis.zrevrange(self._key("jobs"), 0, -1))

    def job(self, job_id: str) -> Job | None:
        """Return a job as it is now, None if Redis has no record of it."""
        with translated_errors(self.url):
            jobs = self._jobs([job_id])
        return jobs[0] if jobs else None

    def spec(self, job_id: str) -> JobSpec | None:
        """Return the spec of a job, None if Redis has no record of it."""
        with translated_errors(self.url):
            text = self._redis.hget(self._key("job", job_id), "order")
        return JobSpec.from_text(text) if text else None

    def failures(self, job_id: str) -> Iterator[FailedImage]:
        """Yield the failed images, in the order of the source as far as it was indexed in order."""
        key = self._key("job", job_id, "failures")
        with translated_errors(self.url):
            names = sorted(self._redis.hkeys(key), key=_in_order)
        for name in names:
            with translated_errors(self.url):
                text = self._redis.hget(key, name)
            yield from from_text(text) if text else ()

    # for workers

    def active(self) -> list[str]:
        """Return the ids of the jobs that have not ended."""
        with translated_errors(self.url):
            return sorted(self._redis.smembers(self._key("active")))

    def job_state(self, job_id: str) -> JobState | None:
        """Return the state of a job, None if Redis has no record of it (any more)."""
        with translated_errors(self.url):
            pipe = self._redis.pipeline(transaction=True)
            pipe.hgetall(self._key("job", job_id))
            pipe.time()
            fields, now = pipe.execute()
        if "order" not in fields:
            return None
        round_ = int(fields["round"])
        return JobState(
            JobSpec.from_text(fields["order"]),
            JobStatus(fields["state"]),
            round_,
            int(fields.get("planned", 0)) == round_,
            _seconds(now) - float(fields["touched"]),
            int(fields["attempts"]),
            int(fields["missing"]),
        )

    def is_current(self, job_id: str, round_: int) -> bool:
        """Return whether a job is still in that round."""
        with translated_errors(self.url):
            state, current = self._redis.hmget(self._key("job", job_id), ["state", "round"])
        return state == JobStatus.RUNNING and current == str(round_)

    def is_done(self, chunk: Chunk) -> bool:
        """Return whether the result of a chunk is recorded."""
        with translated_errors(self.url):
            return bool(self._redis.hexists(self._key("job", chunk.job_id, "done"), chunk.name))

    def begin(self, job_id: str, after: int) -> int:
        """Begin the round after `after` and return its number; 0 if the job is not in that round (any more)."""
        with translated_errors(self.url):
            return int(self._begin(self._keys(job_id)[:2], [after]))

    def note(self, job_id: str, round_: int, **fields: float | str) -> bool:
        """Set fields; return whether the job is still in that round."""
        with translated_errors(self.url):
            return bool(self._set(self._keys(job_id)[:1], [round_, *_pairs(fields)]))

    def sending(self, job_id: str, round_: int, number: int) -> bool:
        """Count chunks before they are sent; return whether the job is still in that round."""
        with translated_errors(self.url):
            return bool(self._sending(self._keys(job_id)[:1], [round_, number]))

    def planned(self, job_id: str, round_: int) -> ReportResult:
        """Record that all chunks of a round are sent."""
        with translated_errors(self.url):
            return ReportResult(self._planned(self._keys(job_id)[:2], [round_]))

    def record(self, chunk: Chunk, result: ChunkResult, further: int = 0) -> ReportResult:
        """Record the result of a chunk, of which `further` new ones are left; only the first report counts."""
        failed = to_text(result.failed)
        arguments: list[Any] = [chunk.round, chunk.name, result.counts, failed, further]
        with translated_errors(self.url):
            return ReportResult(self._record(self._keys(chunk.job_id)[:3], arguments))

    def replace_failures(self, job_id: str, failed: Iterable[FailedImage]) -> None:
        """Replace the job's failures."""
        key = self._key("job", job_id, "failures")
        with translated_errors(self.url):
            self._redis.delete(key)
            for number, some in enumerate(chunks(failed, FAILURES_PER_RECORD)):
                self._redis.hset(key, f"{number}", to_text(some))

    def end(self, job_id: str, round_: int, state: JobStatus, **fields: float | str) -> bool:
        """End a job; return False if it is not in that round (any more)."""
        pairs = _pairs({"state": state, **fields})
        with translated_errors(self.url):
            return bool(self._end(self._keys(job_id, "active"), [round_, job_id, RETENTION_SECONDS, *pairs]))

    def hold(self, job_id: str, planner: str) -> None:
        """Record for PLANNER_SECONDS that a planner works on a job."""
        with translated_errors(self.url):
            self._redis.set(self._key("job", job_id, "planner"), planner, ex=PLANNER_SECONDS)

    def release(self, job_id: str) -> None:
        """Record that the planner has left."""
        with translated_errors(self.url):
            self._redis.delete(self._key("job", job_id, "planner"))

    def held(self, job_id: str) -> bool:
        """Return whether a planner works on a job."""
        with translated_errors(self.url):
            return bool(self._redis.exists(self._key("job", job_id, "planner")))

    def claim(self, name: str, seconds: int) -> bool:
        """Return True to one caller within `seconds`."""
        with translated_errors(self.url):
            return bool(self._redis.set(self._key("claim", name), "1", ex=seconds, nx=True))

    def waiting(self, queue: str) -> int:
        """Return the number of waiting messages in a queue."""
        with translated_errors(self.url):
            return int(self._redis.llen(queue))

    def announce(self, worker: str, fields: dict[str, float | str], seconds: int) -> None:
        """Record for `seconds` that a worker is running."""
        key = self._key("worker", worker)
        with translated_errors(self.url):
            pipe = self._redis.pipeline(transaction=True)
            pipe.hset(key, mapping=fields)
            pipe.expire(key, seconds)
            pipe.execute()

    def withdraw(self, worker: str) -> None:
        """Record that a worker has left."""
        with translated_errors(self.url):
            self._redis.delete(self._key("worker", worker))

    def workers(self) -> dict[str, dict[str, str]]:
        """Return the fields of the running workers, by name."""
        start = self._key("worker", "")
        with translated_errors(self.url):
            keys = sorted(self._redis.scan_iter(f"{start}*", count=1000))
            workers = {key.removeprefix(start): self._redis.hgetall(key) for key in keys}
        return {name: fields for name, fields in workers.items() if fields}

    def _jobs(self, ids: list[str]) -> list[Job]:
        """Return the recorded jobs in two round trips, however many there are."""
        pipe = self._redis.pipeline(transaction=False)
        for job_id in ids:
            pipe.hgetall(self._key("job", job_id))
        pipe.time()
        *records, now = pipe.execute()
        jobs = [(job_id, fields) for job_id, fields in zip(ids, records, strict=True) if "order" in fields]
        for job_id, fields in jobs:
            if "indexed" not in fields:
                pipe.hvals(self._key("job", job_id, "done"))
        done = iter(pipe.execute())
        return [_job(fields, [] if "indexed" in fields else next(done), _seconds(now)) for _, fields in jobs]

    def _keys(self, job_id: str, *shared: str) -> list[str]:
        """Return the keys of a script: job, (shared keys), done, failures."""
        own = [self._key("job", job_id, part) for part in ("done", "failures")]
        return [self._key("job", job_id), *(self._key(name) for name in shared), *own]

    def _key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))


def _pairs(fields: dict[str, Any]) -> list[Any]:
    return list(chain.from_iterable(fields.items()))


def _seconds(time: tuple[int, int]) -> float:
    """Return the time of Redis in seconds."""
    return time[0] + time[1] / 1e6


def _in_order(name: str) -> list[int]:
    """Return a sort key that puts '7.2' behind '7.1+'."""
    return [int(part) for part in name.replace("+", "").split(".")] + [name.count("+")]


def _job(fields: dict[str, str], done: list[str], now: float) -> Job:
    spec, state = JobSpec.from_text(fields["order"]), JobStatus(fields["state"])
    started, ended = (float(fields.get(name, 0)) for name in ("started", "ended"))
    until = ended or now
    counts = {name: int(fields[name]) for name in COUNTS if name in fields}
    if not counts:
        sums = [sum(column) for column in zip(*(map(int, text.split(",")) for text in done), strict=True)]
        counts = dict(zip(COUNTS, sums or [0] * len(COUNTS), strict=True))
        counts["failed"] += int(fields.get("unlistable", 0))
    return Job(
        spec.id,
        state,
        spec.source,
        spec.collection,
        spec.prune,
        found=int(fields["found"]),
        skipped=int(fields["skipped"]),
        seconds=round(until - started, 3) if started else 0.0,
        reason=fields.get("reason") or fields.get("waits"),
        **counts,
    )
