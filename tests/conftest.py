"""Fixtures that tests of all kinds share; this file also puts its folder on the path, where `support` is found."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.milvus_server import milvus_uri

__all__ = ["milvus_uri", "shared_data"]

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
MARKERS = {
    "server": {"milvus_uri", "absent_milvus", "s3"},
    "browser": {"chromium", "page_stand"},
}


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark the tests whose fixtures start servers or a browser."""
    for item in items:
        for marker, fixtures in MARKERS.items():
            if fixtures & set(item.fixturenames):
                item.add_marker(marker)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Handle SIGINT, so that the processes that tests start can be interrupted.

    A shell starts its background jobs with SIGINT ignored. Children inherit that, while a handler becomes the default.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real images that lies beside the repository on machines of developers."""
    if not SHARED_DATA.is_dir():
        pytest.skip("there is no folder shared/data beside the repository")
    return SHARED_DATA
