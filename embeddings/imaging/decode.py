"""Bytes of an image file to checked, upright RGB pixels of the model's size, and what else the file tells."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from PIL import Image

from embeddings.errors import UsageError
from embeddings.imaging.color import to_rgb
from embeddings.imaging.exif import taken_at, turn_of
from embeddings.imaging.formats import decoder_errors, open_image
from embeddings.imaging.geometry import Box, InputSpec, Orientation, Rectangle, frame
from embeddings.imaging.phash import phash
from embeddings.imaging.resize import resize

__all__ = ["Box", "DecodedImage", "InputSpec", "content_hash", "decode", "thumbnail"]

THUMBNAIL_QUALITY = 80
DRAFTS = (8, 4, 2)  # what libjpeg can divide a picture's sides by while it decodes

Shrink = Callable[[int, int], float]


@dataclass(frozen=True)
class DecodedImage:
    """An image as the model sees it.

    `pixels` is uint8 [height, width, 3], RGB, of the model's size; `width` and `height` are those of the upright
    original; `phash` is the hash of the whole picture; `taken_at` is the camera's local time.
    """

    pixels: np.ndarray = field(repr=False)
    width: int
    height: int
    phash: int
    taken_at: datetime | None


@dataclass(frozen=True)
class _Picture:
    """A decoded picture, grey or RGB, as stored: perhaps turned, and `reduction` times smaller than the original."""

    image: Image.Image
    reduction: int
    width: int
    height: int
    turn: Orientation
    taken_at: datetime | None

    def resize(self, part: Rectangle, size: tuple[int, int], resampling: Image.Resampling) -> np.ndarray:
        """Return a part of the upright original as upright RGB pixels."""
        left, top, right, bottom = (end / self.reduction for end in self.turn.stored(part, self.width, self.height))
        box = left, top, min(right, self.image.width), min(bottom, self.image.height)  # division may round up
        return self.turn.upright(resize(self.image, box, self.turn.size(*size), resampling))


def content_hash(data: bytes) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes, spec: InputSpec, *, max_pixels: int, box: Box | None = None) -> DecodedImage:
    """Return the image as the model wants to see it (or the part of it in `box`).

    The same as timm's evaluation transform but for a JPEG decoded at a fraction of its size, and one resize straight
    to the crop. Raises ImageError.
    """
    picture = _read(data, lambda width, height: frame(width, height, spec, box).shrink, max_pixels)
    framing = frame(picture.width, picture.height, spec, box)
    pixels = picture.resize(framing.source, framing.size, spec.resampling)
    return DecodedImage(
        _on_canvas(pixels, framing.offset, spec),
        picture.width,
        picture.height,
        phash(picture.image, picture.turn),
        picture.taken_at,
    )


def thumbnail(data: bytes, side: int, *, max_pixels: int) -> bytes:
    """Return the image as a small upright JPEG without metadata, its longer side at most `side`. Raises ImageError."""
    if side < 1:
        raise UsageError("the side of a thumbnail must be at least 1", field="side")
    picture = _read(data, lambda width, height: max(width, height) / side, max_pixels)
    scale = min(1.0, side / max(picture.width, picture.height))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    pixels = picture.resize((0, 0, picture.width, picture.height), size, Image.Resampling.BICUBIC)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=THUMBNAIL_QUALITY)
    return out.getvalue()


def _read(data: bytes, shrink: Shrink, max_pixels: int) -> _Picture:
    """Decode the file's picture, at a fraction of its size where `shrink` of its upright size leaves room for that."""
    with decoder_errors(max_pixels):
        image = open_image(data, max_pixels)
        original = image.size
        draft = _draft(image, shrink)
        image.load()
        width, height = original if draft > 1 else image.size  # loading can correct what the header says
        turn = turn_of(image)
        upright = turn.size(width, height)
        smaller, factor = to_rgb(image, shrink(*upright) / draft)
        return _Picture(smaller, draft * factor, *upright, turn, taken_at(image))


def _draft(image: Image.Image, shrink: Shrink) -> int:
    """Have a JPEG decoded at 1/2, 1/4 or 1/8 of its size if that is enough; return by how much."""
    if image.format not in ("JPEG", "MPO"):
        return 1
    width, height = image.size
    room = shrink(*turn_of(image).size(width, height))
    divisor = next((divisor for divisor in DRAFTS if divisor <= room), 1)
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
