"""What each gate on a request is worth: others' time to an answer under abuse, with every gate and without one of them.

    python -m benchmarks.service.gates [--seconds 8] [--rounds 2] [--only pacer,shares] [--kinds queries,hammer]

Each round starts the real service anew for every variant, in turn, and sends it the kinds of abuse of
`python -m benchmarks.service.abuse`, without a key and with one. `all` is the service as it is; every other variant has
one gate taken out, or replaced by the plain form of it.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from api.limits.concurrency import ConcurrencyLimit, PerCallerLimit
from api.limits.fair_scheduling import RequestPacer
from api.server.connection import ConnectionCounter
from api.services import service as service_module
from benchmarks.common import fresh
from benchmarks.reporting import write_results
from benchmarks.service.abuse import measured, service
from lookalike import main as command

KINDS = "queries,hammer,pictures"


class PlainSemaphore:
    """asyncio's semaphore, with the interface of FairSemaphore; 0 places: no bound."""

    def __init__(self, places: int) -> None:
        self._semaphore = asyncio.Semaphore(places or 1_000_000)

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[None]:
        """Hold a place."""
        async with self._semaphore:
            yield

    async def enter(self) -> Callable[[], None]:
        """Wait for a place and return the call that releases it."""
        await self._semaphore.acquire()
        return self._semaphore.release


def without_listener() -> None:
    """Let every connection in."""
    ConnectionCounter.full = lambda self, address: False  # type: ignore[method-assign]


def without_pacer() -> None:
    """Begin requests as they come."""

    async def at_once(self: RequestPacer) -> None:
        return None

    RequestPacer.wait_turn = at_once  # type: ignore[method-assign]


def without_shares() -> None:
    """Let one caller have every place of the service."""
    PerCallerLimit.full = lambda self, who: False  # type: ignore[method-assign]


def without_places() -> None:
    """Let any number of requests wait."""
    init = ConcurrencyLimit.__init__
    ConcurrencyLimit.__init__ = lambda self, limit: init(self, 1_000_000)  # type: ignore[method-assign]


def with_decoding(places: Callable[[int], int]) -> Callable[[], None]:
    """Return what replaces the fair semaphore of decoding by a plain one of `places(size)`; 0: no bound."""

    def patch() -> None:
        service_module.FairSemaphore = lambda size: PlainSemaphore(places(size))  # type: ignore[misc,assignment]

    return patch


VARIANTS: dict[str, Callable[[], None]] = {
    "all": lambda: None,
    "listener": without_listener,
    "pacer": without_pacer,
    "shares": without_shares,
    "places": without_places,
    "decode_slots": with_decoding(lambda size: 0),
    "decode_slots_plain": with_decoding(lambda size: size),
}


def main() -> None:
    """Measure and write the results, or serve without a gate."""
    if sys.argv[1:2] == ["--serve"]:
        VARIANTS[sys.argv[2]]()
        sys.exit(command(sys.argv[3:]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default=",".join(VARIANTS))
    parser.add_argument("--kinds", default=KINDS)
    arguments = parser.parse_args()
    variants = arguments.only.split(",")
    runs: dict[str, list[dict[str, Any]]] = {variant: [] for variant in variants}
    with fresh() as bench:
        bench.embedder.warm_up()  # converts the network once for all
        models = bench.settings.data / "models"
        for number in range(arguments.rounds):
            for variant in variants if number % 2 == 0 else reversed(variants):
                runs[variant].append(run(variant, arguments.seconds, arguments.kinds.split(","), models))
                print(variant, summary(runs[variant][-1]), file=sys.stderr, flush=True)
    write_results("gates", {variant: [summary(one) for one in some] for variant, some in runs.items()})


def run(variant: str, seconds: float, kinds: list[str], models: Path) -> dict[str, Any]:
    """Return what `benchmarks.service.abuse` measures of a service without one gate."""
    serve = [sys.executable, "-m", "benchmarks.service.gates", "--serve", variant, "serve", "--port", "0"]
    with (
        TemporaryDirectory() as folder,
        copied(models, Path(folder) / "models"),
        service(Path(folder), serve) as (address, process, keys),
        ProcessPoolExecutor(1, get_context("spawn")) as abusers,
    ):
        return asyncio.run(measured(address, process.pid, keys, seconds, kinds, abusers, elsewhere=False))


@contextmanager
def copied(source: Path, target: Path) -> Iterator[None]:
    """Copy a folder."""
    shutil.copytree(source, target)
    yield


def summary(results: dict[str, Any]) -> dict[str, Any]:
    """Return p50 and p99 in quiet and under each kind of abuse, how many honest searches were refused, and memory."""
    kinds = {name: value for name, value in results.items() if isinstance(value, dict) and "p99_ms" in value}
    return {
        "p99_ms": {name: value["p99_ms"] for name, value in kinds.items()},
        "p50_ms": {name: value["p50_ms"] for name, value in kinds.items()},
        "refused": sum(value["refused"] for value in kinds.values()),
        "memory_growth_mb": results["memory_growth_mb"],
        "median_p99_ms": round(statistics.median(v["p99_ms"] for n, v in kinds.items() if n != "quiet"), 1),
    }


if __name__ == "__main__":
    main()
