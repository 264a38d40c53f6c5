"""The interface of all engines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Images = Sequence[np.ndarray] | np.ndarray  # uint8 [height, width, 3] each, or all in one array


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
    batch: int  # images in a run at which the engine is as fast as it gets

    @property
    def device_memory(self) -> int:
        """The bytes of GPU memory that the network and its buffers take; 0 without a GPU."""

    def run(self, pixels: Images) -> EngineOutput:
        """Run the network on n >= 1 images of the model's size."""
