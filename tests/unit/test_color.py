import io

import numpy as np
import pytest
from PIL import Image
from support.pictures import QUARTERS, corners, encoded, near, quarters

from embeddings.errors import ImageUndecodable
from embeddings.imaging.color import BAND, to_rgb
from embeddings.imaging.decode import InputSpec, decode

SPEC = InputSpec(40, 40, 1.0, "squash", "bilinear")
WHITE = (255, 255, 255)


def seen(image: Image.Image, kind: str, **options: object) -> list[tuple[int, ...]]:
    """Return the colours of the four quarters after saving and decoding."""
    return corners(decode(encoded(image, kind, **options), SPEC, max_pixels=10**8).pixels)


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        ("P", "PNG GIF BMP TIFF"),
        ("RGB", "PNG BMP HEIF DDS SGI"),
        ("RGBA", "PNG WEBP AVIF ICO TGA"),
        ("RGBX", "TIFF"),
        ("CMYK", "JPEG TIFF"),
        ("YCbCr", "TIFF"),
    ],
)
def test_colours_are_kept(mode: str, kinds: str):
    image = quarters(48, 48).quantize(4) if mode == "P" else quarters(48, 48).convert(mode)
    for kind in kinds.split():
        assert near(seen(image, kind), QUARTERS, 16)


def test_lab_is_converted():
    lab = Image.merge("LAB", [Image.new("L", (40, 40), value) for value in (255, 128, 128)])
    assert near(seen(lab, "TIFF"), (WHITE,) * 4)


@pytest.mark.parametrize(("mode", "kind"), [("L", "JPEG"), ("L", "PNG"), ("LA", "PNG"), ("1", "PNG"), ("1", "TIFF")])
def test_grey_becomes_three_equal_channels(mode: str, kind: str):
    halves = Image.new("L", (40, 40))
    halves.paste(255, (0, 0, 40, 20))
    assert near(seen(halves.convert(mode), kind), (WHITE, WHITE, (0, 0, 0), (0, 0, 0)), 2)


def levels(dtype: str, *values: float) -> Image.Image:
    return Image.fromarray(np.kron(np.array(values, dtype).reshape(2, 2), np.ones((20, 20), dtype)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled(kind: str):
    grey = [colour[0] for colour in seen(levels("uint16", 0, 65535, 32768, 256), kind)]
    assert grey == [0, 255, 128, 1]


def test_16_bits_of_the_other_byte_order_are_scaled():
    image = Image.frombytes("I;16B", (2, 1), b"\x00\x10\xff\x10")
    small, _ = to_rgb(image, 1)
    assert [small.getpixel((x, 0)) for x in (0, 1)] == [(0, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize(
    ("dtype", "values", "wanted"),
    [
        ("float32", (0.0, 1.0, 0.5, 0.2), [0, 255, 128, 51]),  # a share of white
        ("float32", (0.0, 255.0, 100.0, 7.0), [0, 255, 100, 7]),
        ("float32", (-100.0, 100.0, 20.0, 50.0), [0, 255, 153, 191]),  # any range: from lowest to highest
        ("float32", (float("nan"), 1.0, float("inf"), float("-inf")), [0, 255, 255, 0]),
        ("float32", (7e30, 7e30, 7e30, 7e30), [0, 0, 0, 0]),
        ("int32", (0, 255, 100, 7), [0, 255, 100, 7]),
        ("int32", (0, 65535, 32768, 257), [0, 255, 128, 1]),
        ("int32", (0, 2**31 - 1, 2**30, 0), [0, 255, 128, 0]),
    ],
)
def test_plain_numbers_are_scaled(dtype: str, values: tuple[float, ...], wanted: list[int]):
    assert [colour[0] for colour in seen(levels(dtype, *values), "TIFF")] == wanted


def test_transparency_is_seen_over_white():
    image = quarters(40, 40).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 20, 20))
    image.paste((0, 0, 0, 128), (20, 0, 40, 20))
    assert near(seen(image, "PNG"), (WHITE, (127, 127, 127), *QUARTERS[2:]), 2)
    assert near(seen(image, "WEBP", lossless=True), (WHITE, (127, 127, 127), *QUARTERS[2:]), 2)


def test_a_transparent_palette_entry_is_seen_over_white():
    image = quarters(40, 40).quantize(4)
    hole = image.getpixel((5, 5))
    for kind in ("PNG", "GIF"):
        assert near(seen(image, kind, transparency=hole), (WHITE, *QUARTERS[1:]), 8)


def test_a_transparent_colour_is_seen_over_white():
    for mode, hole in (("RGB", QUARTERS[0]), ("L", 91)):
        image = quarters(40, 40).convert(mode)
        image.paste(hole, (0, 0, 20, 20))
        assert near(seen(image, "PNG", transparency=hole)[:1], (WHITE,), 0)


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_alpha_that_is_multiplied_in_is_seen_over_white(mode: str):
    clear = Image.new("RGBA", (40, 40)) if mode == "RGBa" else Image.new("LA", (40, 40))
    small, _ = to_rgb(clear.convert(mode), 1)
    assert small.getpixel((0, 0)) == WHITE


def test_unknown_modes_are_named():
    with pytest.raises(ImageUndecodable, match=r"\(X\)"):
        to_rgb(type("Odd", (), {"mode": "X", "has_transparency_data": False})(), 1)


@pytest.mark.parametrize("size", [(2100, 1400), (3, 700_000), (700_000, 3)])
def test_large_images_are_reduced_in_bands(size: tuple[int, int]):
    assert size[0] * size[1] > BAND
    image = Image.linear_gradient("L").resize(size)
    whole = image.convert("RGB").reduce(3)
    small, factor = to_rgb(image.convert("P"), 6.9)
    assert factor == 3
    assert small.size == whole.size
    assert np.abs(np.asarray(small, int) - np.asarray(whole)).max() <= 1


def test_plain_images_are_not_copied():
    image = Image.open(io.BytesIO(encoded(quarters(40, 40), "PNG")))
    image.load()
    assert to_rgb(image, 100) == (image, 1)
