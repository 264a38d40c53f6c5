"""The errors of the service as exceptions: one class for each way a program may react."""

from typing import Any


class ApiError(Exception):
    """The service refused a request; `code` is stable, the text may change."""

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
    """The service cannot be reached or did not answer in time."""


class BadRequest(ApiError):
    """The request is invalid; `field` names the invalid field."""


class KeyRefused(ApiError):
    """The API key is missing, unknown or revoked, or its scope is insufficient."""


class NotFound(ApiError):
    """There is no such image, collection, tag, job or library."""


class ImageRefused(ApiError):
    """The image is damaged, too large or in an unsupported format."""


class UrlRefused(ApiError):
    """The URL of an image is not allowed, or its server does not send the image."""


class Conflict(ApiError):
    """The collection was made with another model, or the Idempotency-Key was used for another request."""


class TryLater(ApiError):
    """The service is busy, or a dependency is unavailable; `retry_after` has the seconds to wait."""


_BY_CODE: dict[str, type[ApiError]] = {
    "key_required": KeyRefused,
    "key_unknown": KeyRefused,
    "scope_missing": KeyRefused,
    "not_found": NotFound,
    "file_unreadable": NotFound,
    "image_undecodable": ImageRefused,
    "image_too_large": ImageRefused,
    "unsupported_format": ImageRefused,
    "url_blocked": UrlRefused,
    "url_unreachable": UrlRefused,
    "model_mismatch": Conflict,
    "idempotency_key_reused": Conflict,
    "idempotency_key_busy": TryLater,
    "rate_limited": TryLater,
    "request_timeout": TryLater,
}


def error_of(problem: dict[str, Any], status: int, retry_after: float | None = None) -> ApiError:
    """Return the exception for a problem document, or for the error of one item in a batch (status 0)."""
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
