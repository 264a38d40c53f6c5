"""Ways to run one network with torch on a device, and their rates: precision, layout, compilation, batch size."""

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from embeddings.engines.cuda_engine import Program
from embeddings.models.network import Network

Run = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]


@dataclass(frozen=True)
class Way:
    """One way; `recorded`: as embeddings.engines.cuda_engine runs it, as a CUDA graph."""

    name: str
    dtype: torch.dtype = torch.float32
    channels_last: bool = True
    compiled: bool = False
    recorded: bool = False


WAYS = (
    Way("eager fp32", channels_last=False),  # what one gets without thinking: the measure of the others
    Way("eager fp32, channels_last"),
    Way("bf16, channels_last", torch.bfloat16),
    Way("fp16, channels_last", torch.float16),
    Way("fp16, channels_last, compiled", torch.float16, compiled=True),
    Way("lookalike: fp16, recorded", torch.float16, recorded=True),
    Way("lookalike: fp16, compiled, recorded", torch.float16, compiled=True, recorded=True),
)


class Planes(torch.nn.Module):
    """A network that is given contiguous planes, as most code does."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Take uint8 [n, height, width, 3]; return what Network does."""
        net = self.network
        images = ((pixels.to(torch.float32) - net.mean) / net.std).permute(0, 3, 1, 2).contiguous()
        features = net.trunk.forward_features(images)
        vectors = torch.nn.functional.normalize(net.trunk.forward_head(features, pre_logits=True).flatten(1), dim=1)
        return (vectors, net.trunk.forward_head(features)) if net.classes else (vectors,)


def built(network: Network, way: Way, pixels: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Return a function that runs a copy of the network in this way on pixels on a device, and returns the vectors."""
    module: Any = copy.deepcopy(network).to(pixels.device).cast(way.dtype)
    module = module.to(memory_format=torch.channels_last) if way.channels_last else Planes(module)
    if way.compiled:
        module = torch.compile(module, dynamic=False)
    if way.recorded:
        count, height, width, _ = pixels.shape
        program = Program(module, (count, height, width, 3), pixels.device)
        program.run(pixels.cpu().numpy())
        return lambda: program.compute()[0]

    def run() -> torch.Tensor:
        with torch.no_grad():
            vectors: torch.Tensor = module(pixels)[0]
            return vectors

    return run


def rates_of_ways(
    network: Network, device: torch.device, batches: list[int], rounds: int, seconds: float
) -> dict[str, Any]:
    """Return, for each batch size and way, images a second, their ratio to eager fp32, and how alike vectors are."""
    _, height, width = network.config["input_size"]
    results = {}
    for batch in batches:
        pixels = noise(batch, int(height), int(width)).to(device)
        works, alike, failed = prepared(network, pixels)
        rates = in_turns(works, batch, device, rounds, seconds)
        first = rates[WAYS[0].name]
        results[f"batch {batch}"] = {
            "images_per_second": {name: round(rate, 1) for name, rate in rates.items()},
            "ratio_to_eager_fp32": {name: round(rate / first, 2) for name, rate in rates.items()},
            "least_cosine_to_eager_fp32": alike,
            **({"failed": failed} if failed else {}),
        }
    return results


def prepared(
    network: Network, pixels: torch.Tensor
) -> tuple[dict[str, Callable[[], object]], dict[str, float], dict[str, str]]:
    """Return the ways that run here with their least cosine to eager fp32, and why the others do not."""
    works: dict[str, Callable[[], object]] = {}
    alike, failed = {}, {}
    reference: torch.Tensor | None = None
    torch.compiler.reset()  # what other batch sizes have compiled
    for way in WAYS:
        try:
            run = built(network, way, pixels)
            vectors = run().clone()
        except RuntimeError as error:  # memory, or a compiler that is not there
            failed[way.name] = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            continue
        reference = vectors if reference is None else reference
        alike[way.name] = round(float((vectors * reference).sum(dim=1).min()), 4)
        works[way.name] = run
    return works, alike, failed


def in_turns(
    works: dict[str, Callable[[], object]], items: int, device: torch.device, rounds: int, seconds: float
) -> dict[str, float]:
    """Return the median items a second of each piece of work over rounds in which all take turns."""
    rates: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        for _ in range(3):  # warms up
            work()
    for _ in range(rounds):
        for name, work in works.items():
            settle(device)
            began, done = time.perf_counter(), 0
            while time.perf_counter() - began < seconds:
                for _ in range(4):
                    work()
                done += 4 * items
                settle(device)
            rates[name].append(done / (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in rates.items()}


def settle(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def noise(count: int, height: int, width: int) -> torch.Tensor:
    """Return made-up pixels, uint8 [count, height, width, 3]."""
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8))
