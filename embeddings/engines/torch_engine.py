"""Runs a network with torch, on CUDA or the processor."""

import threading

import numpy as np
import torch

from embeddings.engines.base import EngineOutput
from embeddings.errors import ModelError
from embeddings.models.model import Model


class TorchEngine:
    """Runs the network eagerly in channels_last, under autocast for bf16."""

    def __init__(self, model: Model, device: str, precision: str) -> None:
        """Load `model` on `device` (auto, cpu, cuda or cuda:N) at `precision` (auto, fp32 or bf16).

        Raises ModelError if the device does not exist.
        """
        self._device = _device(device)
        bf16 = precision == "bf16" or (precision == "auto" and _has_bf16(self._device))
        self._autocast = torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=bf16)
        self._network = model.network.to(self._device).to(memory_format=torch.channels_last)
        self._lock = threading.Lock()
        self.name = f"torch {self._device} {'bf16' if bf16 else 'fp32'}"

    @property
    def device_memory(self) -> int:
        """See Engine."""
        return torch.cuda.memory_reserved(self._device) if self._device.type == "cuda" else 0

    def run(self, pixels: np.ndarray) -> EngineOutput:
        """See Engine."""
        with self._lock, torch.inference_mode(), self._autocast:
            outputs = self._network(torch.from_numpy(pixels).to(self._device))
        return EngineOutput(*(output.to(torch.float32).cpu().numpy() for output in outputs))


def cuda_works() -> bool:
    """Return whether torch can use a GPU."""
    return torch.cuda.is_available()


def _device(name: str) -> torch.device:
    device = torch.device(("cuda" if cuda_works() else "cpu") if name == "auto" else name)
    if device.type == "cuda" and not (cuda_works() and (device.index or 0) < torch.cuda.device_count()):
        raise ModelError(f"there is no device {name} here: set LOOKALIKE_DEVICE to auto or cpu")
    return device


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())
