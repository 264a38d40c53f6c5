"""The caller of the current request, in a context variable."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_caller: ContextVar[str] = ContextVar("caller", default="-")


@contextmanager
def on_behalf_of(caller: str) -> Iterator[None]:
    """Count work within the block as this caller's."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


def current_caller() -> str:
    """Return the caller of the current request, '-' outside of a request."""
    return _caller.get()
