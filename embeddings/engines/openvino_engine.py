"""OpenVINO on the processor: the network as one compiled graph, normalisation included."""

import sys
import threading
import warnings
from pathlib import Path

import numpy as np

from embeddings.errors import ModelError
from embeddings.files import storage_error
from embeddings.models import Model

# OpenVINO's converter reports usage over the network unless this module cannot be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402


class OpenVinoEngine:
    """Compiles the converted network for this processor and runs it on all its cores."""

    def __init__(self, model: Model, precision: str) -> None:
        """Load `model`, converted once and kept in its directory.

        `precision` is auto, fp32 or bf16; auto takes bf16 where the processor computes in it.
        Raises ModelError if the network cannot be converted or the processor lacks bf16.
        """
        core = openvino.Core()
        chosen = _precision(core, precision)
        graph = core.read_model(_converted(model))
        options = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[chosen],
            "PERFORMANCE_HINT": "LATENCY",  # one stream over all cores: batches are large, the decoders share the cores
            "CACHE_DIR": str(model.directory / "compiled"),
        }
        self.name = f"openvino cpu {chosen}"
        self._request = core.compile_model(graph, "CPU", options).create_infer_request()
        self._lock = threading.Lock()

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """See Engine."""
        with self._lock:
            self._request.infer([np.ascontiguousarray(pixels)])
            outputs = [output.data.copy() for output in self._request.output_tensors]
        return outputs[0], outputs[1] if len(outputs) > 1 else None


def _precision(core: openvino.Core, asked: str) -> str:
    has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if asked == "bf16" and not has_bf16:
        raise ModelError("this processor does not compute in bf16: set LOOKALIKE_PRECISION to auto or fp32")
    if asked == "auto":
        return "bf16" if has_bf16 else "fp32"
    return asked


def _converted(model: Model) -> Path:
    """Return the network in OpenVINO's format, converting it the first time."""
    path = model.directory / f"openvino-{openvino.get_version().split('-')[0]}" / "network.xml"
    if path.is_file():
        return path
    import torch  # noqa: PLC0415 - not needed once the network is converted

    spec = model.card.spec
    network = model.take_network()
    example = torch.zeros(2, spec.height, spec.width, 3, dtype=torch.uint8)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # tracing warns of every Python branch in timm's code
            graph = openvino.convert_model(
                network, example_input=example, input=[([-1, spec.height, spec.width, 3], openvino.Type.u8)]
            )
    except (RuntimeError, openvino.frontend.OpConversionFailure) as error:
        raise ModelError(f"OpenVINO cannot convert {model.name}: set LOOKALIKE_ENGINE=torch") from error
    _save(graph, path)
    return path


def _save(graph: openvino.Model, path: Path) -> None:
    """Save the graph: weights first, then the file that is looked for, so that a crash leaves nothing half done."""
    partial = path.with_name(f"partial-{threading.get_native_id()}.xml")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        openvino.save_model(graph, partial, compress_to_fp16=False)
        partial.with_suffix(".bin").replace(path.with_suffix(".bin"))
        partial.replace(path)
    except OSError as error:
        raise storage_error(error, path) from error
