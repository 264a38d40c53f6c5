"""Converts images of any Pillow mode to grey or RGB, composed over white, without a large copy."""

import math
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from embeddings.errors import ImageUndecodable

BAND = 1 << 20  # pixels converted at a time
PLAIN = frozenset({"L", "RGB"})
DIRECT = frozenset({"1", "P", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})
WITH_ALPHA = frozenset({"LA", "PA", "RGBA", "RGBa"})
CEILINGS = (1, 255, 65535)  # values of white in images of plain numbers

Convert = Callable[[Image.Image], Image.Image]


def to_rgb(image: Image.Image, shrink: float) -> tuple[Image.Image, int]:
    """Return a loaded image in mode L or RGB, made smaller by a whole factor, and that factor.

    `shrink` is how many times smaller the caller will make the image; the result is at least twice as large as that.
    An image that is L or RGB already is returned as it is.
    """
    if image.mode in PLAIN and not image.has_transparency_data:
        return image, 1
    convert = _conversion(image)
    factor = max(1, int(shrink / 2))
    small = Image.new("RGB", (math.ceil(image.width / factor), math.ceil(image.height / factor)))
    for top, band in _bands(image, factor):
        small.paste(convert(band).reduce(factor), (0, top // factor))
    return small, factor


def _bands(image: Image.Image, factor: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield horizontal parts of the image with their tops, which are multiples of `factor`."""
    rows = max(1, BAND // (image.width * factor)) * factor
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(image.height, top + rows)))


def _conversion(image: Image.Image) -> Convert:
    if image.mode.startswith("I;16"):
        return _from_16_bits
    if image.mode in ("I", "F"):
        return _from_numbers(*_range(image))
    if image.mode == "La":
        return lambda band: _over_white(band.convert("LA"))
    if image.mode in WITH_ALPHA or image.has_transparency_data:
        return _over_white
    if image.mode in DIRECT:
        return lambda band: band.convert("RGB")
    raise ImageUndecodable(f"The image has a pixel mode that lookalike does not read ({image.mode}).")


def _over_white(band: Image.Image) -> Image.Image:
    rgba = band.convert("RGBA")
    white = Image.new("RGB", band.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def _from_16_bits(band: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(band) >> 8).astype(np.uint8))


def _from_numbers(black: float, white: float) -> Convert:
    """Return a conversion that maps black..white to 0..255 and NaN to black."""
    scale = 255 / (white - black) if white > black else 0.0

    def convert(band: Image.Image) -> Image.Image:
        values = np.nan_to_num((np.asarray(band, np.float64) - black) * scale, nan=0.0)
        return Image.fromarray(np.rint(values.clip(0, 255)).astype(np.uint8))

    return convert


def _range(image: Image.Image) -> tuple[float, float]:
    """Return the values of black and white: a common range that the values fit into, else their minimum and maximum."""
    low, high = math.inf, -math.inf
    for _, band in _bands(image):
        values = np.asarray(band, np.float64)
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        return 0.0, 1.0
    ceiling = next((ceiling for ceiling in CEILINGS if low >= 0 and high <= ceiling), None)
    return (low, high) if ceiling is None else (0.0, float(ceiling))
