"""The interface of all engines."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class EngineOutput:
    """The output of a network for a batch of n images.

    `vectors` is float32 [n, dimension], L2-normalised. `logits` is float32 [n, classes], None for a headless model.
    `features` is float32 [n, channels, rows, columns], the maps before pooling, None where the engine gives none.
    """

    vectors: np.ndarray
    logits: np.ndarray | None = None
    features: np.ndarray | None = None


class Engine(Protocol):
    """Runs one network; safe to call from several threads."""

    name: str  # shown to users: library, device and precision

    @property
    def device_memory(self) -> int:
        """The bytes of GPU memory that the network and its buffers take; 0 without a GPU."""

    def run(self, pixels: np.ndarray) -> EngineOutput:
        """Run the network on pixels: uint8 [n, height, width, 3], n >= 1."""
