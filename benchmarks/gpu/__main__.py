"""All that is to be known of a GPU, in one call: whether it is right, and how fast network, decoding and indexing are.

    python -m benchmarks.gpu [FOLDER] [--photos 8192] [--batches 32 256] [--rounds 2] [--seconds 0.5] [--parts ...]

Needs what lookalike needs but OpenVINO; `make gpu-wheels` collects what a machine with torch and torchvision lacks. A
part whose needs are missing is left out, and the results say why. FOLDER's photos are repeated, with other bytes at
their end, until there are --photos of them; without FOLDER they are made up. Ways take turns, medians count.

checks      the engine's vectors and tags against fp32 on the processor, and its memory over thousands of batches
network     images a second of the network alone, pixels on the device: precision, layout, compilation, recording
engine      the engine, pixels in memory to vectors in memory, by one and by two threads
decoding    what the processors can decode, lookalike's decode processes, and nvJPEG by torchvision at full size
indexing    a folder to rows, by 1, 2 and 4 processes that share the GPU, into a store that counts; into Milvus Lite;
            and the usual loop (PIL, timm's transform, eager fp32 at batch 32)

`limit` in the results is the smaller of what the processors decode and what the network runs. Results are written
after each part. Without a GPU it ends with status 2. `--device cpu --photos 64 --seconds 0.2` runs the same code on the
processor, to see that it runs, and writes no results.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.common import copies
from benchmarks.gpu import network as gpu_network
from benchmarks.reporting import machine, write_results
from cli.synthetic_images import make_images
from embeddings.embedder import BATCH
from embeddings.engines.cuda_engine import CudaEngine
from embeddings.errors import ModelError
from embeddings.models.model import PACKAGED, Model, packaged_file

MODEL = "tf_efficientnet_lite0"
MADE_UP = 128
LONG, SHORT = 10_000, 20  # batches of the check of memory, on a GPU and on the processor
NO_GPU = 2


@dataclass(frozen=True)
class Asked:
    """What the command line says, with what all parts need."""

    device: torch.device
    folder: Path
    place: Path  # a folder that goes away
    name: str
    batches: list[int]
    rounds: int
    seconds: float

    @cached_property
    def is_packaged(self) -> bool:
        """Whether the model's weights are installed."""
        try:
            return self.name in PACKAGED and packaged_file(self.name).is_file()
        except ModelError:
            return False

    @property
    def model(self) -> Model:
        """The model with its own weights, or random ones."""
        return Model(self.name, self.place, random_weights=not self.is_packaged)

    @cached_property
    def files(self) -> list[bytes]:
        """The photos."""
        from benchmarks.gpu.decoding import jpegs  # noqa: PLC0415 - what it needs may be missing

        return jpegs(self.folder)


def main() -> None:
    """Run the parts, and write what is known after each of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--photos", type=int, default=8192)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 256])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        message = "benchmarks.gpu: torch finds no NVIDIA GPU here; --device cpu tries the code without one"
        print(message, file=sys.stderr)
        sys.exit(NO_GPU)
    with TemporaryDirectory() as place:
        originals = arguments.folder or make_images(Path(place) / "made-up", min(MADE_UP, arguments.photos))
        copies(sorted(originals.rglob("*.jpg")), Path(place) / "photos", arguments.photos)
        asked = Asked(
            torch.device(arguments.device),
            Path(place) / "photos",
            Path(place),
            arguments.model,
            arguments.batches,
            arguments.rounds,
            arguments.seconds,
        )
        results = facts(asked)
        for name in arguments.parts:
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                results[name] = PARTS[name](asked)
            except (ModuleNotFoundError, ModelError) as missing:
                results["left_out"][name] = str(missing)
            results["limit"] = limit(results)
            if asked.device.type == "cuda":
                write_results("gpu", results)
        if asked.device.type == "cpu":
            print(json.dumps({"machine": machine(), **results}, indent=2))


def facts(asked: Asked) -> dict[str, Any]:
    """Return what runs where."""
    named = torch.cuda.get_device_name() if asked.device.type == "cuda" else "none, the processor was tried"
    random = not asked.is_packaged
    return {"gpu": named, "torch": version("torch"), "model": asked.name, "weights_are_random": random, "left_out": {}}


def limit(results: dict[str, Any]) -> float | None:
    """Return the images a second that the slower of decoding and network allows, if both are known."""
    if "network" not in results or "decoding" not in results:
        return None
    rates = [rate for batch in results["network"].values() for rate in batch["images_per_second"].values()]
    decoded: float = results["decoding"]["images_per_second"]["the processors alone"]
    return min(decoded, max(rates))


def checks(asked: Asked) -> dict[str, Any]:
    """Whether the engine is right."""
    from benchmarks.gpu.checks import checked  # noqa: PLC0415 - what it needs may be missing

    return checked(asked.files, asked.device, asked.model, LONG if asked.device.type == "cuda" else SHORT)


def network(asked: Asked) -> dict[str, Any]:
    """The network alone."""
    return gpu_network.rates_of_ways(asked.model.network, asked.device, asked.batches, asked.rounds, asked.seconds)


def engine(asked: Asked) -> dict[str, Any]:
    """The engine, memory to memory."""
    made = CudaEngine(asked.model, asked.device, "auto" if asked.device.type == "cuda" else "fp32")
    spec = asked.model.card.spec
    count = made.batch if asked.device.type == "cuda" else BATCH
    pixels = gpu_network.noise(count, spec.height, spec.width).numpy()
    rates = {}
    for threads in (1, 2):
        for _ in range(2):  # the first time warms up
            rates[f"{threads} threads"] = round(by_threads(lambda: made.run(pixels), threads, asked.seconds) * count, 1)
    return {"name": made.name, "batch": count, "images_per_second": rates}


def by_threads(work: Callable[[], object], threads: int, seconds: float) -> float:
    """Return how often threads together do a piece of work in a second."""
    done = [0] * threads
    end = time.perf_counter() + seconds

    def loop(number: int) -> None:
        while time.perf_counter() < end:
            work()
            done[number] += 1

    running = [threading.Thread(target=loop, args=(number,)) for number in range(threads)]
    began = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(done) / (time.perf_counter() - began)


def decoding(asked: Asked) -> dict[str, Any]:
    """The processors, the decode processes and the device."""
    from benchmarks.gpu.decoding import compared  # noqa: PLC0415 - what it needs may be missing

    return compared(asked.folder, asked.device, asked.model.card.spec, asked.rounds)


def indexing(asked: Asked) -> dict[str, Any]:
    """A folder end to end."""
    from benchmarks.gpu.indexing import Device, compared  # noqa: PLC0415 - what it needs may be missing

    return compared(asked.folder, Device(asked.device, asked.name, asked.place), asked.rounds)


PARTS: dict[str, Callable[[Asked], dict[str, Any]]] = {
    "checks": checks,
    "network": network,
    "engine": engine,
    "decoding": decoding,
    "indexing": indexing,
}

if __name__ == "__main__":
    main()
