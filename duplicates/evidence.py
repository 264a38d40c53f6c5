"""The evidence that two images are copies or look alike, and the thresholds that decide.

The thresholds were set with `python -m benchmarks.duplicates.edits` on one half of its photos (`fit`), after a look at
pairs of all of them; benchmarks/results has the results on both halves.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

# The bits of the perceptual hash that flip when the image is mirrored left to right: every odd horizontal frequency
# changes its sign, and a bit tells whether a frequency is above the median, which is near zero.
MIRROR = np.uint64(0x5555555555555555)

NEAR_DISTANCE = 20  # bits of the perceptual hash that may differ
NEAR_SCORE = 0.88  # cosine similarity
NEAR_PIXELS = 0.985  # agreement of the pixels, see pixel_match.py
# stricter thresholds for pairs whose pixels cannot be read
BLIND_DISTANCE = 6
BLIND_SCORE = 0.93
SIMILAR_SCORE = 0.92
MIN_SCORE = min(NEAR_SCORE, SIMILAR_SCORE)


class Kind(StrEnum):
    """Kind of a group: the property that its images have in common."""

    EXACT = "exact"  # the bytes
    NEAR = "near"  # the original: encoded again, resized, cropped a little, mirrored or lightly edited
    SIMILAR = "similar"  # the look: their vectors are near each other, and nothing more is claimed


@dataclass(frozen=True)
class Evidence:
    """Measured likeness of two contents.

    `distance` is the number of bits (0..64) in which the perceptual hashes differ, with one of them mirrored if
    `mirrored`; `score` is cosine similarity; `pixels` is the agreement of the pixels (at most 1), None if not read.
    """

    distance: int
    mirrored: bool
    score: float
    pixels: float | None

    @property
    def kind(self) -> Kind | None:
        """NEAR, SIMILAR or neither."""
        if may_be_near(self.distance, self.score) and self._confirmed:
            return Kind.NEAR
        return Kind.SIMILAR if self.score >= SIMILAR_SCORE else None

    @property
    def _confirmed(self) -> bool:
        if self.pixels is not None:
            return self.pixels >= NEAR_PIXELS
        return self.distance <= BLIND_DISTANCE and self.score >= BLIND_SCORE


def may_be_near(distance: int, score: float) -> bool:
    """Return whether hash and vector agree enough to compare the pixels."""
    return distance <= NEAR_DISTANCE and score >= NEAR_SCORE


def distances(some: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, for pairs of hashes (uint64 [n] each), the number of different bits, and whether mirrored is nearer."""
    upright = np.bitwise_count(some ^ others)
    mirrored = np.bitwise_count(some ^ others ^ MIRROR)
    return np.minimum(upright, mirrored), mirrored < upright
