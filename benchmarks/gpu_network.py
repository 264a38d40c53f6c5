"""Ways to run one network with torch on a device, and their rates: precision, layout, compilation, batch size."""

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from embeddings.models.network import Network

Run = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]


@dataclass(frozen=True)
class Way:
    """One way: `weights` of that type, or `autocast` to bf16; `compiled` with one of torch.compile's modes."""

    name: str
    weights: torch.dtype = torch.float32
    autocast: bool = False
    channels_last: bool = True
    compiled: str = ""


WAYS = (
    Way("eager fp32", channels_last=False),  # what one gets without thinking: the measure of the others
    Way("eager fp32, channels_last"),
    Way("autocast bf16", autocast=True, channels_last=False),
    Way("autocast bf16, channels_last", autocast=True),
    Way("weights bf16, channels_last", torch.bfloat16),
    Way("weights fp16, channels_last", torch.float16),
    Way("autocast bf16, channels_last, compiled", autocast=True, compiled="default"),
    Way("weights bf16, channels_last, compiled", torch.bfloat16, compiled="default"),
    Way("weights bf16, channels_last, CUDA graphs", torch.bfloat16, compiled="reduce-overhead"),
    Way("weights fp16, channels_last, CUDA graphs", torch.float16, compiled="reduce-overhead"),
)


class Cast(torch.nn.Module):
    """embeddings.models.network.Network with weights of another type, or with pixels as contiguous planes."""

    def __init__(self, network: Network, way: Way) -> None:
        super().__init__()
        self.network, self.way = network, way
        self.network.trunk.to(way.weights)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Take uint8 [n, height, width, 3]; return what Network does."""
        net = self.network
        images = ((pixels.to(torch.float32) - net.mean) / net.std).permute(0, 3, 1, 2).to(self.way.weights)
        features = net.trunk.forward_features(images if self.way.channels_last else images.contiguous())
        vectors = net.trunk.forward_head(features, pre_logits=True).flatten(1).to(torch.float32)
        vectors = torch.nn.functional.normalize(vectors, dim=1)
        return (vectors, net.trunk.forward_head(features).to(torch.float32)) if net.classes else (vectors,)


def built(network: Network, way: Way, device: torch.device) -> Run:
    """Return a function that runs a copy of the network in this way on pixels that are on the device."""
    module: Any = Cast(copy.deepcopy(network).to(device), way).eval()
    if way.channels_last:
        module = module.to(memory_format=torch.channels_last)
    if way.compiled:
        module = torch.compile(module, mode=way.compiled, dynamic=False)

    def run(pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=way.autocast):
            outputs: tuple[torch.Tensor, ...] = module(pixels)
            return outputs

    return run


def rates_of_ways(
    network: Network, device: torch.device, batches: list[int], rounds: int, seconds: float
) -> dict[str, Any]:
    """Return, for each batch size and way, images a second, their ratio to eager fp32, and how alike vectors are."""
    _, height, width = network.config["input_size"]
    results = {}
    for batch in batches:
        pixels = noise(batch, int(height), int(width)).to(device)
        works, alike, failed = prepared(network, device, pixels)
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
    network: Network, device: torch.device, pixels: torch.Tensor
) -> tuple[dict[str, Callable[[], object]], dict[str, float], dict[str, str]]:
    """Return the ways that run here with their least cosine to eager fp32, and why the others do not."""
    works: dict[str, Callable[[], object]] = {}
    alike, failed = {}, {}
    reference: torch.Tensor | None = None
    torch.compiler.reset()  # what other batch sizes have compiled
    for way in WAYS:
        if way.compiled == "reduce-overhead" and device.type != "cuda":
            continue
        try:
            run = built(network, way, device)
            vectors = run(pixels)[0].clone()
        except RuntimeError as error:  # memory, or a compiler that is not there
            failed[way.name] = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            continue
        reference = vectors if reference is None else reference
        alike[way.name] = round(float((vectors * reference).sum(dim=1).min()), 4)
        works[way.name] = partial(run, pixels)
    return works, alike, failed


def in_turns(
    works: dict[str, Callable[[], object]], items: int, device: torch.device, rounds: int, seconds: float
) -> dict[str, float]:
    """Return the median items a second of each piece of work over rounds in which all take turns."""
    rates: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        for _ in range(3):  # warms up; CUDA graphs are recorded
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
