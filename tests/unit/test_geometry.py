import itertools

import numpy as np
import pytest
from PIL import Image, ImageOps

from embeddings.errors import ModelError, UsageError
from embeddings.imaging.geometry import ORIENTATIONS, Box, InputSpec, crop_plan


def test_center_crop_is_where_timm_puts_it():
    # 500 x 375: the short side becomes 256, so 341 x 256; the crop starts at round(117 / 2) = 58 and at 16
    plan = crop_plan(500, 375, InputSpec(224, 224, 0.875))
    across, down = 500 / 341, 375 / 256
    assert plan.source == pytest.approx((58 * across, 16 * down, 282 * across, 240 * down))
    assert plan.size == (224, 224)
    assert plan.offset == (0, 0)
    assert plan.shrink == pytest.approx(375 / 256)


def test_squash_takes_the_whole_image():
    plan = crop_plan(400, 100, InputSpec(50, 50, 1.0, "squash"))
    assert plan.source == (0, 0, 400, 100)
    assert plan.shrink == 2  # as far as the short side allows


def test_border_fits_the_long_side_and_leaves_margins():
    plan = crop_plan(400, 100, InputSpec(50, 50, 1.0, "border"))
    assert plan.source == (0, 0, 400, 100)
    assert plan.size == (50, 12)  # round(12.5) is even
    assert plan.offset == (0, 19)


def test_a_model_that_is_not_square_keeps_proportions():
    plan = crop_plan(100, 100, InputSpec(height=40, width=20, crop_pct=1.0))
    assert plan.source == (25, 0, 75, 100)


def test_box_is_cut_out_before_the_crop():
    plan = crop_plan(200, 100, InputSpec(10, 10, 1.0), Box(0.5, 0.0, 0.5, 1.0))
    assert plan.source == (100, 0, 200, 100)


def test_the_smallest_box_has_a_pixel():
    left, top, right, bottom = crop_plan(100, 100, InputSpec(8, 8, 1.0), Box(1 - 1e-9, 1 - 1e-9, 1e-9, 1e-9)).source
    assert (left, top, right, bottom) == (99, 99, 100, 100)


def test_crop_lies_within_every_image():
    for width, height, size in itertools.product((1, 2, 3, 7, 224, 4001), (1, 5, 224, 9973), (1, 32, 299)):
        for mode in ("center", "squash", "border"):
            left, top, right, bottom = crop_plan(width, height, InputSpec(size, size, 0.9, mode)).source
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height


@pytest.mark.parametrize(
    "sides",
    [(-0.1, 0, 0.5, 0.5), (0, 0, 1.1, 1), (0.6, 0, 0.5, 1), (0, 0, 0, 1), (0, 0, 1, -1), (0, float("nan"), 1, 1)],
)
def test_box_outside_the_image_is_refused(sides: tuple[float, float, float, float]):
    with pytest.raises(UsageError) as caught:
        Box(*sides)
    assert caught.value.field == "box"


def test_a_box_may_end_a_rounding_error_outside():
    Box(0.7, 0.0, 0.30000000000000004, 1.0)


@pytest.mark.parametrize(
    "fields", [{"height": 0}, {"crop_pct": 0}, {"crop_mode": "zoom"}, {"interpolation": "sharpest"}]
)
def test_an_impossible_input_is_a_model_error(fields: dict[str, object]):
    with pytest.raises(ModelError):
        InputSpec(**({"height": 8, "width": 8} | fields))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_those_of_exif(orientation: int):
    stored = np.arange(15, dtype=np.uint8).reshape(3, 5)
    image = Image.fromarray(stored)
    image.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image))
    orientation = ORIENTATIONS[orientation]
    assert np.array_equal(orientation.upright(stored), upright)
    assert orientation.size(5, 3) == upright.shape[::-1]

    left, top, right, bottom = orientation.stored((1, 0, 2, 3), *orientation.size(5, 3))
    assert np.array_equal(orientation.upright(stored[top:bottom, left:right]), upright[0:3, 1:2])
