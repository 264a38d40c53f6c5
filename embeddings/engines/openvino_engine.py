"""Runs a network with OpenVINO on the processor, as compiled graphs that include normalisation."""

import errno
import sys
import threading
import warnings
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from shutil import disk_usage

import numpy as np

from embeddings.engines.base import EngineOutput, Images
from embeddings.errors import ModelError
from embeddings.models.model import Model
from embeddings.utils import storage_error

# OpenVINO's converter reports usage over the network unless this module cannot be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402

# Images per request. A fixed shape and one stream per core are a quarter to a third faster than batches of any size on
# all cores together, where each core waits for the others (benchmarks/indexing/engines.py).
BULK = 2
BATCH = 32  # keeps all streams busy
ROOM = 200_000_000  # bytes; with less free space, a failed save counts as a full disk
PRECISIONS = {"fp32": "f32", "bf16": "bf16"}

Outputs = list[np.ndarray]


class OpenVinoEngine:
    """Compiles the converted network for this processor: once for bulk (a stream per core), once for single images."""

    def __init__(self, model: Model, precision: str) -> None:
        """Load `model`, which is converted once and kept in its directory.

        `precision` is auto, fp32 or bf16; auto takes bf16 where the processor supports it.
        Raises ModelError if the network cannot be converted or the processor lacks bf16.
        """
        core = openvino.Core()
        resolved = _precision(core, precision)
        core.set_property({"CACHE_DIR": str(model.directory / "compiled")})
        core.set_property("CPU", {"INFERENCE_PRECISION_HINT": PRECISIONS[resolved]})
        path = _converted(model)
        self.name = f"openvino cpu {resolved}"
        self.batch = BATCH
        self._single = _compiled(core, path, 1, "LATENCY").create_infer_request()
        bulk = _compiled(core, path, BULK, "THROUGHPUT")
        streams = bulk.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        # two per stream: it runs the second while the interpreter has not yet collected the first
        self._requests = [bulk.create_infer_request() for _ in range(2 * streams)]
        # one caller at a time: OpenVINO's binding deadlocks where two threads create their first tensors at once, and
        # overlapping batches are no faster
        self._lock = threading.Lock()

    @property
    def device_memory(self) -> int:
        """See Engine."""
        return 0

    def run(self, pixels: Images) -> EngineOutput:
        """See Engine."""
        whole = len(pixels) - len(pixels) % BULK
        with self._lock:
            parts = self._in_bulk([pixels[i : i + BULK] for i in range(0, whole, BULK)])
            parts += [self._one(pixels[i : i + 1]) for i in range(whole, len(pixels))]
        return EngineOutput(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _in_bulk(self, batches: Sequence[Images]) -> list[Outputs]:
        """Run batches of BULK images; each request takes every n-th batch."""
        results: list[Outputs] = []
        busy: deque[openvino.InferRequest] = deque()
        for i, batch in enumerate(batches):
            if len(busy) == len(self._requests):
                results.append(_waited(busy.popleft()))
            request = self._requests[i % len(self._requests)]
            request.start_async([np.stack([*batch])])
            busy.append(request)
        return results + [_waited(request) for request in busy]

    def _one(self, pixels: Images) -> Outputs:
        self._single.start_async([np.stack([*pixels])])
        return _waited(self._single)


def _waited(request: openvino.InferRequest) -> Outputs:
    """Return a copy of a request's outputs; the next run reuses their memory."""
    request.wait()
    return [output.data.copy() for output in request.output_tensors]


def _compiled(core: openvino.Core, path: Path, batch: int, hint: str) -> openvino.CompiledModel:
    graph = core.read_model(path)
    graph.reshape([batch, *list(graph.input().partial_shape)[1:]])
    return core.compile_model(graph, "CPU", {"PERFORMANCE_HINT": hint})


def _precision(core: openvino.Core, precision: str) -> str:
    if precision == "fp16":
        raise ModelError("fp16 needs a GPU: set LOOKALIKE_PRECISION to auto, fp32 or bf16")
    has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and not has_bf16:
        raise ModelError("this processor does not compute in bf16: set LOOKALIKE_PRECISION to auto or fp32")
    if precision == "auto":
        return "bf16" if has_bf16 else "fp32"
    return precision


def _converted(model: Model) -> Path:
    """Return the network in OpenVINO's format, converting it the first time."""
    path = model.directory / f"openvino-{openvino.get_version().split('-')[0]}" / "network.xml"
    if path.is_file():
        return path
    import torch  # noqa: PLC0415 - only needed to convert the network

    spec = model.card.spec
    network = model.take_network()
    example = torch.zeros(2, spec.height, spec.width, 3, dtype=torch.uint8)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # tracing warns about every Python branch in timm's code
            graph = openvino.convert_model(
                network, example_input=example, input=[([-1, spec.height, spec.width, 3], openvino.Type.u8)]
            )
    except (RuntimeError, openvino.frontend.OpConversionFailure) as error:
        raise ModelError(f"OpenVINO cannot convert {model.name}: set LOOKALIKE_ENGINE=torch") from error
    _save(graph, path)
    return path


def _save(graph: openvino.Model, path: Path) -> None:
    """Save the graph, weights first: `_converted` looks for the other file, so a crash leaves no half graph."""
    partial = path.with_name(f"partial-{threading.get_native_id()}.xml")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(graph, partial)
        partial.with_suffix(".bin").replace(path.with_suffix(".bin"))
        partial.replace(path)
    except OSError as error:
        for part in (partial, partial.with_suffix(".bin")):
            part.unlink(missing_ok=True)
        raise storage_error(error, path) from error


def _write(graph: openvino.Model, path: Path) -> None:
    """Write the graph. Raises OSError; OpenVINO itself reports a full disk as 'iostream error'."""
    try:
        openvino.save_model(graph, path, compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(errno.ENOSPC if disk_usage(path.parent).free < ROOM else errno.EIO, str(error)) from error
