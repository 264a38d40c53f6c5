"""All that is to be known of a GPU, in one call: network, engine, decoding, indexing.

    python -m benchmarks.gpu [FOLDER] [--batches 32 128 256] [--rounds 3] [--seconds 0.5] [--parts ...]

Needs torch, torchvision and timm; engine and decoding also pillow-heif, indexing all that lookalike needs but OpenVINO.
A part whose needs are missing is left out, and the results say why. Without FOLDER pictures are made up. Each figure is
a ratio to a measure of the same part; ways take turns, medians count.

network     images a second of the network alone, pixels on the device already: precision, channels_last, compilation
            and batch size against torch eager in fp32 (cuDNN's TF32 as torch has it by default)
engine      lookalike's engine (embeddings/engines), pixels in memory to vectors in memory, against eager fp32 done so
decoding    lookalike's decode processes, files to pixels of the model's size, against torchvision's decoder on the GPU
            (nvJPEG) with a resize there; full-size decoding on the processor by one thread beside them
indexing    a folder end to end against the usual loop (PIL, timm's transform, eager fp32 at batch 32) on the same GPU

Weights are the packaged ones, or random ones where the package is missing: the same arithmetic. Results are written
after each part. Without a GPU it ends with status 2. `--device cpu --seconds 0.2` runs the same code on the processor,
to see that it runs, and writes no results.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks import gpu_network
from benchmarks.reporting import machine, write_results
from cli.synthetic_images import make_images
from embeddings.models import network as networks

MODEL = "tf_efficientnet_lite0"
PICTURES = 512
NO_GPU = 2


@dataclass(frozen=True)
class Asked:
    """What the command line says, with what all parts need."""

    device: torch.device
    folder: Path
    place: Path  # a folder that goes away
    model: str
    batches: list[int]
    rounds: int
    seconds: float


def main() -> None:
    """Run the parts, and write what is known after each of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 128, 256])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print(
            "benchmarks.gpu: torch finds no NVIDIA GPU here; --device cpu tries the code without one", file=sys.stderr
        )
        sys.exit(NO_GPU)
    with TemporaryDirectory() as place:
        folder = arguments.folder or make_images(Path(place) / "photos", PICTURES)
        asked = Asked(
            torch.device(arguments.device),
            folder,
            Path(place),
            arguments.model,
            arguments.batches,
            arguments.rounds,
            arguments.seconds,
        )
        results: dict[str, Any] = {**facts(asked), "left_out": {}}
        for name in arguments.parts:
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                results[name] = PARTS[name](asked)
            except (ModuleNotFoundError, networks.ModelError) as missing:
                results["left_out"][name] = str(missing)
            if asked.device.type == "cuda":
                write_results("gpu", results)
        if asked.device.type == "cpu":
            print(json.dumps({"machine": machine(), **results}, indent=2))


def facts(asked: Asked) -> dict[str, Any]:
    """Return what runs where."""
    named = torch.cuda.get_device_name() if asked.device.type == "cuda" else "none, the processor was tried"
    random = not packaged(asked)
    return {"gpu": named, "torch": version("torch"), "model": asked.model, "weights_are_random": random}


def network(asked: Asked) -> dict[str, Any]:
    """The network alone."""
    return gpu_network.rates_of_ways(loaded(asked), asked.device, asked.batches, asked.rounds, asked.seconds)


def engine(asked: Asked) -> dict[str, Any]:
    """The engine of lookalike, memory to memory, against the same in eager fp32."""
    from embeddings.engines.registry import make_engine  # noqa: PLC0415 - what it needs may be missing
    from embeddings.models.model import Model  # noqa: PLC0415

    made = make_engine(Model(asked.model, asked.place, not packaged(asked)), "torch", asked.device.type)
    net = loaded(asked)
    _, height, width = net.config["input_size"]
    eager = gpu_network.built(net, gpu_network.WAYS[0], asked.device)
    results: dict[str, Any] = {"name": made.name}
    for batch in asked.batches:
        pixels = gpu_network.noise(batch, int(height), int(width))
        array = pixels.numpy()
        works: dict[str, Callable[[], object]] = {
            "eager fp32": lambda pixels=pixels: [out.cpu() for out in eager(pixels.to(asked.device))],
            "engine": lambda array=array: made.run(array),
        }
        rates = gpu_network.in_turns(works, batch, asked.device, asked.rounds, asked.seconds)
        results[f"batch {batch}"] = {
            "images_per_second": {name: round(rate, 1) for name, rate in rates.items()},
            "ratio": round(rates["engine"] / rates["eager fp32"], 2),
        }
    return results


def decoding(asked: Asked) -> dict[str, Any]:
    """The decode processes against decoding on the device."""
    from benchmarks.gpu_decoding import compared  # noqa: PLC0415 - what it needs may be missing

    _, height, width = loaded(asked).config["input_size"]
    return compared(asked.folder, asked.device, int(height), int(width), asked.rounds, min(asked.batches))


def indexing(asked: Asked) -> dict[str, Any]:
    """A folder end to end against the usual loop on the same device."""
    from benchmarks.gpu_indexing import compared  # noqa: PLC0415 - what it needs may be missing

    return compared(asked.folder, asked.device, asked.model, asked.rounds)


def packaged(asked: Asked) -> bool:
    """Return whether the model's weights are installed."""
    try:
        from embeddings.models.model import PACKAGED, packaged_file  # noqa: PLC0415 - what it needs may be missing

        return asked.model in PACKAGED and packaged_file(asked.model).is_file()
    except (ModuleNotFoundError, networks.ModelError):
        return False


def loaded(asked: Asked) -> networks.Network:
    """Return the network with its own weights, or random ones."""
    if not packaged(asked):
        return networks.untrained(asked.model)
    from embeddings.models.model import Model  # noqa: PLC0415 - it is there, or the weights could not be

    return Model(asked.model, asked.place).network


PARTS: dict[str, Callable[[Asked], dict[str, Any]]] = {
    "network": network,
    "engine": engine,
    "decoding": decoding,
    "indexing": indexing,
}

if __name__ == "__main__":
    main()
