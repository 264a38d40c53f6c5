"""A tag: a name for something that an image shows."""

from dataclasses import dataclass
from typing import Literal

Origin = Literal["network", "taught", "person"]


@dataclass(frozen=True)
class Tag:
    """A name for something that an image shows, with its calibrated probability in 0..1 and its origin."""

    name: str
    confidence: float
    source: Origin = "network"
