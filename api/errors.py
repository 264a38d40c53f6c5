"""Turns errors into problem documents (RFC 9457); one table has the status, title and public text of each error."""

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

from api.current_request import current_request_id
from embeddings import errors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProblemType:
    """The answer to one class of error; `public` replaces an error text that only the operator may see."""

    status: int
    title: str
    public: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


MAX_FAULTS = 10  # of one request that are told

_SOON = {"Retry-After": "1"}
_LATER = {"Retry-After": "5"}
_BEARER = {"WWW-Authenticate": "Bearer"}

PROBLEMS: dict[type[errors.LookalikeError], ProblemType] = {
    errors.LookalikeError: ProblemType(
        500, "Internal error", "An internal error occurred; see the log for the reason."
    ),
    errors.ImageError: ProblemType(422, "Image cannot be used"),
    errors.ImageUndecodable: ProblemType(422, "Image cannot be decoded"),
    errors.ImageTooLarge: ProblemType(413, "Image too large"),
    errors.UnsupportedFormat: ProblemType(415, "Unsupported image format"),
    errors.FileUnreadable: ProblemType(404, "File cannot be read", "The image file cannot be read."),
    errors.SourceUnavailable: ProblemType(
        503, "Source unavailable", "The image source cannot be reached; see the log for the reason.", _LATER
    ),
    # 4xx, because the caller chose the URL
    errors.UrlBlocked: ProblemType(422, "URL not allowed"),
    errors.UrlUnreachable: ProblemType(422, "URL cannot be fetched"),
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
        403, "Insufficient scope", headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
    ),
    errors.RateLimited: ProblemType(429, "Too many requests"),
    errors.HeadTooLarge: ProblemType(431, "Request URL or headers too large"),
    errors.MalformedRequest: ProblemType(400, "Malformed request"),
    errors.IdempotencyKeyBusy: ProblemType(409, "Request already in progress", headers=_SOON),
    errors.IdempotencyKeyReused: ProblemType(422, "Idempotency-Key already used"),
    errors.KeysUnreadable: ProblemType(
        503, "API keys cannot be read", "No API key can be checked at the moment; see the log for the reason."
    ),
    errors.NotFound: ProblemType(404, "Not found"),
    errors.ModelMismatch: ProblemType(409, "Collection of another model"),
    errors.ModelError: ProblemType(503, "Model unavailable", "The model cannot be used; see the log for the reason."),
    errors.Busy: ProblemType(503, "Busy", headers=_SOON),
    errors.StoreUnavailable: ProblemType(
        503, "Store unavailable", "The vector store does not answer; try again shortly.", _LATER
    ),
    errors.QueueUnavailable: ProblemType(
        503, "Queue unavailable", "The job queue does not answer; try again shortly.", _LATER
    ),
    errors.DataDirectoryLocked: ProblemType(
        503, "Data directory locked", "Another process uses the data directory; stop that process first.", _LATER
    ),
    errors.DiskFull: ProblemType(
        507, "Disk full", "The disk of the data directory is full; nothing was changed. Free some space and try again."
    ),
}

_WITHOUT_TRACEBACK = (errors.Busy, errors.StoreUnavailable, errors.QueueUnavailable)  # the message is enough

_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "image_too_large", 415: "unsupported_media_type"}


@dataclass(frozen=True)
class Fault:
    """An error in one field of a request."""

    field: str
    message: str


def problem_type(error: errors.LookalikeError) -> ProblemType:
    """Return the table entry of an error, or of its nearest base class."""
    return next(PROBLEMS[cls] for cls in type(error).__mro__ if cls in PROBLEMS)


def public_text(error: errors.LookalikeError) -> str:
    """Return the text that clients may see."""
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
    """Return the problem document of a LookalikeError; server errors are also logged in full."""
    type_ = problem_type(error)
    if type_.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error(
            "%s: %s", error.code, error.message, exc_info=None if isinstance(error, _WITHOUT_TRACEBACK) else error
        )
    faults = [Fault(error.field, error.message)] if error.field else []
    answer = problem(type_, error.code, public_text(error), faults)
    if isinstance(error, errors.RateLimited):
        answer.headers["Retry-After"] = str(math.ceil(error.retry_after))
    return answer


def internal_problem() -> JSONResponse:
    """Return the problem document of an unexpected error."""
    error = errors.LookalikeError
    return problem(PROBLEMS[error], error.code, str(PROBLEMS[error].public))


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem document."""
    app.add_exception_handler(errors.LookalikeError, _on_lookalike_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)


async def _on_lookalike_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.LookalikeError)
    return problem_of(error)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = faults_of(error.errors())
    detail = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
    return problem(PROBLEMS[errors.UsageError], errors.UsageError.code, detail, faults)


def faults_of(details: Sequence[Any]) -> list[Fault]:
    """Return pydantic's first error details as faults."""
    return [Fault(_field(e["loc"]), str(e["msg"]).removeprefix("Value error, ")) for e in details[:MAX_FAULTS]]


def _field(location: Sequence[Any]) -> str:
    """Return the name of the request's field: ('query', 'limit') -> limit, ('body', 'box', 2) -> box."""
    names = [str(part) for part in location if part not in ("body", "query", "path", "header")]
    return names[0] if names else "body"


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer the errors of the router itself."""
    assert isinstance(error, HTTPException)
    code = _HTTP_CODES.get(error.status_code, errors.UsageError.code)
    detail = {404: "There is no such path.", 405: "This path does not support this method."}
    problem_type = ProblemType(
        error.status_code, HTTPStatus(error.status_code).phrase, headers=dict(error.headers or {})
    )
    return problem(problem_type, code, detail.get(error.status_code, str(error.detail)))
