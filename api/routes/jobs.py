"""Jobs: index a library, watch how far it is, cancel, retry, see what failed."""

import asyncio
import csv
import io
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse

from api.openapi.document import body, json_body, problems
from api.request_body import Limits, read_body
from api.request_id import current_request_id
from api.routes.dependencies import Offset, ServiceDep, admitted
from api.schemas.requests import JobRequest
from api.schemas.responses import FailuresPage, JobFailure, JobOut, JobsPage, LibrariesPage, LibraryOut
from indexer.jobs.base import Job, Jobs

router = APIRouter(prefix="/v1", dependencies=[Depends(admitted)], tags=["jobs"])
streams = APIRouter(prefix="/v1", tags=["jobs"])  # a watcher holds no place: it waits, and does not work

Limit = Annotated[int, Query(ge=1, le=1000, description="Items at most.")]
SECONDS_BETWEEN_EVENTS = 0.5
SECONDS_OF_SILENCE = 15.0


async def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


JobsDep = Annotated[Jobs, Depends(_jobs)]


@router.post(
    "/jobs",
    status_code=202,
    responses=problems(403, 404, 413, 415, 422, 503),
    openapi_extra=body(json_body(JobRequest, {"source": "holidays", "collection": "photos"})),
)
async def start(request: Request, service: ServiceDep, jobs: JobsDep, response: Response) -> JobOut:
    """Index a library into a collection, which is made if it is not there."""
    async with read_body(request, Limits(0, pictures=0)) as body_given:
        given = body_given.parse(JobRequest)
    collection = given.collection or service.settings.collection
    job = await service.run_in_thread(jobs.start, given.source, collection, given.prune)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return _out(job)


@router.get("/jobs", responses=problems(422, 503))
async def listed(service: ServiceDep, jobs: JobsDep, offset: Offset = 0, limit: Limit = 100) -> JobsPage:
    """List the jobs, the newest first."""
    known = await service.run_in_thread(jobs.all)
    page = [_out(job) for job in known[offset : offset + limit]]
    return JobsPage(request_id=current_request_id(), offset=offset, limit=limit, total=len(known), jobs=page)


@router.get("/jobs/{job_id}", responses=problems(404, 422, 503))
async def one(service: ServiceDep, jobs: JobsDep, job_id: str) -> JobOut:
    """Tell how far a job is."""
    return _out(await service.run_in_thread(jobs.get, job_id))


@router.delete("/jobs/{job_id}", responses=problems(403, 404, 422, 503))
async def cancel(service: ServiceDep, jobs: JobsDep, job_id: str) -> JobOut:
    """Cancel a job as soon as can be; what it has written stays."""
    return _out(await service.run_in_thread(jobs.cancel, job_id))


@router.post("/jobs/{job_id}/retry", status_code=202, responses=problems(403, 404, 422, 503))
async def retry(service: ServiceDep, jobs: JobsDep, job_id: str) -> JobOut:
    """Run an ended job again: it takes up what is missing, and tries again what failed."""
    return _out(await service.run_in_thread(jobs.retry, job_id))


@router.get("/jobs/{job_id}/failures", responses=problems(404, 422, 503))
async def failures(
    service: ServiceDep, jobs: JobsDep, job_id: str, offset: Offset = 0, limit: Limit = 100
) -> FailuresPage:
    """List the images that failed in the job's last run."""
    failed = await service.run_in_thread(jobs.failures, job_id)
    page = [JobFailure(**asdict(failure)) for failure in failed[offset : offset + limit]]
    return FailuresPage(request_id=current_request_id(), offset=offset, limit=limit, total=len(failed), failures=page)


@router.get("/jobs/{job_id}/failures.csv", responses=problems(404, 422, 503), response_class=Response)
async def failures_csv(service: ServiceDep, jobs: JobsDep, job_id: str) -> Response:
    """Give all failures of the job's last run as CSV: path, code, message."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["path", "code", "message"])
    failed = await service.run_in_thread(jobs.failures, job_id)
    writer.writerows([f.path, f.code, f.message] for f in failed)
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8")


@streams.get("/jobs/{job_id}/events", responses=problems(404, 422, 503), response_class=StreamingResponse)
async def events(request: Request, service: ServiceDep, jobs: JobsDep, job_id: str) -> StreamingResponse:
    """Send the job as a server-sent event whenever it changed, until it has ended."""
    await service.run_in_thread(jobs.get, job_id)  # a problem document while there still can be one

    async def stream() -> AsyncIterator[str]:
        before, said = None, time.monotonic()
        while before is None or not before.state.ended:
            job = await service.run_in_thread(jobs.get, job_id)
            if job != before:
                yield f"event: job\ndata: {_out(job).model_dump_json()}\n\n"
                before, said = job, time.monotonic()
            elif time.monotonic() - said > SECONDS_OF_SILENCE:
                yield ": nothing new\n\n"  # proxies close what is silent for long
                said = time.monotonic()
            if await request.is_disconnected() or request.app.state.stopping.is_set():
                return
            await asyncio.sleep(0 if job.state.ended else SECONDS_BETWEEN_EVENTS)

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@router.get("/libraries", responses=problems(422, 503))
async def libraries(jobs: JobsDep, offset: Offset = 0, limit: Limit = 100) -> LibrariesPage:
    """List the names that a job's source may have."""
    names = sorted(jobs.libraries)
    page = [LibraryOut(name=name) for name in names[offset : offset + limit]]
    return LibrariesPage(request_id=current_request_id(), offset=offset, limit=limit, total=len(names), libraries=page)


def _out(job: Job) -> JobOut:
    return JobOut(**asdict(job), images_per_second=job.images_per_second, seconds_left=job.seconds_left)
