"""The geometry of an image: the model's crop, a user's box and the EXIF orientation, as plain numbers."""

import math
from dataclasses import dataclass

import numpy as np
from PIL.Image import Resampling

from embeddings.errors import ModelError, UsageError

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom
ROUNDING = 1e-6  # how far a box may end outside, as 0.7 + 0.3 is not always 1


@dataclass(frozen=True)
class InputSpec:
    """The input of a model, in the terms of timm's data configuration."""

    height: int
    width: int
    crop_pct: float = 0.875
    crop_mode: str = "center"
    interpolation: str = "bicubic"
    fill: tuple[int, int, int] = (128, 128, 128)

    def __post_init__(self) -> None:
        """Raise ModelError at once for values that would fail with every image."""
        if self.height < 1 or self.width < 1 or self.crop_pct <= 0:
            raise ModelError(
                f"the model's input size is impossible: {self.width} x {self.height}, crop {self.crop_pct}"
            )
        if self.crop_mode not in ("center", "squash", "border"):
            raise ModelError(f"the model's crop mode is unknown: {self.crop_mode!r}")
        if self.interpolation.upper() not in Resampling.__members__:
            raise ModelError(f"the model's interpolation is unknown: {self.interpolation!r}")

    @property
    def resampling(self) -> Resampling:
        """Pillow's filter of that name."""
        return Resampling[self.interpolation.upper()]


@dataclass(frozen=True)
class Box:
    """A part of the upright image, in fractions of its width and height."""

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        """Raise UsageError if the box is empty or ends outside the image."""
        sides = (self.x, self.y, self.width, self.height)
        if not all(map(math.isfinite, sides)) or self.width <= 0 or self.height <= 0:
            raise UsageError("box must have a width and a height above 0", field="box")
        ends = (self.x, self.y, self.x + self.width, self.y + self.height)
        if not all(-ROUNDING <= end <= 1 + ROUNDING for end in ends):
            raise UsageError("box must lie within 0..1 (x, y, width and height are fractions)", field="box")


@dataclass(frozen=True)
class CropPlan:
    """Recipe of the model's input: `source` of the upright image is resized to `size` and placed at `offset`."""

    source: Rectangle
    size: tuple[int, int]
    offset: tuple[int, int]

    @property
    def shrink(self) -> float:
        """Factor by which the image may be made smaller before detail is lost."""
        left, top, right, bottom = self.source
        return min((right - left) / self.size[0], (bottom - top) / self.size[1])


def crop_plan(width: int, height: int, spec: InputSpec, box: Box | None = None) -> CropPlan:
    """Return the crop that timm's evaluation transform makes of a width x height image, or of the part in `box`."""
    left, top, part_width, part_height = _part(width, height, box)
    resized = _resized(part_width, part_height, spec)
    x, across, x_offset = _middle(resized[0], spec.width)
    y, down, y_offset = _middle(resized[1], spec.height)
    x_scale, y_scale = part_width / resized[0], part_height / resized[1]
    source = (
        left + x * x_scale,
        top + y * y_scale,
        min(left + (x + across) * x_scale, float(width)),
        min(top + (y + down) * y_scale, float(height)),
    )
    return CropPlan(source, (across, down), (x_offset, y_offset))


def _part(width: int, height: int, box: Box | None) -> Rectangle:
    """Return left, top, width and height of the box in pixels, at least one pixel wide and high."""
    if box is None:
        return 0.0, 0.0, float(width), float(height)
    part_width = min(max(box.width * width, 1.0), float(width))
    part_height = min(max(box.height * height, 1.0), float(height))
    left = min(max(box.x * width, 0.0), width - part_width)
    top = min(max(box.y * height, 0.0), height - part_height)
    return left, top, part_width, part_height


def _resized(width: float, height: float, spec: InputSpec) -> tuple[int, int]:
    """Return the size to which timm resizes an image before it crops the middle."""
    want_width, want_height = math.floor(spec.width / spec.crop_pct), math.floor(spec.height / spec.crop_pct)
    if spec.crop_mode == "squash":
        return want_width, want_height
    if spec.crop_mode == "center" and want_width == want_height:
        short = want_width
        return (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
    choose = max if spec.crop_mode == "border" else min
    ratio = choose(width / want_width, height / want_height)
    return max(1, round(width / ratio)), max(1, round(height / ratio))


def _middle(length: int, wanted: int) -> tuple[int, int, int]:
    """Return start and length of the middle of an axis, and its offset in the input if the axis is too short."""
    if length < wanted:
        return 0, length, (wanted - length) // 2
    return round((length - wanted) / 2), wanted, 0


@dataclass(frozen=True)
class Orientation:
    """Steps that turn a stored image upright: transposed first, then mirrored left-right and top-bottom."""

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return upright width and height for stored ones, or the reverse."""
        return (height, width) if self.transposed else (width, height)

    def stored(self, upright: Rectangle, width: float, height: float) -> Rectangle:
        """Return where a rectangle of the upright image, which is width x height, lies in the stored one."""
        left, top, right, bottom = upright
        if self.mirrored:
            left, right = width - right, width - left
        if self.flipped:
            top, bottom = height - bottom, height - top
        return (top, left, bottom, right) if self.transposed else (left, top, right, bottom)

    def upright(self, stored: np.ndarray) -> np.ndarray:
        """Return stored pixels [height, width, ...] turned upright."""
        turned = stored.swapaxes(0, 1) if self.transposed else stored
        turned = turned[:, ::-1] if self.mirrored else turned
        return turned[::-1] if self.flipped else turned


ORIENTATIONS = {  # by EXIF orientation
    1: Orientation(),
    2: Orientation(mirrored=True),
    3: Orientation(mirrored=True, flipped=True),
    4: Orientation(flipped=True),
    5: Orientation(transposed=True),
    6: Orientation(transposed=True, mirrored=True),
    7: Orientation(transposed=True, mirrored=True, flipped=True),
    8: Orientation(transposed=True, flipped=True),
}
