"""The choice of an engine."""

import importlib
from pathlib import Path

from embeddings.engines.base import Engine
from embeddings.errors import UsageError
from embeddings.models.model import Model

# Where a driver shows itself: without one of these, asking torch (seconds to import) for CUDA is in vain.
CUDA_SIGNS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg")


def make_engine(model: Model, engine: str = "auto", device: str = "auto", precision: str = "auto") -> Engine:
    """Return the engine asked for; auto takes CUDA where it works, else OpenVINO.

    Raises ModelError if the model cannot be loaded, UsageError if the engine does not run on the device.
    """
    if engine == "openvino" and device.startswith("cuda"):
        raise UsageError("LOOKALIKE_ENGINE=openvino runs on the processor: set LOOKALIKE_DEVICE to auto or cpu")
    if engine == "torch" or device.startswith("cuda") or (engine == "auto" and device == "auto" and _cuda()):
        module = importlib.import_module("embeddings.engines.torch_engine")
        return module.TorchEngine(model, device, precision)
    module = importlib.import_module("embeddings.engines.openvino_engine")
    return module.OpenVinoEngine(model, precision)


def _cuda() -> bool:
    if not any(Path(sign).exists() for sign in CUDA_SIGNS):
        return False
    return importlib.import_module("embeddings.engines.torch_engine").cuda_works()
