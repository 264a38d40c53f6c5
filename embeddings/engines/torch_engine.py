"""Runs a network with torch on the processor, and chooses the device of torch's engines."""

import threading

import numpy as np
import torch

from embeddings.engines.base import Engine, EngineOutput, Images
from embeddings.errors import ModelError
from embeddings.models.model import Model

BATCH = 32


def load(model: Model, device: str, precision: str) -> Engine:
    """Return the engine of `model` for `device` (auto, cpu, cuda or cuda:N) at `precision` (auto, fp32, bf16 or fp16).

    Raises ModelError if the device does not exist, or does not compute in this precision.
    """
    chosen = _device(device)
    if chosen.type == "cuda":
        from embeddings.engines.cuda_engine import CudaEngine  # noqa: PLC0415 - only where there is a GPU

        return CudaEngine(model, chosen, precision)
    return TorchEngine(model, precision)


class TorchEngine:
    """Runs the network eagerly on the processor in channels_last, under autocast for bf16."""

    def __init__(self, model: Model, precision: str) -> None:
        """Load `model` at `precision` (auto, fp32 or bf16). Raises ModelError for fp16."""
        if precision == "fp16":
            raise ModelError("fp16 needs a GPU: set LOOKALIKE_PRECISION to auto, fp32 or bf16")
        bf16 = precision == "bf16" or (precision == "auto" and _has_bf16())
        self._autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16)
        self._network = model.network.to(memory_format=torch.channels_last)
        self._lock = threading.Lock()
        self.name = f"torch cpu {'bf16' if bf16 else 'fp32'}"
        self.batch = BATCH

    @property
    def device_memory(self) -> int:
        """See Engine."""
        return 0

    def run(self, pixels: Images) -> EngineOutput:
        """See Engine."""
        with self._lock, torch.inference_mode(), self._autocast:
            outputs = self._network(torch.from_numpy(np.stack([*pixels])))
        return EngineOutput(*(output.to(torch.float32).numpy() for output in outputs))


def cuda_works() -> bool:
    """Return whether torch can use a GPU."""
    return torch.cuda.is_available()


def _device(name: str) -> torch.device:
    device = torch.device(("cuda" if cuda_works() else "cpu") if name == "auto" else name)
    if device.type == "cuda" and not (cuda_works() and (device.index or 0) < torch.cuda.device_count()):
        raise ModelError(f"there is no device {name} here: set LOOKALIKE_DEVICE to auto or cpu")
    return device


def _has_bf16() -> bool:
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())
