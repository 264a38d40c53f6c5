"""The evidence that two images are the same: hash distances, the mirrored hash, limits."""

import numpy as np
import pytest
from PIL import ImageOps
from support.duplicate_rows import row
from support.pictures import photo

from duplicates.best_copy import best_of
from duplicates.evidence import MIRROR, Evidence, Kind, distances
from embeddings.imaging.geometry import Orientation
from embeddings.imaging.phash import phash


def test_distances_count_bits_of_the_nearer_of_upright_and_mirrored():
    zero = np.uint64(0)
    some = np.array([zero, zero, zero, zero])
    others = np.array([0, 0b1011, int(MIRROR), int(MIRROR) ^ 0b10], np.uint64)
    apart, mirrored = distances(some, others)
    assert apart.tolist() == [0, 3, 0, 1]
    assert mirrored.tolist() == [False, False, True, True]


@pytest.mark.parametrize("seed", range(5))
def test_the_mirrored_hash_follows_from_the_hash(seed):
    picture = photo(320, 240, seed)
    upright, mirrored = (
        np.array([phash(image, Orientation())], np.uint64) for image in (picture, ImageOps.mirror(picture))
    )
    apart, is_mirrored = distances(upright, mirrored)
    assert apart[0] <= 8 and is_mirrored[0]
    others = np.array([phash(photo(320, 240, seed + 100), Orientation())], np.uint64)
    assert distances(upright, others)[0][0] > 12


@pytest.mark.parametrize(
    "evidence, kind",
    [
        (Evidence(20, False, 0.88, 0.985), Kind.NEAR),
        (Evidence(20, True, 0.88, 0.985), Kind.NEAR),
        (Evidence(21, False, 0.99, 0.999), Kind.SIMILAR),
        (Evidence(0, False, 0.87, 0.999), None),
        (Evidence(0, False, 0.99, 0.98), Kind.SIMILAR),  # two photos of one burst
        (Evidence(0, False, 0.90, 0.98), None),
        (Evidence(6, False, 0.93, None), Kind.NEAR),  # not readable: hash and vector have to be surer
        (Evidence(7, False, 0.95, None), Kind.SIMILAR),
        (Evidence(2, False, 0.90, None), None),
        (Evidence(40, False, 0.92, None), Kind.SIMILAR),
    ],
)
def test_kinds_of_pairs(evidence, kind):
    assert evidence.kind is kind


@pytest.mark.parametrize(
    "better, worse, why",
    [
        ({"width": 400}, {"width": 399, "bytes": 10**9}, "resolution"),
        ({"taken_at": "2024-01-01"}, {"bytes": 10**9}, "camera_date"),
        ({"bytes": 3000}, {"bytes": 2000, "modified_at": 1}, "size"),
        ({"taken_at": "2020-01-01", "modified_at": 9}, {"taken_at": "2021-01-01", "modified_at": 1}, "date"),
        ({"modified_at": 5}, {"modified_at": 6}, "date"),
        ({"path": "a.jpg"}, {"path": "copy of a.jpg"}, "path"),
    ],
)
def test_the_best_copy_and_why(better, worse, why):
    first, second = row("first", **better), row("second", **worse)
    assert best_of([second, first]) == (first, why)
    assert best_of([first, second]) == (first, why)
