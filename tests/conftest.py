"""Fixtures that tests of all kinds share; its being here puts this folder's helpers (toy.py, ...) on the path."""

from pathlib import Path

import pytest
from support.milvus_server import milvus_uri

__all__ = ["milvus_uri", "shared_data"]

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real images that lies beside the repository on machines of developers."""
    if not SHARED_DATA.is_dir():
        pytest.skip("there is no folder shared/data beside the repository")
    return SHARED_DATA
