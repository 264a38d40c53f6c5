"""Jobs that index a library: start, follow, cancel, retry, list failures."""

import asyncio
import csv
import io
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from starlette.responses import StreamingResponse

from api.current_request import current_request_id
from api.openapi.document import body, json_body, problems
from api.request_body import Limits, read_body
from api.routes.dependencies import Offset, ServiceDep, admitted
from api.routes.router import Router
from api.schemas.requests import JobRequest
from api.schemas.responses import FailuresPage, JobFailure, JobOut, JobsPage, LibrariesPage, LibraryOut
from indexer.jobs.base import Job, Jobs

router = Router(prefix="/v1", dependencies=[Depends(admitted)], tags=["jobs"])
streams = Router(prefix="/v1", tags=["jobs"])  # not counted against the request limit: a stream mostly waits

Limit = Annotated[int, Query(ge=1, le=1000, description="Maximum number of items.")]
POLL_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 15.0


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
async def start_job(request: Request, service: ServiceDep, jobs: JobsDep, response: Response) -> JobOut:
    """Start a job that indexes a library into a collection. The collection is created if it does not exist."""
    async with read_body(request, Limits(0, uploads=0)) as given:
        order = given.parse(JobRequest)
    collection = order.collection or service.settings.collection
    job = await service.run_in_thread(jobs.start, order.source, collection, order.prune)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return _out(job)


@router.get("/jobs", responses=problems(422, 503))
async def list_jobs(service: ServiceDep, jobs: JobsDep, offset: Offset = 0, limit: Limit = 100) -> JobsPage:
    """List the jobs, the newest first."""
    known = await service.run_in_thread(jobs.all)
    page = [_out(job) for job in known[offset : offset + limit]]
    return JobsPage(request_id=current_request_id(), offset=offset, limit=limit, total=len(known), jobs=page)


@router.get("/jobs/{job_id}", responses=problems(404, 422, 503))
async def get_job(service: ServiceDep, jobs: JobsDep, job_id: str) -> JobOut:
    """Return the state and progress of a job."""
    return _out(await service.run_in_thread(jobs.get, job_id))


@router.delete("/jobs/{job_id}", responses=problems(403, 404, 422, 503))
async def cancel_job(service: ServiceDep, jobs: JobsDep, job_id: str) -> JobOut:
    """Cancel a job as soon as possible. Images it has indexed stay in the collection."""
    return _out(await service.run_in_thread(jobs.cancel, job_id))


@router.post("/jobs/{job_id}/retry", status_code=202, responses=problems(403, 404, 422, 503))
async def retry_job(service: ServiceDep, jobs: JobsDep, job_id: str) -> JobOut:
    """Run an ended job again, for images that are missing or failed."""
    return _out(await service.run_in_thread(jobs.retry, job_id))


@router.get("/jobs/{job_id}/failures", responses=problems(404, 422, 503))
async def list_job_failures(
    service: ServiceDep, jobs: JobsDep, job_id: str, offset: Offset = 0, limit: Limit = 100
) -> FailuresPage:
    """List the images that failed in the last run of a job."""
    failed = await service.run_in_thread(jobs.failures, job_id)
    page = [JobFailure(**asdict(failure)) for failure in failed[offset : offset + limit]]
    return FailuresPage(request_id=current_request_id(), offset=offset, limit=limit, total=len(failed), failures=page)


@router.get("/jobs/{job_id}/failures.csv", responses=problems(404, 422, 503), response_class=Response)
async def export_job_failures(service: ServiceDep, jobs: JobsDep, job_id: str) -> Response:
    """Return all failures of the last run of a job as CSV: path, code, message."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["path", "code", "message"])
    failed = await service.run_in_thread(jobs.failures, job_id)
    writer.writerows([f.path, f.code, f.message] for f in failed)
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8")


@streams.get("/jobs/{job_id}/events", responses=problems(404, 422, 503), response_class=StreamingResponse)
async def stream_job_events(request: Request, service: ServiceDep, jobs: JobsDep, job_id: str) -> StreamingResponse:
    """Send the job as a server-sent event whenever it changes, until it ends."""
    await service.run_in_thread(jobs.get, job_id)  # raises NotFound before the stream starts

    async def stream() -> AsyncIterator[str]:
        before, sent_at = None, time.monotonic()
        while before is None or not before.state.ended:
            job = await service.run_in_thread(jobs.get, job_id)
            if job != before:
                yield f"event: job\ndata: {_out(job).model_dump_json()}\n\n"
                before, sent_at = job, time.monotonic()
            elif time.monotonic() - sent_at > KEEP_ALIVE_SECONDS:
                yield ": nothing new\n\n"  # proxies close connections that are silent for long
                sent_at = time.monotonic()
            if await request.is_disconnected() or request.app.state.stopping.is_set():
                return
            await asyncio.sleep(0 if job.state.ended else POLL_SECONDS)

    content = stream() if request.method == "GET" else ()  # HEAD must not wait for the end of the job
    return StreamingResponse(content, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@router.get("/libraries", responses=problems(422, 503))
async def list_libraries(jobs: JobsDep, offset: Offset = 0, limit: Limit = 100) -> LibrariesPage:
    """List the libraries that a job can index."""
    names = sorted(jobs.libraries)
    page = [LibraryOut(name=name) for name in names[offset : offset + limit]]
    return LibrariesPage(request_id=current_request_id(), offset=offset, limit=limit, total=len(names), libraries=page)


def _out(job: Job) -> JobOut:
    return JobOut(**asdict(job), images_per_second=job.images_per_second, seconds_left=job.seconds_left)
