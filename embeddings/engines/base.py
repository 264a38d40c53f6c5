"""What every engine does."""

from typing import Protocol

import numpy as np


class Engine(Protocol):
    """Runs one network; safe to call from several threads."""

    name: str  # for people: what runs where, at which precision

    @property
    def device_memory(self) -> int:
        """The bytes that the network and its work take of a GPU's memory; 0 without one."""

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Turn pixels into vectors and logits.

        Takes uint8 [n, height, width, 3], n >= 1. Returns float32 vectors [n, dimension], L2-normalised, and float32
        logits [n, classes], None for a headless model.
        """
