"""The real server conforms to its OpenAPI document, tested by Schemathesis with valid and invalid requests."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from support.running import Server, running
from support.toy import ToyEmbedder, picture

from api.app import create_app
from embeddings.settings import Settings
from indexer.jobs.base import Libraries
from indexer.jobs.local import LocalJobs
from store.testing import MemoryStore

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
QUICKLY = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def document() -> dict:
    """Return the OpenAPI document; nothing is served for it."""
    with TemporaryDirectory() as folder, ToyEmbedder() as embedder, MemoryStore() as store:
        given = Settings(data=Path(folder))
        with LocalJobs(store, embedder, Libraries({}), given.data / "jobs", given.max_bytes) as jobs:
            return create_app(given, embedder, store, jobs).openapi()


schema = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("data")
    with running(data, "rate_limit=0") as server:
        httpx.post(f"{server.address}/v1/images", files={"file": picture("red")}, data={"id": "cat-1"})
        yield server


def check(case: schemathesis.Case, server: Server) -> None:
    case.call_and_validate(base_url=server.address, checks=CHECKS, timeout=30)


@schema.parametrize()
@settings(max_examples=4, derandomize=True, phases=[Phase.explicit, Phase.generate], **QUICKLY)
def test_the_document_keeps_its_word(case: schemathesis.Case, server: Server) -> None:
    check(case, server)


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=300, **QUICKLY)
def test_the_document_keeps_its_word_at_length(case: schemathesis.Case, server: Server) -> None:
    check(case, server)
