"""All errors of lookalike: each has a stable code for programs and one sentence for users."""

from typing import Any


class LookalikeError(Exception):
    """Something went wrong in lookalike."""

    code = "internal"

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        """Take the sentence for the user (default: the class docstring) and the request field at fault."""
        super().__init__(message or type(self).__doc__)
        self.field = field

    @property
    def message(self) -> str:
        """The sentence for the user."""
        return str(self)

    def __reduce__(self) -> tuple[type, tuple[str], dict[str, Any]]:
        """Keep `field` and other attributes when an error crosses a process boundary."""
        return type(self), (str(self),), dict(vars(self))


class ImageError(LookalikeError):
    """The image could not be used."""

    code = "image_undecodable"


class ImageUndecodable(ImageError):
    """The file is damaged or is not an image."""


class ImageTooLarge(ImageError):
    """The image has more bytes or pixels than are allowed."""

    code = "image_too_large"


class UnsupportedFormat(ImageError):
    """The file is not in an image format that lookalike reads."""

    code = "unsupported_format"


class FileUnreadable(ImageError):
    """The file could not be read."""

    code = "file_unreadable"


class SourceUnavailable(LookalikeError):
    """The source of the images cannot be reached."""

    code = "source_unavailable"


class UrlBlocked(LookalikeError):
    """The URL is not fetched: it must be http(s), with a public host and a usual port, without a user name."""

    code = "url_blocked"


class UrlUnreachable(LookalikeError):
    """The URL's server cannot be reached or does not answer as it should in time."""

    code = "url_unreachable"

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        temporary: bool = False,
        retry_after: float | None = None,
    ) -> None:
        """Take whether another attempt may succeed, and the seconds that the server asks to wait before it."""
        super().__init__(message, field=field)
        self.temporary = temporary
        self.retry_after = retry_after


class UsageError(LookalikeError):
    """The request asks for something that is not possible."""

    code = "invalid_request"


class NotFound(LookalikeError):
    """There is nothing of that name."""

    code = "not_found"


class ModelError(LookalikeError):
    """The model cannot be used."""

    code = "model_unavailable"


class ModelMismatch(LookalikeError):
    """The collection was made with another model."""

    code = "model_mismatch"


class StoreUnavailable(LookalikeError):
    """The vector store does not answer."""

    code = "store_unavailable"


class DataDirectoryLocked(StoreUnavailable):
    """The data directory is in use by another process."""

    code = "data_directory_locked"


class DiskFull(StoreUnavailable):
    """The disk is full."""

    code = "disk_full"


class QueueUnavailable(LookalikeError):
    """The queue of jobs does not answer."""

    code = "queue_unavailable"


class Busy(LookalikeError):
    """Too many requests are waiting; try again shortly."""

    code = "busy"


class UnsupportedMediaType(UsageError):
    """The request's body is of a kind that is not taken here."""

    code = "unsupported_media_type"


class RequestTooSlow(UsageError):
    """The request did not arrive in time."""

    code = "request_timeout"


class CrossSite(UsageError):
    """A web page of another site may not change anything here."""

    code = "cross_site"


class UnknownHost(UsageError):
    """The service does not answer under this host name."""

    code = "unknown_host"


class KeyRequired(UsageError):
    """This needs an API key: send it as 'Authorization: Bearer KEY'."""

    code = "key_required"


class KeyUnknown(KeyRequired):
    """There is no such API key, or it was revoked."""

    code = "key_unknown"


class ScopeMissing(UsageError):
    """This API key may not do that."""

    code = "scope_missing"


class RateLimited(UsageError):
    """Too many requests came from this key or address."""

    code = "rate_limited"

    def __init__(self, message: str | None = None, *, field: str | None = None, retry_after: float = 1.0) -> None:
        """Take the seconds to wait before the next request."""
        super().__init__(message, field=field)
        self.retry_after = retry_after


class HeadTooLarge(UsageError):
    """The request's address and headers are larger than is allowed."""

    code = "head_too_large"


class MalformedRequest(UsageError):
    """This is not a valid HTTP request."""

    code = "malformed_request"


class IdempotencyKeyBusy(UsageError):
    """A request with this Idempotency-Key is being answered; send it again shortly."""

    code = "idempotency_key_busy"


class IdempotencyKeyReused(UsageError):
    """This Idempotency-Key came with another request before; use a new one for a new request."""

    code = "idempotency_key_reused"


class KeysUnreadable(LookalikeError):
    """The list of API keys cannot be read."""

    code = "keys_unreadable"
