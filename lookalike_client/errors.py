"""What the service may refuse, as exceptions: one class for each thing a program may want to do about it."""

from typing import Any


class ApiError(Exception):
    """The service refused a request; `code` is stable, the text is for people."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        status: int = 0,
        field: str | None = None,
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.field = field
        self.request_id = request_id
        self.retry_after = retry_after


class NoAnswer(ApiError):
    """The service cannot be reached, or did not answer in time."""


class BadRequest(ApiError):
    """The request makes no sense; `field` says where."""


class KeyRefused(ApiError):
    """The API key is missing, unknown, revoked, or does not allow this."""


class NotFound(ApiError):
    """There is no such picture, collection, tag, job or library."""


class PictureRefused(ApiError):
    """The picture is damaged, too large, or in a format that is not read."""


class UrlRefused(ApiError):
    """The picture's URL is not fetched, or its server does not give it."""


class Conflict(ApiError):
    """The collection is of another model, or the Idempotency-Key is another request's."""


class TryLater(ApiError):
    """The service is busy, or something it needs is away; `retry_after` has the seconds to wait."""


_BY_CODE: dict[str, type[ApiError]] = {
    "key_required": KeyRefused,
    "key_unknown": KeyRefused,
    "scope_missing": KeyRefused,
    "not_found": NotFound,
    "file_unreadable": NotFound,
    "image_undecodable": PictureRefused,
    "image_too_large": PictureRefused,
    "unsupported_format": PictureRefused,
    "url_blocked": UrlRefused,
    "url_unreachable": UrlRefused,
    "model_mismatch": Conflict,
    "idempotency_key_reused": Conflict,
    "idempotency_key_busy": TryLater,
    "rate_limited": TryLater,
    "request_timeout": TryLater,
}


def error_of(problem: dict[str, Any], status: int, retry_after: float | None = None) -> ApiError:
    """Return the exception of a problem document, or of the error of one item of several (status 0)."""
    code = str(problem.get("code", ""))
    kind = _BY_CODE.get(code) or (TryLater if status == 503 or code == "busy" else None)
    if kind is None:
        kind = BadRequest if status < 500 else ApiError
    return kind(
        str(problem.get("detail") or problem.get("message") or f"the service answered {status}"),
        code=code,
        status=status,
        field=problem.get("field"),
        request_id=str(problem.get("request_id", "")),
        retry_after=retry_after,
    )
