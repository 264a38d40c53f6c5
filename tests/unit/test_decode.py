import io

import numpy as np
import pytest
from PIL import Image
from support.pictures import QUARTERS, corners, encoded, exif, near, photo, quarters

from embeddings.errors import ImageError, UsageError
from embeddings.imaging.decode import Box, InputSpec, content_hash, decode, thumbnail

WHOLE = InputSpec(40, 40, 1.0, "squash", "bilinear")
CROP = InputSpec(64, 64)
M = 10**8


def test_content_hash_is_sha256():
    assert content_hash(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM"])
def test_every_format_is_decoded_to_upright_rgb_pixels(kind: str):
    decoded = decode(encoded(quarters(120, 80), kind), WHOLE, max_pixels=M)
    assert (decoded.width, decoded.height) == (120, 80)
    assert decoded.pixels.shape == (40, 40, 3)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.flags.c_contiguous
    assert 0 <= decoded.phash < 2**64
    assert near(corners(decoded.pixels), QUARTERS, 16)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "AVIF", "PNG", "MPO", "HEIF"])
def test_the_first_frame_is_decoded(kind: str):
    others = [Image.new("RGB", (80, 80), "black")]
    data = encoded(quarters(80, 80), kind, save_all=True, append_images=others)
    assert near(corners(decode(data, WHOLE, max_pixels=M).pixels), QUARTERS, 16)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "MPO"])
def test_orientation_is_applied_once(kind: str, orientation: int):
    stored = stored_so(quarters(120, 80), orientation)
    more = {"save_all": True, "append_images": [stored]} if kind == "MPO" else {}
    data = encoded(stored, kind, exif=exif(orientation), **more)
    decoded = decode(data, WHOLE, max_pixels=M)
    assert (decoded.width, decoded.height) == (120, 80)
    assert near(corners(decoded.pixels), QUARTERS, 16)
    shown = np.asarray(Image.open(io.BytesIO(thumbnail(data, 60, max_pixels=M))))
    assert shown.shape == (40, 60, 3)
    assert near(corners(shown), QUARTERS, 16)


def stored_so(upright: Image.Image, orientation: int) -> Image.Image:
    """Return the image as a camera in that orientation stores it."""
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return upright.transpose(inverse[orientation]) if orientation in inverse else upright


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_gives_the_same_pixels_and_hash(orientation: int):
    upright = photo(900, 600)
    wanted = decode(encoded(upright, "PNG"), CROP, max_pixels=M)
    box = Box(0.1, 0.2, 0.5, 0.3)
    part = decode(encoded(upright, "PNG"), CROP, max_pixels=M, box=box)
    data = encoded(stored_so(upright, orientation), "JPEG", quality=95, exif=exif(orientation))
    found = decode(data, CROP, max_pixels=M)
    assert np.abs(found.pixels.astype(int) - wanted.pixels).mean() < 1.5
    assert (found.phash ^ wanted.phash).bit_count() <= 2
    found = decode(data, CROP, max_pixels=M, box=box)
    assert np.abs(found.pixels.astype(int) - part.pixels).mean() < 1.5


def test_a_box_is_seen_alone():
    data = encoded(quarters(400, 400), "JPEG", quality=95)
    for i, colour in enumerate(QUARTERS):
        box = Box(0.5 * (i % 2), 0.5 * (i // 2), 0.5, 0.5)
        decoded = decode(data, CROP, max_pixels=M, box=box)
        assert (decoded.width, decoded.height) == (400, 400)
        assert near(corners(decoded.pixels), (colour,) * 4, 6)


def test_a_small_box_keeps_its_detail():
    # stripes of 4 pixels in a large JPEG: at an eighth of its size they would be grey
    stripes = np.zeros((2048, 2048), np.uint8)
    stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = stripes[:, 3::8] = 255
    data = encoded(Image.fromarray(stripes), "JPEG", quality=95)
    part = decode(data, CROP, max_pixels=M, box=Box(0.25, 0.25, 1 / 32, 1 / 32)).pixels
    assert part.std() > 100
    assert decode(data, CROP, max_pixels=M).pixels.std() < 10


def test_the_tiniest_images():
    for size in ((1, 1), (1, 500), (500, 1), (2, 3)):
        for spec in (CROP, WHOLE, InputSpec(32, 48, 0.95, "border", fill=(1, 2, 3))):
            decoded = decode(encoded(Image.new("RGB", size, "red"), "PNG"), spec, max_pixels=M)
            assert decoded.pixels.shape == (spec.height, spec.width, 3)
        jpeg = encoded(Image.new("RGB", size, "red"), "JPEG")
        assert max(Image.open(io.BytesIO(thumbnail(jpeg, 64, max_pixels=M))).size) <= 64


def test_margins_are_filled():
    spec = InputSpec(40, 40, 1.0, "border", fill=(1, 2, 3))
    pixels = decode(encoded(Image.new("RGB", (80, 40), "red"), "PNG"), spec, max_pixels=M).pixels
    assert pixels[9].tolist() == [[1, 2, 3]] * 40
    assert pixels[10].tolist() == [[255, 0, 0]] * 40
    assert pixels[29].tolist() == [[255, 0, 0]] * 40
    assert pixels[30].tolist() == [[1, 2, 3]] * 40


def test_a_thumbnail_fits_and_has_no_metadata():
    data = encoded(photo(1000, 400), "JPEG", exif=exif(DateTimeOriginal="2020:01:01 00:00:00"), comment=b"secret")
    made = thumbnail(data, 200, max_pixels=M)
    shown = Image.open(io.BytesIO(made))
    assert (shown.format, shown.mode, shown.size) == ("JPEG", "RGB", (200, 80))
    assert not shown.getexif()
    assert b"secret" not in made
    assert thumbnail(data, 200, max_pixels=M) == made


def test_thumbnails_are_never_enlarged():
    for mode in ("L", "RGBA", "1"):
        small = thumbnail(encoded(quarters(30, 20).convert(mode), "PNG"), 200, max_pixels=M)
        assert Image.open(io.BytesIO(small)).size == (30, 20)


def test_a_thumbnail_of_size_zero_is_refused():
    with pytest.raises(UsageError):
        thumbnail(encoded(quarters(30, 20), "PNG"), 0, max_pixels=M)


def test_fuzzed_files_raise_only_errors_of_ours():
    random = np.random.default_rng(7)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"):
        good = np.frombuffer(encoded(quarters(64, 48), kind), np.uint8)
        for _ in range(40):
            data = good.copy()
            data[random.integers(0, min(len(data), 400), 4)] = random.integers(0, 256, 4)
            try:
                assert decode(data.tobytes(), WHOLE, max_pixels=10**6).pixels.shape == (40, 40, 3)
            except ImageError as error:
                assert error.message.endswith(".")
