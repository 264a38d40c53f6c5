import math

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from support.pictures import encoded, photo

from embeddings.imaging.decode import InputSpec, decode
from embeddings.imaging.geometry import ORIENTATIONS
from embeddings.imaging.phash import phash

MEAN_BIT = 1 << 63
SPEC = InputSpec(32, 32)


def distance(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def hash_of(image: Image.Image, kind: str = "PNG", **options: int) -> int:
    return decode(encoded(image, kind, **options), SPEC, max_pixels=10**8).phash


@pytest.mark.parametrize("frequency", [1, 3, 7])
def test_a_cosine_sets_the_bit_of_its_frequency(frequency: int):
    # one horizontal cosine: its transform has only the mean and that frequency, so the median is 0
    wave = 128 + 100 * np.cos(math.pi * (2 * np.arange(32) + 1) * frequency / 64)
    across = Image.fromarray(np.tile(np.rint(wave), (32, 1)).astype(np.uint8))
    found = phash(across, ORIENTATIONS[1])
    assert found & MEAN_BIT
    assert found & (MEAN_BIT >> frequency)
    assert not found & 0x00FFFFFFFFFFFFFF  # no vertical frequency

    turned = phash(across, ORIENTATIONS[5])
    assert turned & (MEAN_BIT >> 8 * frequency)
    assert not turned & 0x7F7F7F7F7F7F7F7F


def test_flat_images_have_only_a_mean():
    for grey in (1, 77, 255):
        assert phash(Image.new("L", (300, 200), grey), ORIENTATIONS[1]) == MEAN_BIT
    assert phash(Image.new("RGB", (300, 200)), ORIENTATIONS[1]) == 0


def test_saving_again_and_resizing_changes_few_bits():
    for seed in range(3):
        original = photo(400, 300, seed)
        wanted = hash_of(original)
        again = [
            hash_of(original, "JPEG", quality=50),
            hash_of(original, "WEBP", quality=60),
            hash_of(original.resize((200, 150))),
            hash_of(original.resize((1000, 750)), "JPEG", quality=85),
            hash_of(original.convert("L")),
            hash_of(ImageEnhance.Brightness(original).enhance(0.9)),
        ]
        assert max(distance(wanted, other) for other in again) <= 6


def test_other_images_are_far():
    hashes = [hash_of(photo(100, 75, seed)) for seed in range(20)]
    distances = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > 12
    assert 26 < sum(distances) / len(distances) < 38
