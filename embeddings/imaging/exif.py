"""What a picture's EXIF data say about it: which side is up and when it was taken."""

import re
from datetime import datetime

from PIL import Image
from PIL.ExifTags import IFD, Base

from embeddings.imaging.geometry import ORIENTATIONS, Orientation

DATE = re.compile(r"\s*(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T](\d\d):(\d\d):(\d\d)")


def turn_of(image: Image.Image) -> Orientation:
    """Return how the pixels, as Pillow loads them, become upright.

    Pillow itself turns TIFFs, and libheif HEICs, while they are loaded.
    """
    if image.format in ("TIFF", "HEIF"):
        return ORIENTATIONS[1]
    orientation = _exif(image).get(Base.Orientation)
    return ORIENTATIONS.get(orientation, ORIENTATIONS[1]) if isinstance(orientation, int) else ORIENTATIONS[1]


def taken_at(image: Image.Image) -> datetime | None:
    """Return when the picture was taken by the camera's clock, if it says so."""
    exif = _exif(image)
    try:
        details = exif.get_ifd(IFD.Exif)
    except Exception:  # a damaged block, of which Pillow's parser can raise anything, is as good as none
        details = {}
    dates = (details.get(Base.DateTimeOriginal), details.get(Base.DateTimeDigitized), exif.get(Base.DateTime))
    return next((date for date in map(_date, dates) if date), None)


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:  # as above: the pixels are good, so the picture is
        return Image.Exif()


def _date(value: object) -> datetime | None:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    found = DATE.match(text) if isinstance(text, str) else None
    if found is None:
        return None
    try:
        return datetime(*map(int, found.groups()))  # type: ignore[arg-type]
    except ValueError:  # cameras without a set clock write 0000:00:00 00:00:00
        return None
