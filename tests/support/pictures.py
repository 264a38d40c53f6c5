"""Pictures made up for tests."""

import io
from typing import Any

import numpy as np
from PIL import ExifTags, Image

QUARTERS = (
    (200, 40, 40),
    (40, 200, 40),
    (40, 40, 200),
    (220, 220, 60),
)  # top left, top right, bottom left, bottom right


def quarters(width: int, height: int) -> Image.Image:
    """Return a picture whose four quarters have different colours, so that a turn or a shift shows."""
    pixels = np.empty((height, width, 3), np.uint8)
    for i, colour in enumerate(QUARTERS):
        row, column = divmod(i, 2)
        rows = slice(0, height // 2) if row == 0 else slice(height // 2, None)
        columns = slice(0, width // 2) if column == 0 else slice(width // 2, None)
        pixels[rows, columns] = colour
    return Image.fromarray(pixels)


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a smooth random picture with some texture, like a photo."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).resize((width, height), Image.BICUBIC)
    fine = Image.fromarray(random.integers(0, 256, (60, 80, 3), np.uint8)).resize((width, height), Image.BICUBIC)
    return Image.blend(coarse, fine, 0.15)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the image as a file of the given Pillow format."""
    if kind == "PNG":
        options = {"compress_level": 1} | options  # a sixth of the time
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation: int | None = None, **dates: str) -> bytes:
    """Return an EXIF block; dates by tag name, such as DateTimeOriginal."""
    block = Image.Exif()
    if orientation:
        block[ExifTags.Base.Orientation] = orientation
    for name, value in dates.items():
        target = block if name == "DateTime" else block.get_ifd(ExifTags.IFD.Exif)
        target[ExifTags.Base[name]] = value
    return block.tobytes()


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """Return the colours in the middle of the four quarters, in the order of QUARTERS."""
    height, width = pixels.shape[:2]
    places = [(height // 4 * y, width // 4 * x) for y in (1, 3) for x in (1, 3)]
    return [tuple(int(c) for c in pixels[y, x]) for y, x in places]


def near(found: list[tuple[int, ...]], wanted: tuple[tuple[int, ...], ...], tolerance: int = 12) -> bool:
    """Return whether all colours are the wanted ones but for what lossy formats change."""
    return bool(np.abs(np.asarray(found, int) - np.asarray(wanted, int)).max() <= tolerance)
