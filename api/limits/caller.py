"""The caller on whose behalf the current code runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_caller: ContextVar[str] = ContextVar("caller", default="-")


@contextmanager
def on_behalf_of(who: str) -> Iterator[None]:
    """Have what is done in this block wait in this caller's turn."""
    token = _caller.set(who)
    try:
        yield
    finally:
        _caller.reset(token)


def current_caller() -> str:
    """Return on whose behalf things are done here."""
    return _caller.get()
