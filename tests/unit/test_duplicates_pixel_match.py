"""The second look: copies lie on their originals, other photos do not."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from support.pictures import encoded, photo

from duplicates.evidence import NEAR_PIXELS
from duplicates.pixel_match import SPEC, agreement, grey
from embeddings.imaging.decode import decode

EDITS = {
    "saved again": lambda image: image,
    "smaller": lambda image: image.resize((240, 180)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "cropped": lambda image: image.crop((0, 18, 456, 360)),
    "cropped on one side": lambda image: image.crop((24, 0, 480, 360)),
    "captioned": lambda image: captioned(image),
}


def captioned(image: Image.Image) -> Image.Image:
    image = image.copy()
    ImageDraw.Draw(image).text((20, 330), "summer 2026", "white")
    return image


def seen(image: Image.Image) -> np.ndarray:
    return grey(decode(encoded(image, "JPEG", quality=80), SPEC, max_pixels=10**6))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("edit", EDITS)
def test_a_copy_agrees(edit, mirrored):
    image = photo(480, 360, 3)
    copy = EDITS[edit](image)
    copy = ImageOps.mirror(copy) if mirrored else copy
    assert agreement(seen(image), seen(copy), mirrored) >= NEAR_PIXELS
    assert agreement(seen(copy), seen(image), mirrored) >= NEAR_PIXELS


def test_another_photo_does_not_agree():
    assert agreement(seen(photo(480, 360, 3)), seen(photo(480, 360, 4)), mirrored=False) < 0.5


def test_a_part_that_moved_does_not_agree():
    """A camera that was moved a little: the near half shifts by more than the far one."""
    image = photo(480, 360, 3)
    other = image.copy()
    other.paste(image.crop((0, 180, 460, 360)), (20, 180))
    assert agreement(seen(image), seen(other), mirrored=False) < NEAR_PIXELS


def test_plain_pictures_agree_as_far_as_their_greys_do():
    black, white, dark = (np.full((64, 64), level, np.uint8) for level in (0, 255, 51))
    assert agreement(black, black, mirrored=False) == 1.0
    assert agreement(black, white, mirrored=False) == 0.0
    assert agreement(black, dark, mirrored=False) == pytest.approx(0.8)
