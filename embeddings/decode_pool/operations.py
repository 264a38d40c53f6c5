"""What decode processes do with one image file, and how their answers become images again in the parent.

An operation takes the bytes of a file and named arguments of JSON; it returns facts, of JSON too, and a content.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np

from embeddings import errors
from embeddings.decode_pool.channel import Buffer
from embeddings.errors import ImageError, ImageUndecodable, LookalikeError
from embeddings.imaging import decode as imaging
from embeddings.imaging.decode import Box, DecodedImage, InputSpec

Facts = dict[str, Any]
DECODE = f"{__name__}:decode"
THUMBNAIL = f"{__name__}:thumbnail"
MAX_TEXT = 2000


def decode(
    data: bytes, spec: Mapping[str, Any], box: Mapping[str, float] | None, max_pixels: int
) -> tuple[Facts, Buffer]:
    """Decode a file as embeddings.imaging.decode.decode does; the content is the pixels."""
    fill = tuple(spec["fill"])
    image = imaging.decode(
        data, InputSpec(**{**spec, "fill": fill}), max_pixels=max_pixels, box=Box(**box) if box else None
    )
    taken_at = image.taken_at.isoformat() if image.taken_at else None
    return {"width": image.width, "height": image.height, "phash": image.phash, "taken_at": taken_at}, image.pixels


def thumbnail(data: bytes, side: int, max_pixels: int) -> tuple[Facts, Buffer]:
    """Make a thumbnail as embeddings.imaging.decode.thumbnail does; the content is the JPEG."""
    return {}, imaging.thumbnail(data, side, max_pixels=max_pixels)


def decode_arguments(spec: InputSpec, box: Box | None, max_pixels: int) -> dict[str, Any]:
    """Return the arguments of `decode`."""
    return {"spec": asdict(spec), "box": asdict(box) if box else None, "max_pixels": max_pixels}


def decoded_image(facts: Facts, pixels: np.ndarray, spec: InputSpec) -> DecodedImage:
    """Return the image of an answer to `decode`. Raises ValueError, KeyError or TypeError for an impossible one."""
    width, height, phash = (_integer(facts[name]) for name in ("width", "height", "phash"))
    taken_at = facts["taken_at"]
    return DecodedImage(
        pixels.reshape(spec.height, spec.width, 3),
        width,
        height,
        phash,
        None if taken_at is None else datetime.fromisoformat(taken_at),
    )


def described(error: LookalikeError) -> dict[str, Any]:
    """Return an error as JSON."""
    return {"error": type(error).__name__, "message": error.message[:MAX_TEXT], "field": error.field}


def told(answer: Mapping[str, Any]) -> LookalikeError:
    """Return the error that an answer describes; an unknown one is an image that cannot be decoded."""
    kind = getattr(errors, str(answer["error"]), None)
    if not (isinstance(kind, type) and issubclass(kind, ImageError | errors.UsageError)):
        kind = ImageUndecodable
    field = answer.get("field")
    return kind(str(answer.get("message"))[:MAX_TEXT], field=None if field is None else str(field)[:MAX_TEXT])


def _integer(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**64:
        raise ValueError("no number of an image")
    return value
