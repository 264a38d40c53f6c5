"""Decoding JPEGs in lookalike's processes and by torchvision on a device (nvJPEG on a GPU), side by side."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torchvision.io import ImageReadMode, decode_jpeg

from benchmarks.gpu_network import settle
from embeddings.decode_pool.pool import DecodeLimits, DecodePool
from embeddings.imaging.geometry import InputSpec
from embeddings.utils import processors

MAX_PHOTOS = 2048
LIMITS = DecodeLimits(max_bytes=100_000_000, max_pixels=180_000_000, seconds=60.0, memory=1_000_000_000)


def compared(folder: Path, device: torch.device, height: int, width: int, rounds: int, batch: int) -> dict[str, Any]:
    """Return images a second of each, medians over rounds in turns; files are in memory before the clock starts."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))[:MAX_PHOTOS]
    if not paths:
        return {"failed": f"there are no JPEGs in {folder.name}"}
    files = [path.read_bytes() for path in paths]
    spec = InputSpec(height, width)
    with DecodePool(LIMITS) as pool:
        works: dict[str, Callable[[], object]] = {
            "lookalike's processes": lambda: [future.result() for future in [pool.decode(f, spec) for f in files]],
            "torchvision on the device": lambda: on_device(files, device, spec, batch),
            "torchvision on one thread, full size, no resize": lambda: whole(files),
        }
        rates: dict[str, list[float]] = {name: [] for name in works}
        failed = {}
        for number in range(rounds + 1):
            for name, work in works.items():
                if name in failed:
                    continue
                began = time.perf_counter()
                try:
                    work()
                    settle(device)
                except RuntimeError as error:  # torchvision built without nvJPEG, a JPEG that it does not take
                    failed[name] = str(error).strip().splitlines()[0][:200]
                    continue
                if number:  # the first round warms up
                    rates[name].append(len(files) / (time.perf_counter() - began))
    medians = {name: statistics.median(values) for name, values in rates.items() if values}
    ours = medians["lookalike's processes"]
    return {
        "images": len(files),
        "processes": processors(),
        "images_per_second": {name: round(rate, 1) for name, rate in medians.items()},
        "ratio_to_lookalike": {name: round(rate / ours, 2) for name, rate in medians.items()},
        **({"failed": failed} if failed else {}),
    }


def on_device(files: list[bytes], device: torch.device, spec: InputSpec, batch: int) -> list[torch.Tensor]:
    """Decode whole pictures on the device and resize them there; turning upright is not done."""
    done = []
    for start in range(0, len(files), batch):
        tensors = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files[start : start + batch]]
        decoded = decode_jpeg(tensors, mode=ImageReadMode.RGB, device=device)
        done.append(torch.stack([fitted(image, spec) for image in decoded]))
    return done


def fitted(image: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """Return the middle of a picture, uint8 [3, height, width], resized as timm does."""
    side = int(min(spec.height, spec.width) / spec.crop_pct)
    _, height, width = image.shape
    short = min(height, width)
    size = [round(height * side / short), round(width * side / short)]
    floats = image[None].to(torch.float32)
    resized = torch.nn.functional.interpolate(floats, size, mode="bicubic", antialias=True)
    top, left = (size[0] - spec.height) // 2, (size[1] - spec.width) // 2
    part = resized[0, :, top : top + spec.height, left : left + spec.width]
    return part.round().clamp(0, 255).to(torch.uint8)


def whole(files: list[bytes]) -> None:
    """Decode whole pictures on the processor, one after another."""
    for file in files:
        decode_jpeg(torch.frombuffer(bytearray(file), dtype=torch.uint8), mode=ImageReadMode.RGB)
