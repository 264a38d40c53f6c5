"""Waits for what other processes do: asks again and again until it is so, and fails when that takes too long."""

import time
from collections.abc import Callable

PAUSE = 0.02  # seconds between two questions


def until(condition: Callable[[], object], seconds: float = 60.0, says: Callable[[], object] = lambda: "") -> None:
    """Return when the condition holds; after `seconds` without that fail with what `says` then says."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {says()}"
        time.sleep(PAUSE)
