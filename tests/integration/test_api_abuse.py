"""Abuse of the real service: it stays up, says no in words, and keeps neither memory nor files of it."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from support.abuse import Abuser, Heard, resident, tally, temporary_files
from support.running import Server, running
from support.toy import picture
from support.waiting import until

QUERY = json.dumps({"id": "red", "limit": 1}).encode()


def abused(server: Server, size: int, parts: int, slow: int, queries: int) -> list[Heard]:
    """Do all at once; return what the abusers heard."""
    abuser = Abuser(server.address)

    async def scene() -> list[Heard]:
        return await asyncio.gather(
            abuser.upload(size),
            abuser.upload_without_length(size),
            abuser.announce_too_much(),
            abuser.announce_too_little(),
            abuser.many_parts(parts),
            *[abuser.slow_head(0.2) if i % 2 else abuser.slow_body(0.2) for i in range(slow)],
            *[abuser.query(QUERY) for _ in range(queries)],
        )

    return asyncio.run(scene())


def check(server: Server, size: int, parts: int, slow: int, queries: int) -> None:
    httpx.post(f"{server.address}/v1/images", files={"file": picture("red")}, data={"id": "red"})
    abused(server, size, parts, slow, queries)  # what is kept for good, buffers and the like, is there after this
    before = resident(server.process.pid)
    heard = abused(server, size, parts, slow, queries)
    codes = tally(heard[:5])
    assert codes[413, "image_too_large"] == 2, codes
    assert codes[408, "request_timeout"] == 1 and codes[422, "invalid_request"] == 2, codes
    answers = tally(heard[5 + slow :])
    assert sum(answers.values()) == queries == answers[200, ""] + answers[503, "busy"], answers
    assert answers[200, ""] > 0
    assert set(tally(heard[5 : 5 + slow])) <= {(408, "request_timeout"), (503, "busy")}
    assert temporary_files(server.process.pid) == []
    growth = resident(server.process.pid) - before
    assert growth < 32_000_000, f"{growth:,} bytes more than after the first time"
    found = httpx.post(f"{server.address}/v1/search", files={"file": picture("red")}).json()["results"]
    assert [result["id"] for result in found] == ["red"]
    assert "lookalike_requests_in_flight 0.0" in httpx.get(f"{server.address}/metrics").text


def test_abuse(tmp_path: Path) -> None:
    with running(tmp_path, "impatient") as server:
        check(server, size=20_000_000, parts=1000, slow=20, queries=300)


@pytest.mark.slow
def test_abuse_at_length(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        check(server, size=1_000_000_000, parts=10_000, slow=500, queries=5000)


@pytest.mark.slow
def test_more_connections_than_are_served(tmp_path: Path) -> None:
    """The real limits: a thousand silent connections are held, further ones hear so, and later all is as before."""
    with running(tmp_path) as server:
        silent = [server.connect() for _ in range(1024)]
        refused = httpx.get(f"{server.address}/health")
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
        for client in silent:
            with client, client.makefile("rb") as answer:
                assert answer.readline() == b"HTTP/1.1 408 Request Timeout\r\n", "told when no request came"
        until(lambda: httpx.get(f"{server.address}/health").status_code == 200, 10)
