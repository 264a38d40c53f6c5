"""Errors as problem documents (RFC 9457): one table says which error has which status, title and public text."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from api.request_id import current_request_id
from embeddings import errors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProblemType:
    """How one class of error is answered; `public` replaces its own text where that is for the operator alone."""

    status: int
    title: str
    public: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


_SOON = {"Retry-After": "1"}
_LATER = {"Retry-After": "5"}
_BEARER = {"WWW-Authenticate": "Bearer"}

PROBLEMS: dict[type[errors.LookalikeError], ProblemType] = {
    errors.LookalikeError: ProblemType(500, "Internal error", "Something went wrong; the log has the reason."),
    errors.ImageError: ProblemType(422, "Image unusable"),
    errors.ImageUndecodable: ProblemType(422, "Image undecodable"),
    errors.ImageTooLarge: ProblemType(413, "Image too large"),
    errors.UnsupportedFormat: ProblemType(415, "Unsupported image format"),
    errors.FileUnreadable: ProblemType(404, "File unreadable", "The picture's file cannot be read."),
    errors.SourceUnavailable: ProblemType(
        503, "Source unavailable", "The source of the pictures cannot be reached; the log has the reason.", _LATER
    ),
    # 4xx: it is the caller who chose the URL
    errors.UrlBlocked: ProblemType(422, "URL not fetched"),
    errors.UrlUnreachable: ProblemType(422, "URL unreachable"),
    errors.UsageError: ProblemType(422, "Invalid request"),
    errors.UnsupportedMediaType: ProblemType(415, "Unsupported media type"),
    errors.RequestTooSlow: ProblemType(408, "Request timeout", headers={"Connection": "close"}),
    errors.CrossSite: ProblemType(403, "Cross-site request refused"),
    errors.UnknownHost: ProblemType(421, "Unknown host name"),
    errors.KeyRequired: ProblemType(401, "API key required", headers=_BEARER),
    errors.KeyUnknown: ProblemType(
        401, "Unknown API key", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
    ),
    errors.ScopeMissing: ProblemType(
        403, "Not allowed", headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
    ),
    errors.RateLimited: ProblemType(429, "Too many requests"),
    errors.HeadTooLarge: ProblemType(431, "Address or headers too large"),
    errors.MalformedRequest: ProblemType(400, "Malformed request"),
    errors.IdempotencyKeyBusy: ProblemType(409, "Still being answered", headers=_SOON),
    errors.IdempotencyKeyReused: ProblemType(422, "Idempotency-Key used before"),
    errors.KeysUnreadable: ProblemType(
        503, "Keys unreadable", "Nobody is let in at the moment; the log has the reason."
    ),
    errors.NotFound: ProblemType(404, "Not found"),
    errors.ModelMismatch: ProblemType(409, "Another model's collection"),
    errors.ModelError: ProblemType(503, "Model unavailable", "The model cannot be used; the log has the reason."),
    errors.Busy: ProblemType(503, "Busy", headers=_SOON),
    errors.StoreUnavailable: ProblemType(
        503, "Store unavailable", "The vector store does not answer; try again shortly.", _LATER
    ),
    errors.QueueUnavailable: ProblemType(
        503, "Queue unavailable", "The queue of jobs does not answer; try again shortly.", _LATER
    ),
    errors.DataDirectoryLocked: ProblemType(
        503, "Data directory locked", "The data directory is in use by another process; stop that one first.", _LATER
    ),
    errors.DiskFull: ProblemType(
        507, "Disk full", "The disk of the data directory is full; nothing was changed. Free some space and try again."
    ),
}

_FORESEEN = (errors.Busy, errors.StoreUnavailable, errors.QueueUnavailable)  # their sentence says it all

_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "image_too_large", 415: "unsupported_media_type"}


@dataclass(frozen=True)
class Fault:
    """What is wrong with one field of a request."""

    field: str
    message: str


def problem_type(error: errors.LookalikeError) -> ProblemType:
    """Return the table's line for an error: its own, or that of its nearest base class."""
    return next(PROBLEMS[cls] for cls in type(error).__mro__ if cls in PROBLEMS)


def public_text(error: errors.LookalikeError) -> str:
    """Return the sentence that a client is shown."""
    return problem_type(error).public or error.message


def problem(problem_type: ProblemType, code: str, detail: str, faults: Sequence[Fault] = ()) -> JSONResponse:
    """Return a problem document; `field` is that of the first fault."""
    body: dict[str, Any] = {
        "type": f"urn:lookalike:problem:{code}",
        "title": problem_type.title,
        "status": problem_type.status,
        "detail": detail,
        "code": code,
    }
    if faults:
        body["field"] = faults[0].field
    if len(faults) > 1:
        body["errors"] = [{"field": fault.field, "message": fault.message} for fault in faults]
    body["request_id"] = current_request_id()
    return JSONResponse(body, problem_type.status, problem_type.headers, media_type="application/problem+json")


def problem_of(error: errors.LookalikeError) -> JSONResponse:
    """Return the problem document of one of our errors; those of the service itself are logged in full."""
    type_ = problem_type(error)
    if type_.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("%s: %s", error.code, error.message, exc_info=None if isinstance(error, _FORESEEN) else error)
    faults = [Fault(error.field, error.message)] if error.field else []
    answer = problem(type_, error.code, public_text(error), faults)
    if isinstance(error, errors.RateLimited):
        answer.headers["Retry-After"] = str(math.ceil(error.retry_after))
    return answer


def internal_problem() -> JSONResponse:
    """Return the problem document of an error that nobody foresaw."""
    error = errors.LookalikeError
    return problem(PROBLEMS[error], error.code, str(PROBLEMS[error].public))


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""
    app.add_exception_handler(errors.LookalikeError, _on_own_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)


async def _on_own_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.LookalikeError)
    return problem_of(error)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = faults_of(error.errors())
    detail = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
    return problem(PROBLEMS[errors.UsageError], errors.UsageError.code, detail, faults)


def faults_of(found: Sequence[Any]) -> list[Fault]:
    """Return what pydantic found wrong, in words for whoever sent it."""
    return [Fault(_field(e["loc"]), str(e["msg"]).removeprefix("Value error, ")) for e in found]


def _field(location: Sequence[Any]) -> str:
    """Return the name of the request's field: ('query', 'limit') -> limit, ('body', 'box', 2) -> box."""
    names = [str(part) for part in location if part not in ("body", "query", "path", "header")]
    return names[0] if names else "body"


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer what the router itself refuses."""
    assert isinstance(error, HTTPException)
    code = _HTTP_CODES.get(error.status_code, errors.UsageError.code)
    detail = {404: "There is nothing at this address.", 405: "This address does not take this method."}
    problem_type = ProblemType(
        error.status_code, HTTPStatus(error.status_code).phrase, headers=dict(error.headers or {})
    )
    return problem(problem_type, code, detail.get(error.status_code, str(error.detail)))
