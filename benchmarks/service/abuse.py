"""How little others notice of abuse: their time to an answer in quiet, and while all kinds of it come at once.

    python -m benchmarks.service.abuse [--seconds 20] [--only uploads parts slow queries hammer pictures]

Starts the real service with the default model. Two honest clients, each with a key of its own, search by a photo of
theirs, four times a second; abusers come from another address (127.0.0.2): uploads of 1 GB, false lengths, forms of
10,000 parts, 500 slow connections, 5,000 queries at once, 100 connections that ask on and on, 5,000 searches by a photo
at once; each first without a key, then with a valid one. Between two kinds, the clients' time in quiet is taken again.
All share this machine's processors; abusers send with the least priority, as if that were another machine's work. What
that work alone costs the clients is told by waves of the same connections to a listener that refuses all of them, which
is part of the abusers' own process ("sent elsewhere").
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import skimage
from support.abuse import Abuser, Heard, resident, tally, temporary_files

from api.api_keys import KeyFile, Scope, new_key
from api.server.run import BACKLOG
from benchmarks.processes import SERVE, serving
from benchmarks.reporting import arguments, write_results

PHOTOS = Path(skimage.__file__).parent / "data"
PHOTO = PHOTOS / "rocket.jpg"
QUERY = json.dumps({"id": "nosuch"}).encode()
BETWEEN = 0.25
LEAST_URGENT = 19
KINDS: dict[str, Callable[[Abuser, float], list[Awaitable[Heard | list[Heard]]]]] = {
    "uploads": lambda abuser, seconds: [
        abuser.upload(1_000_000_000),
        abuser.upload_without_length(1_000_000_000),
        abuser.announce_too_much(),
        abuser.announce_too_little(),
    ],
    "parts": lambda abuser, seconds: [abuser.many_parts(10_000) for _ in range(10)],
    "slow": lambda abuser, seconds: [abuser.slow_head(2) if i % 2 else abuser.slow_body(2) for i in range(500)],
    "queries": lambda abuser, seconds: [abuser.query(QUERY) for _ in range(5000)],
    "hammer": lambda abuser, seconds: [abuser.hammer(seconds) for _ in range(100)],
    "pictures": lambda abuser, seconds: [abuser.picture(PHOTO.read_bytes()) for _ in range(5000)],
}
WAVES = ("queries", "pictures")  # of connections that nearly all are refused
REFUSAL = b'HTTP/1.1 503 Busy\r\nContent-Length: 16\r\nConnection: close\r\n\r\n{"code": "busy"}'


def main() -> None:
    """Measure and write the results."""
    asked = arguments(__doc__, seconds=20.0, only=tuple(KINDS))
    with (
        TemporaryDirectory() as folder,
        service(Path(folder)) as (address, process, keys),
        ProcessPoolExecutor(1, get_context("spawn")) as abusers,
    ):
        results = asyncio.run(measured(address, process.pid, keys, asked.seconds, asked.only, abusers))
    write_results("abuse", results)


@contextmanager
def service(data: Path, command: Sequence[str] = SERVE) -> Iterator[tuple[str, "subprocess.Popen[bytes]", list[str]]]:
    """Run `lookalike serve` and give its address, its process and three keys."""
    made = [new_key(name, Scope.WRITE) for name in ("ann", "bob", "eve")]
    for _, key in made:
        KeyFile(data).add(key)
    with serving(data, command, LOOKALIKE_TRUSTED_PROXIES="::1") as (address, process):
        yield address, process, [secret for secret, _ in made]


async def measured(
    address: str,
    pid: int,
    keys: list[str],
    seconds: float,
    kinds: list[str],
    abusers: ProcessPoolExecutor,
    elsewhere: bool = True,
) -> dict[str, Any]:
    """Return what honest clients see in quiet and under abuse, and what the abusers hear."""
    async with httpx.AsyncClient(base_url=address, timeout=60, headers=bearer(keys[0])) as http:
        for name in ("coffee.png", "chelsea.png", "rocket.jpg"):
            answer = await http.post("/v1/images", files={"file": (PHOTOS / name).read_bytes()})
            answer.raise_for_status()
    *honest_keys, abusers_key = keys
    await honest(address, honest_keys, asyncio.create_task(asyncio.sleep(3)))
    before = resident(pid)
    quiet: list[float] = []
    under_abuse: dict[str, Honest] = {}
    results: dict[str, Any] = {"seconds_between_searches_of_a_client": BETWEEN, "quiet": {}}
    for kind, key in [(kind, key) for kind in kinds for key in (None, abusers_key)]:
        quiet += (await honest(address, honest_keys, asyncio.create_task(asyncio.sleep(seconds / 2)))).taken
        abusing = asyncio.get_running_loop().run_in_executor(abusers, abuse, address, kind, seconds, key)
        name = f"{kind}, with a key" if key else kind
        under_abuse[name] = await honest(address, honest_keys, abusing)
        heard = await abusing
        results[name] = {"abusers_heard": {f"{s} {c}".strip(): n for (s, c), n in tally(heard).items()}}
        print(name, under_abuse[name].summary(), results[name], file=sys.stderr, flush=True)
    for kind in [kind for kind in WAVES if kind in kinds and elsewhere]:
        abusing = asyncio.get_running_loop().run_in_executor(abusers, abuse_elsewhere, kind, seconds)
        name = f"{kind}, sent elsewhere"
        under_abuse[name] = await honest(address, honest_keys, abusing)
        results[name] = {}
    results["quiet"] = Honest(quiet, 0).summary()
    for name, seen in under_abuse.items():
        ratio = seen.summary()["p99_ms"] / results["quiet"]["p99_ms"]
        results[name] = seen.summary() | {"times_quiet_p99": round(ratio, 2)} | results[name]
    results["memory_growth_mb"] = round((resident(pid) - before) / 1e6)
    results["temporary_files_left"] = len(temporary_files(pid))
    return results


def abuse(address: str, kind: str, seconds: float, key: str | None) -> list[Heard]:
    """Send one kind of abuse, again and again while there is time, from a process of its own."""
    os.nice(LEAST_URGENT - os.nice(0))
    return asyncio.run(waves(address, kind, seconds, key))


def abuse_elsewhere(kind: str, seconds: float) -> None:
    """Send the same to a listener in this process that refuses every connection at once."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(REFUSAL)
        await writer.drain()
        writer.close()

    async def scene() -> None:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0, backlog=BACKLOG) as server:
            host, port = server.sockets[0].getsockname()
            await waves(f"http://{host}:{port}", kind, seconds, None)

    os.nice(LEAST_URGENT - os.nice(0))
    asyncio.run(scene())


async def waves(address: str, kind: str, seconds: float, key: str | None) -> list[Heard]:
    """Send one kind of abuse again and again while there is time; return what was heard."""
    heard: list[Heard] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        abuser = Abuser(address, source="127.0.0.2", key=key)
        for one in await asyncio.gather(*KINDS[kind](abuser, seconds)):
            heard += one if isinstance(one, list) else [one]
    return heard


@dataclass(frozen=True)
class Honest:
    """What honest clients saw: seconds of each search, and how many were refused."""

    taken: list[float]
    refused: int

    def summary(self) -> dict[str, Any]:
        """Return it as it is kept."""
        p50, p99 = np.percentile(np.array(self.taken) * 1000, [50, 99])
        counts = {"searches": len(self.taken), "refused": self.refused}
        return counts | {"p50_ms": round(float(p50), 1), "p99_ms": round(float(p99), 1)}


async def honest(address: str, keys: list[str], meanwhile: "asyncio.Future[Any]") -> Honest:
    """Search now and then while something goes on; return how long it took."""
    photo = PHOTO.read_bytes()
    taken: list[float] = []
    refused: list[int] = []

    async def client(key: str) -> None:
        async with httpx.AsyncClient(base_url=address, timeout=60, headers=bearer(key)) as http:
            while not meanwhile.done():
                began = time.perf_counter()
                answer = await http.post("/v1/search", files={"file": photo})
                taken.append(time.perf_counter() - began)
                if answer.status_code != 200:
                    refused.append(answer.status_code)
                await asyncio.sleep(BETWEEN)

    await asyncio.gather(*[client(key) for key in keys])
    await meanwhile
    return Honest(taken, len(refused))


def bearer(key: str) -> dict[str, str]:
    """Return the header that brings a key."""
    return {"Authorization": f"Bearer {key}"}


if __name__ == "__main__":
    main()
