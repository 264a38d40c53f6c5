"""The id and the caller of the current request, in context variables."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

request_id_var: ContextVar[str] = ContextVar("request_id", default="-")
_caller: ContextVar[str] = ContextVar("caller", default="-")


def current_request_id() -> str:
    """Return the id of the current request, '-' outside of a request."""
    return request_id_var.get()


def current_caller() -> str:
    """Return the caller of the current request, '-' outside of a request."""
    return _caller.get()


@contextmanager
def on_behalf_of(caller: str) -> Iterator[None]:
    """Count work within the block as this caller's."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


class RequestIdFilter(logging.Filter):
    """Adds the id of the current request to every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add `request_id`; keeps every record."""
        record.request_id = current_request_id()
        return True
