"""The id of the request that is being answered, for answers and log lines."""

import logging
from contextvars import ContextVar

request_id_var: ContextVar[str] = ContextVar("request_id", default="-")


def current_request_id() -> str:
    """Return the id of the request that is being answered, '-' outside of one."""
    return request_id_var.get()


class RequestIdFilter(logging.Filter):
    """Gives every log record the id of the request it was written in."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add `request_id`; keeps every record."""
        record.request_id = current_request_id()
        return True
