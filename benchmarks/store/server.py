"""A Milvus server to measure: that of the settings, or the one of the tests."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pymilvus import MilvusClient
from support.milvus_server import running_server

from embeddings.settings import read_settings


@contextmanager
def server() -> Iterator[tuple[str, str]]:
    """Give address and token of the server of LOOKALIKE_MILVUS_URI, or of one that runs while the context lasts."""
    settings = read_settings()
    if settings.milvus_uri:
        yield settings.milvus_uri, settings.milvus_token
        return
    with TemporaryDirectory() as folder, running_server(Path(folder)) as uri:
        yield uri, ""


def wait_for_index(client: MilvusClient, name: str, seconds: float = 3600.0) -> None:
    """Return when all rows are in the index."""
    deadline = time.monotonic() + seconds
    while client.describe_index(name, "vector")["pending_index_rows"]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the server did not index {name} within {seconds:g} seconds")
        time.sleep(0.5)
