"""Decodes image files: from bytes to upright RGB pixels of the model's size, and to thumbnails."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from PIL import Image

from embeddings.errors import UsageError
from embeddings.imaging.color import to_rgb
from embeddings.imaging.exif import orientation_of, taken_at
from embeddings.imaging.formats import DRAFT_IDS
from embeddings.imaging.geometry import Box, InputSpec, Orientation, Rectangle, crop_plan
from embeddings.imaging.open_image import decoder_errors, open_image
from embeddings.imaging.phash import phash
from embeddings.imaging.resize import resize

__all__ = ["Box", "DecodedImage", "InputSpec", "content_hash", "decode", "thumbnail"]

THUMBNAIL_QUALITY = 80
DRAFT_DIVISORS = (8, 4, 2)  # libjpeg can divide an image's sides by these while it decodes

Shrink = Callable[[int, int], float]  # from upright width and height to how many times smaller the image may be


@dataclass(frozen=True)
class DecodedImage:
    """An image as the model sees it.

    `pixels` is uint8 [height, width, 3], RGB, of the model's size; `width` and `height` are those of the upright
    original; `phash` is the hash of the whole image; `taken_at` is the camera's local time.
    """

    pixels: np.ndarray = field(repr=False)
    width: int
    height: int
    phash: int
    taken_at: datetime | None


@dataclass(frozen=True)
class _StoredImage:
    """A decoded image, grey or RGB, as stored: not yet upright, and `reduction` times smaller than the original.

    `width` and `height` are those of the upright original.
    """

    image: Image.Image
    reduction: int
    width: int
    height: int
    orientation: Orientation
    taken_at: datetime | None

    def resize(self, part: Rectangle, size: tuple[int, int], resampling: Image.Resampling) -> np.ndarray:
        """Return a part of the upright original as upright RGB pixels."""
        stored = self.orientation.stored(part, self.width, self.height)
        left, top, right, bottom = (end / self.reduction for end in stored)
        box = left, top, min(right, self.image.width), min(bottom, self.image.height)  # division may round up
        return self.orientation.upright(resize(self.image, box, self.orientation.size(*size), resampling))


def content_hash(data: bytes) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes, spec: InputSpec, *, max_pixels: int, box: Box | None = None) -> DecodedImage:
    """Return the image, or the part of it in `box`, as the model's input.

    The pixels are those of timm's evaluation transform, but for two things: a JPEG is decoded at a fraction of its
    size, and one resize leads straight to the crop. Raises ImageError.
    """
    stored = _load(data, lambda width, height: crop_plan(width, height, spec, box).shrink, max_pixels)
    plan = crop_plan(stored.width, stored.height, spec, box)
    pixels = stored.resize(plan.source, plan.size, spec.resampling)
    return DecodedImage(
        _on_canvas(pixels, plan.offset, spec),
        stored.width,
        stored.height,
        phash(stored.image, stored.orientation),
        stored.taken_at,
    )


def thumbnail(data: bytes, side: int, *, max_pixels: int) -> bytes:
    """Return the image as an upright JPEG without metadata, its longer side `side` at maximum. Raises ImageError."""
    if side < 1:
        raise UsageError("the side of a thumbnail must be at least 1", field="side")
    stored = _load(data, lambda width, height: max(width, height) / side, max_pixels)
    scale = min(1.0, side / max(stored.width, stored.height))
    size = max(1, round(stored.width * scale)), max(1, round(stored.height * scale))
    pixels = stored.resize((0, 0, stored.width, stored.height), size, Image.Resampling.BICUBIC)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=THUMBNAIL_QUALITY)
    return out.getvalue()


def _load(data: bytes, shrink: Shrink, max_pixels: int) -> _StoredImage:
    """Decode an image file, at a fraction of its size where `shrink` permits."""
    with decoder_errors(max_pixels):
        image = open_image(data, max_pixels)
        original = image.size
        draft = _draft(image, shrink)
        image.load()
        width, height = original if draft > 1 else image.size  # loading can correct the size in the header
        orientation = orientation_of(image)
        upright = orientation.size(width, height)
        small, factor = to_rgb(image, shrink(*upright) / draft)
        return _StoredImage(small, draft * factor, *upright, orientation, taken_at(image))


def _draft(image: Image.Image, shrink: Shrink) -> int:
    """Have a JPEG decoded at 1/2, 1/4 or 1/8 of its size where that is large enough; return the divisor."""
    if image.format not in DRAFT_IDS:
        return 1
    width, height = image.size
    room = shrink(*orientation_of(image).size(width, height))
    divisor = next((divisor for divisor in DRAFT_DIVISORS if divisor <= room), 1)
    drafted = image.draft(None, (max(1, width // divisor), max(1, height // divisor))) if divisor > 1 else None
    return round(width / drafted[1][2]) if drafted else 1


def _on_canvas(pixels: np.ndarray, offset: tuple[int, int], spec: InputSpec) -> np.ndarray:
    """Return contiguous pixels of the model's size, the margins filled as timm does."""
    height, width = pixels.shape[:2]
    if (height, width) == (spec.height, spec.width):
        return np.ascontiguousarray(pixels)
    left, top = offset
    canvas = np.empty((spec.height, spec.width, 3), np.uint8)
    canvas[:] = spec.fill if spec.crop_mode == "border" else 0
    canvas[top : top + height, left : left + width] = pixels
    return canvas
