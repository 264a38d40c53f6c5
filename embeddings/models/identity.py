"""The identity of a model: two collections mix only if theirs are equal."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelIdentity:
    """What makes vectors comparable: two collections mix only if their fingerprints are the same.

    `fingerprint` is 12 hexadecimal digits that cover weights, preprocessing and vector settings.
    """

    name: str
    fingerprint: str
    dimension: int
