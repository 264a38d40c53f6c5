"""Routes of duplicates: groups with evidence, decisions about them, and scans."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response
from starlette.responses import StreamingResponse

from api.current_request import current_request_id
from api.errors import public_text
from api.openapi.document import body, json_body, problems
from api.request_body import Limits, read_body
from api.routes.dependencies import CollectionDep, Offset, ServiceDep, admitted
from api.routes.router import Router
from api.schemas.duplicates import (
    DecisionOut,
    DecisionRequest,
    DecisionsPage,
    GroupOut,
    GroupsExport,
    GroupsPage,
    ScanOut,
    Totals,
)
from api.schemas.serialize_duplicates import csv_lines, decision_document, group_documents, json_parts
from duplicates.background_scan import Scan, Scans
from duplicates.decisions import Action
from duplicates.evidence import Kind
from duplicates.review import Review

router = Router(prefix="/v1", dependencies=[Depends(admitted)], tags=["duplicates"])

CSV = "text/csv; charset=utf-8"


async def _scans(request: Request) -> Scans:
    scans: Scans = request.app.state.scans
    return scans


ScansDep = Annotated[Scans, Depends(_scans)]
KindQuery = Annotated[Kind | None, Query(description="Only groups of this kind.")]
KeptQuery = Annotated[bool, Query(description="Include groups of which a decision keeps all images.")]
GroupId = Annotated[str, Path(max_length=64, description="The id of a group.")]


@router.get(
    "/duplicates",
    responses=problems(404, 422, 503, 507),
)
async def list_duplicates(
    service: ServiceDep,
    scans: ScansDep,
    collection: CollectionDep,
    kind: KindQuery = None,
    kept: KeptQuery = False,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=100, description="Maximum number of groups.")] = 20,
) -> GroupsPage:
    """Return groups of images: with the same bytes (`exact`), copies of one image (`near`), look-alikes (`similar`).

    The first request starts a scan in the background. `scan` has its progress, and the answer has the groups found so
    far. From a minute after the end of a scan, the next request starts another one for new, changed and removed images.
    """
    scan = await service.run_in_thread(scans.freshen, collection)
    review = await service.run_in_thread(scans.review, collection)
    groups = review.groups(kind, kept)
    page = groups[offset : offset + limit]
    documents = await service.run_in_thread(lambda: list(group_documents(review, page, collection)))
    return GroupsPage(
        request_id=current_request_id(),
        offset=offset,
        limit=limit,
        total=len(groups),
        totals=_totals(review, kept),
        scan=_scan(scan, review),
        groups=documents,
    )


@router.get(
    "/duplicates.csv",
    responses={200: {"content": {"text/csv": {}}}, **problems(404, 422, 503, 507)},
    response_class=StreamingResponse,
)
async def export_duplicates_csv(
    service: ServiceDep, scans: ScansDep, collection: CollectionDep, kind: KindQuery = None, kept: KeptQuery = False
) -> StreamingResponse:
    """Return all groups found so far as CSV, one line per image."""
    groups = await _all(service, scans, collection, kind, kept)
    return StreamingResponse(csv_lines(groups), media_type=CSV, headers=_named(f"{collection}-duplicates.csv"))


@router.get(
    "/duplicates.json",
    response_model=GroupsExport,
    responses=problems(404, 422, 503, 507),
)
async def export_duplicates_json(
    service: ServiceDep, scans: ScansDep, collection: CollectionDep, kind: KindQuery = None, kept: KeptQuery = False
) -> StreamingResponse:
    """Return all groups found so far as one JSON document."""
    groups = await _all(service, scans, collection, kind, kept)
    headers = _named(f"{collection}-duplicates.json")
    return StreamingResponse(json_parts(groups), media_type="application/json", headers=headers)


@router.post("/duplicates/scan", status_code=202, responses=problems(403, 404, 422, 503, 507))
async def start_duplicate_scan(service: ServiceDep, scans: ScansDep, collection: CollectionDep) -> ScanOut:
    """Start a scan for duplicates, which continues where an earlier one stopped."""
    scan = await service.run_in_thread(scans.start, collection)
    return _scan(scan, await service.run_in_thread(scans.review, collection))


@router.delete("/duplicates/scan", responses=problems(403, 404, 422, 503, 507))
async def stop_duplicate_scan(service: ServiceDep, scans: ScansDep, collection: CollectionDep) -> ScanOut:
    """Stop the scan for duplicates until it is started again; its results stay."""
    review = await service.run_in_thread(scans.review, collection)
    return _scan(scans.stop(collection), review)


@router.get("/duplicates/decisions", responses=problems(404, 422, 503, 507))
async def list_duplicate_decisions(
    service: ServiceDep,
    scans: ScansDep,
    collection: CollectionDep,
    offset: Offset = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of decisions.")] = 100,
) -> DecisionsPage:
    """Return the decisions about groups, latest first."""
    stored = await service.run_in_thread(scans.decisions, collection)
    page = [decision_document(decision) for decision in stored[offset : offset + limit]]
    return DecisionsPage(request_id=current_request_id(), offset=offset, limit=limit, total=len(stored), decisions=page)


@router.post(
    "/duplicates/{id}",
    responses=problems(403, 404, 413, 415, 422, 503, 507),
    openapi_extra=body(json_body(DecisionRequest, {"decision": "keep_all", "collection": "photos"})),
)
async def decide_duplicate_group(request: Request, service: ServiceDep, scans: ScansDep, id: GroupId) -> DecisionOut:
    """Store a decision about a group: `keep_all` hides it, `not_duplicates` never groups its images again.

    The decision holds for the contents of the images, so it survives renamed files and another indexing. No file or row
    is changed.
    """
    async with read_body(request, Limits(0, uploads=0)) as given:
        asked = given.parse(DecisionRequest)
    collection = asked.collection or service.settings.collection
    return decision_document(await service.run_exclusive(scans.decide, collection, id, Action(asked.decision)))


@router.delete("/duplicates/{id}/decision", status_code=204, responses=problems(403, 404, 422, 503, 507))
async def delete_duplicate_decision(
    service: ServiceDep, scans: ScansDep, collection: CollectionDep, id: GroupId
) -> Response:
    """Delete the decision about a group."""
    await service.run_exclusive(scans.undo, collection, id)
    return Response(status_code=204)


async def _all(service: ServiceDep, scans: Scans, collection: str, kind: Kind | None, kept: bool) -> Iterator[GroupOut]:
    review = await service.run_in_thread(scans.review, collection)
    return group_documents(review, review.groups(kind, kept), collection)


def _named(file: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{file}"'}


def _totals(review: Review, kept: bool) -> Totals:
    return Totals(**{kind.value: len(review.groups(kind, kept)) for kind in Kind})


def _scan(scan: Scan, review: Review) -> ScanOut:
    return ScanOut(
        state=scan.state,
        stage=scan.progress.stage,
        scanned=scan.progress.done,
        total=scan.progress.total,
        complete_at=review.complete_at,
        reason=public_text(scan.error) if scan.error else None,
    )
