from datetime import datetime

import pytest
from support.pictures import encoded, exif, quarters

from embeddings.imaging.decode import InputSpec, decode

SPEC = InputSpec(16, 16)


def taken_at(block: bytes, kind: str = "JPEG") -> datetime | None:
    return decode(encoded(quarters(20, 20), kind, exif=block), SPEC, max_pixels=10**6).taken_at


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_the_time_an_image_was_taken(kind: str):
    block = exif(
        DateTimeOriginal="2019:07:03 14:05:59", DateTimeDigitized="2020:01:01 00:00:00", DateTime="2021:01:01 00:00:00"
    )
    assert taken_at(block, kind) == datetime(2019, 7, 3, 14, 5, 59)


def test_other_dates_stand_in():
    assert taken_at(exif(DateTimeDigitized="2020:02:02 01:02:03", DateTime="2021:01:01 00:00:00")) == datetime(
        2020, 2, 2, 1, 2, 3
    )
    assert taken_at(exif(DateTime="2021-01-01T09:08:07+02:00")) == datetime(2021, 1, 1, 9, 8, 7)
    assert taken_at(exif(DateTimeOriginal="0000:00:00 00:00:00", DateTime="2021:01:01 00:00:00")) == datetime(
        2021, 1, 1
    )


@pytest.mark.parametrize("text", ["", "yesterday", "2021:13:01 00:00:00", "2021:02:30 10:00:00", "    :  :     :  :  "])
def test_invalid_dates_are_ignored(text: str):
    assert taken_at(exif(DateTimeOriginal=text)) is None


def test_an_image_with_damaged_exif_is_decoded():
    good = exif(orientation=6, DateTimeOriginal="2019:07:03 14:05:59")
    for end in range(len(good)):
        cut = good[: len(good) - end]
        assert decode(encoded(quarters(20, 20), "JPEG", exif=cut), SPEC, max_pixels=10**6).pixels.shape == (16, 16, 3)
    for at in range(6, len(good)):
        broken = good[:at] + b"\xff" + good[at + 1 :]
        assert decode(encoded(quarters(20, 20), "JPEG", exif=broken), SPEC, max_pixels=10**6).width == 20


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_unknown_orientation_is_upright(orientation: int):
    block = exif(orientation=6).replace(b"\x00\x06", orientation.to_bytes(2, "big"))
    assert decode(encoded(quarters(40, 20), "JPEG", exif=block), SPEC, max_pixels=10**6).width == 40
