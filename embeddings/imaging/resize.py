"""Resizes a part of an image as Pillow does, on average within a quarter of a level, at a multiple of its speed."""

import math

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from embeddings.imaging.geometry import Rectangle

try:
    from cykooz_resizer import CropBox, FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer
except ImportError:  # no wheel for this system: Pillow resizes everything
    FILTERS = {}
else:
    FILTERS = {  # each with its reach in pixels of the result
        Resampling.BILINEAR: (ResizeAlg.convolution(FilterType.bilinear), 1),
        Resampling.BICUBIC: (ResizeAlg.convolution(FilterType.catmull_rom), 2),
        Resampling.LANCZOS: (ResizeAlg.convolution(FilterType.lanczos3), 3),
    }

GAP = 2.0  # an image more than 2 * GAP times too large is first averaged to about GAP times, which is much faster


def resize(image: Image.Image, box: Rectangle, size: tuple[int, int], resampling: Resampling) -> np.ndarray:
    """Return a part of a grey or RGB image as RGB pixels of another size."""
    shrink = max((box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1])
    if resampling in FILTERS and shrink < 2 * GAP:
        pixels = _convolved(image, box, size, resampling)
    else:
        pixels = np.asarray(image.resize(size, resampling, box=box, reducing_gap=GAP))
    return np.repeat(pixels.reshape(*size[::-1], 1), 3, axis=2) if image.mode == "L" else pixels


def _convolved(image: Image.Image, box: Rectangle, size: tuple[int, int], resampling: Resampling) -> np.ndarray:
    """Resize in Pillow's order: horizontally, rounded to whole levels, then vertically."""
    algorithm, reach = FILTERS[resampling]
    left, right, x = _needed(box[0], box[2], image.width, size[0], reach)
    top, bottom, y = _needed(box[1], box[3], image.height, size[1], reach)
    kind = PixelType.U8 if image.mode == "L" else PixelType.U8x3
    width, height = right - left, bottom - top
    whole = ImageData(width, height, kind, image.crop((left, top, right, bottom)).tobytes())
    across, down = ImageData(size[0], height, kind), ImageData(*size, kind)
    resizer = Resizer()
    resizer.resize(whole, across, ResizeOptions(algorithm, crop_box=CropBox(x[0], 0, x[1], height)))
    resizer.resize(across, down, ResizeOptions(algorithm, crop_box=CropBox(0, y[0], size[0], y[1])))
    return np.frombuffer(down.get_buffer(), np.uint8).reshape(*size[::-1], -1)


def _needed(start: float, end: float, length: int, wanted: int, reach: int) -> tuple[int, int, tuple[float, float]]:
    """Return the range of pixels of an axis that the resize of a part reads, and start and length of the part in it."""
    margin = reach * max(1.0, (end - start) / wanted) + 1
    first, last = max(0, math.floor(start - margin)), min(length, math.ceil(end + margin))
    start, end = start - first, end - first
    return (
        first,
        last,
        (start, min(end - start, math.nextafter(last - first - start, 0))),
    )  # their sum stays within the range
