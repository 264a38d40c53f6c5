"""The id of the current request, for answers and log lines."""

import logging
from contextvars import ContextVar

request_id_var: ContextVar[str] = ContextVar("request_id", default="-")


def current_request_id() -> str:
    """Return the id of the current request, '-' outside of a request."""
    return request_id_var.get()


class RequestIdFilter(logging.Filter):
    """Adds the id of the current request to every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add `request_id`; keeps every record."""
        record.request_id = current_request_id()
        return True
