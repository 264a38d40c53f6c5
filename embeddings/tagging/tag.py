"""A tag: a name for what an image shows, with its confidence."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tag:
    """A name for what a picture shows, with its calibrated probability in 0..1."""

    name: str
    confidence: float
