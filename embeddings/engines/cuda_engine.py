"""Runs a network on an NVIDIA GPU: in half precision, compiled, with fixed batch sizes recorded as CUDA graphs."""

import copy
import logging
import math
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch

from embeddings.engines.base import EngineOutput, Images
from embeddings.errors import ModelError
from embeddings.models.model import Model
from embeddings.models.network import Network

BATCH = 256  # larger ones are no faster on an H200 (benchmarks/gpu)
SMALL = 32  # up to here the next power of two runs, above it the whole batch
PROGRAMS = 2  # one is copied to and from the GPU while another one runs on it
WARM_UPS = 3
PROBES = 4
PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
ENOUGH = 0.99  # cosine to fp32, below which a precision is not taken by itself
ENOUGH_RUNS, HIGH_LOAD = 100, 0.8

log = logging.getLogger(__name__)
Run = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]


class CudaEngine:
    """Runs batches of fixed sizes, padded where there are fewer images; safe to call from several threads.

    Whole batches are compiled once the network has proved to be what others wait for: it takes a quarter of a minute,
    and makes nothing faster where images are decoded more slowly than the network runs. Where the GPU has not enough
    memory, the batch is halved for good.
    """

    def __init__(self, model: Model, device: torch.device, precision: str) -> None:
        """Load `model` on `device` at `precision`: auto, fp32, bf16 or fp16; auto takes the best half one that does."""
        self.batch = BATCH
        self._device = device
        self._spec = model.card.spec
        self._kept = model.directory / "compiled-torch"
        self._network, name = _in_precision(model.take_network().to(device), precision)
        self.name = f"torch {device} {name}"
        self._bulk: Run = self._network
        self._compiled = False  # or tried
        self._load = Load()
        self._slots = threading.Semaphore(PROGRAMS)
        self._lock = threading.Lock()
        self._free: defaultdict[int, list[Program]] = defaultdict(list)  # by the size of their batch

    @property
    def device_memory(self) -> int:
        """See Engine."""
        return torch.cuda.memory_reserved(self._device) if self._device.type == "cuda" else 0

    def run(self, pixels: Images) -> EngineOutput:
        """See Engine. Raises ModelError where the GPU has not enough memory for one image."""
        parts: list[EngineOutput] = []
        done = 0
        while done < len(pixels):
            tried = self.batch
            part = pixels[done : done + tried]
            try:
                with self._program(self._size(len(part))) as program:
                    began = time.perf_counter()
                    parts.append(program.run(part))
                    self._load.add(began, time.perf_counter(), len(part) == self.batch)
            except torch.OutOfMemoryError as error:
                self._halve(tried, error)
            else:
                done += len(part)
        return _joined(parts)

    def _size(self, images: int) -> int:
        """Return the size of the batch in which so many images run."""
        return self.batch if images > SMALL else min(self.batch, 1 << (images - 1).bit_length())

    @contextmanager
    def _program(self, size: int) -> "Iterator[Program]":
        """Lend a program for batches of this size, which is made if none is free."""
        with self._slots:
            with self._lock:
                program = self._free[size].pop() if self._free[size] else self._make(size)
            yield program
            with self._lock:
                if size <= self.batch and program.network is self._network_for(size):
                    self._free[size].append(program)  # unless it has failed

    def _network_for(self, size: int) -> Run:
        """Return what batches of this size are to run from now on."""
        if size > SMALL and self._load.is_high and not self._compiled:
            log.info("compiling the network for %s", self._device)
            _keep_compiled(self._kept)
            self._bulk = torch.compile(self._network, dynamic=False)  # when it first runs
            self._compiled = True
        return self._bulk if size > SMALL else self._network

    def _make(self, size: int) -> "Program":
        shape = (size, self._spec.height, self._spec.width, 3)
        network = self._network_for(size)
        try:
            return Program(network, shape, self._device)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # what compiles needs a compiler of C, and space on the disk
            if network is self._network:
                raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            log.warning("the network is not compiled, and slower: %s", reason)
            self._bulk = self._network
            return Program(self._network, shape, self._device)

    def _halve(self, tried: int, error: torch.OutOfMemoryError) -> None:
        """Have batches that are half as large from now on, unless another thread has done so."""
        with self._lock:
            if self.batch == tried == 1:
                raise ModelError(
                    f"{self._device} has not enough memory for one image: end what else runs there, or choose a "
                    "smaller model"
                ) from error
            if self.batch == tried:
                self.batch //= 2
                log.warning("%s has not enough memory: batches have %d images now", self._device, self.batch)
            for size in [size for size in self._free if size > self.batch]:
                del self._free[size]
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


class Load:
    """How much of its time the network has worked, over its whole batches; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs = 0
        self._busy = 0.0
        self._began = math.inf
        self.is_high = False  # stays so

    def add(self, began: float, ended: float, whole: bool) -> None:
        """Take the times of one run, in seconds; the runs of several threads may overlap."""
        with self._lock:
            self._runs += whole
            self._busy += ended - began
            self._began = min(self._began, began)
            if self._runs >= ENOUGH_RUNS and self._busy >= HIGH_LOAD * (ended - self._began):
                self.is_high = True


class Program:
    """The network for one size of batch: buffers on both sides and, on a GPU, the recorded graph of one run."""

    def __init__(self, network: Run, shape: tuple[int, int, int, int], device: torch.device) -> None:
        """Record the network for pixels of `shape`: [n, height, width, 3]."""
        cuda = device.type == "cuda"
        self.network, self.size = network, shape[0]
        self._stream = torch.cuda.Stream(device) if cuda else None
        self._done = torch.cuda.Event(blocking=True) if cuda else None  # waiting leaves the processor to others
        self._given = torch.zeros(shape, dtype=torch.uint8, pin_memory=cuda)
        self._buffer = self._given.numpy()
        self._pixels = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._graph = torch.cuda.CUDAGraph() if cuda else None
        with torch.no_grad(), self._on_stream():
            for _ in range(WARM_UPS):
                self._outputs = network(self._pixels)
        if self._graph is not None:
            torch.cuda.synchronize(device)
            with (
                torch.no_grad(),
                torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"),
            ):
                self._outputs = network(self._pixels)
        self._taken = [torch.empty(output.shape, dtype=torch.float32, pin_memory=cuda) for output in self._outputs]

    def run(self, pixels: Images) -> EngineOutput:
        """Run up to n images."""
        count = len(pixels)
        for given, one in zip(self._buffer, pixels, strict=False):
            np.copyto(given, one)  # a whole batch would be new memory first, which costs more than the network
        with torch.no_grad(), self._on_stream():
            self._pixels[:count].copy_(self._given[:count], non_blocking=True)
            for taken, output in zip(self._taken, self.compute(), strict=True):
                taken.copy_(output, non_blocking=True)
            if self._done is not None:
                self._done.record()
        if self._done is not None:
            self._done.synchronize()
        return EngineOutput(*(taken.numpy()[:count].copy() for taken in self._taken))

    def compute(self) -> tuple[torch.Tensor, ...]:
        """Run the network on the pixels that are on the device; return its outputs there, until the next call."""
        if self._graph is not None:
            self._graph.replay()
        else:
            self._outputs = self.network(self._pixels)
        return self._outputs

    def _on_stream(self) -> "torch.cuda.StreamContext | nullcontext[None]":
        return torch.cuda.stream(self._stream) if self._stream is not None else nullcontext()


def _in_precision(network: Network, precision: str) -> tuple[Network, str]:
    """Return the network in a precision, and the precision's name; auto takes the first that gives fp32's vectors."""
    network = network.to(memory_format=torch.channels_last)
    if precision != "auto":
        return network.cast(PRECISIONS[precision]), precision
    height, width = network.config["input_size"][1:]
    noise = torch.randint(
        0, 256, (PROBES, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    pixels = noise.to(network.mean.device)
    with torch.no_grad():
        wanted = network(pixels)[0]
        for name, dtype in PRECISIONS.items():
            candidate = copy.deepcopy(network).cast(dtype)
            cosines = (candidate(pixels)[0] * wanted).sum(dim=1)
            if name == "fp32" or bool((cosines >= ENOUGH).all()):  # not where a value is no number
                return candidate, name
    raise AssertionError("fp32 is always taken")


def _keep_compiled(folder: Path) -> None:
    """Have torch keep what it compiles, so that it does so once; it reads the variables when it compiles first."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))
    os.environ.setdefault("TRITON_CACHE_DIR", str(folder / "triton"))


def _joined(parts: list[EngineOutput]) -> EngineOutput:
    if len(parts) == 1:
        return parts[0]
    logits = [part.logits for part in parts if part.logits is not None]
    return EngineOutput(np.concatenate([part.vectors for part in parts]), np.concatenate(logits) if logits else None)
