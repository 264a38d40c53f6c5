"""The identity of a model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelIdentity:
    """Identifies the model that made a vector: vectors are comparable only if their fingerprints are equal.

    `fingerprint` is 12 hexadecimal digits that cover weights, preprocessing and vector settings.
    """

    name: str
    fingerprint: str
    dimension: int
