"""EXIF data of an image: its orientation and the time it was taken."""

import re
from datetime import datetime

from PIL import Image
from PIL.ExifTags import IFD, Base

from embeddings.imaging.formats import UPRIGHT_IDS
from embeddings.imaging.geometry import ORIENTATIONS, Orientation

DATE = re.compile(r"\s*(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T](\d\d):(\d\d):(\d\d)")


def orientation_of(image: Image.Image) -> Orientation:
    """Return how the pixels, as Pillow loads them, become upright."""
    orientation = None if image.format in UPRIGHT_IDS else _exif(image).get(Base.Orientation)
    return ORIENTATIONS.get(orientation, ORIENTATIONS[1]) if isinstance(orientation, int) else ORIENTATIONS[1]


def taken_at(image: Image.Image) -> datetime | None:
    """Return when the image was taken by the camera's clock; None if its EXIF data have no date."""
    exif = _exif(image)
    try:
        details = exif.get_ifd(IFD.Exif)
    except Exception:  # Pillow's parser can raise anything on a damaged block, which then counts as none
        details = {}
    dates = (details.get(Base.DateTimeOriginal), details.get(Base.DateTimeDigitized), exif.get(Base.DateTime))
    return next((date for date in map(_date, dates) if date), None)


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:  # as above: the pixels can be used all the same
        return Image.Exif()


def _date(value: object) -> datetime | None:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    match = DATE.match(text) if isinstance(text, str) else None
    if match is None:
        return None
    try:
        return datetime(*map(int, match.groups()))  # type: ignore[arg-type]
    except ValueError:  # cameras without a set clock write 0000:00:00 00:00:00
        return None
