"""Decoding JPEGs: what the processors can do, lookalike's processes, and torchvision on a device (nvJPEG on a GPU)."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torchvision.io import ImageReadMode, decode_jpeg

from benchmarks.gpu.network import settle
from embeddings.decode_pool.pool import DecodeLimits, DecodePool
from embeddings.imaging.decode import decode
from embeddings.imaging.geometry import InputSpec
from embeddings.utils import processors
from indexer.pipeline.lister import chunks
from indexer.pipeline.pipeline import GROUP

MAX_PHOTOS = 2048
ON_DEVICE = 64  # photos that are decoded together on a device
LIMITS = DecodeLimits(max_bytes=100_000_000, max_pixels=180_000_000, seconds=60.0, memory=1_000_000_000)


def compared(folder: Path, device: torch.device, spec: InputSpec, rounds: int) -> dict[str, Any]:
    """Return images a second of each, medians over rounds in turns; files are in memory before the clock starts."""
    files = jpegs(folder)[:MAX_PHOTOS]
    count = processors()
    with DecodePool(LIMITS) as pool, ProcessPoolExecutor(count, get_context("forkserver"), load, (folder,)) as free:

        def by_processors() -> None:
            """Decode in as many processes as there are processors, which are handed nothing and hand nothing over."""
            list(free.map(decode_part, range(count), [count] * count, [spec] * count))

        def by_pool() -> None:
            for future in [pool.decode_group(group, spec) for group in chunks(files, GROUP)]:
                future.result()

        works: dict[str, Callable[[], object]] = {
            "the processors alone": by_processors,
            "lookalike's processes": by_pool,
            "torchvision on the device, full size, no resize": lambda: on_device(files, device),
        }
        rates: dict[str, list[float]] = {name: [] for name in works}
        failed = {}
        for number in range(rounds + 1):
            for name in works.keys() - failed.keys():
                began = time.perf_counter()
                try:
                    works[name]()
                    settle(device)
                except RuntimeError as error:  # torchvision built without nvJPEG, a JPEG that it does not take
                    failed[name] = str(error).strip().splitlines()[0][:200]
                    continue
                if number:  # the first round warms up
                    rates[name].append(len(files) / (time.perf_counter() - began))
    return {
        "images": len(files),
        "mean_bytes": sum(map(len, files)) // len(files),
        "processes": processors(),
        "images_per_second": {name: round(statistics.median(values), 1) for name, values in rates.items() if values},
        **({"failed": failed} if failed else {}),
    }


_loaded: list[bytes] = []  # in a process of `free`


def load(folder: Path) -> None:
    """Read the files in a process that will decode some of them."""
    _loaded.extend(jpegs(folder)[:MAX_PHOTOS])


def decode_part(first: int, step: int, spec: InputSpec) -> None:
    """Decode every step-th loaded file, and keep nothing of it."""
    for file in _loaded[first::step]:
        decode(file, spec, max_pixels=LIMITS.max_pixels)


def on_device(files: Sequence[bytes], device: torch.device) -> None:
    """Decode whole pictures on the device."""
    for part in chunks(files, ON_DEVICE):
        tensors = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in part]
        if device.type == "cuda":
            decode_jpeg(tensors, mode=ImageReadMode.RGB, device=device)
        else:
            for tensor in tensors:
                decode_jpeg(tensor, mode=ImageReadMode.RGB)


def jpegs(folder: Path) -> list[bytes]:
    """Return the contents of a folder's JPEGs."""
    return [path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
