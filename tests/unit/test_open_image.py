import gzip
import io
import struct
import warnings
import zlib

import pytest
from PIL import Image
from support.pictures import encoded, photo, quarters

from embeddings.errors import ImageError, ImageTooLarge, ImageUndecodable, UnsupportedFormat
from embeddings.imaging.decode import InputSpec, decode

SPEC = InputSpec(16, 16)


def failure(data: bytes, max_pixels: int = 10**6) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data, SPEC, max_pixels=max_pixels)
    return caught.value


def png(width: int, height: int, body: bytes = b"") -> bytes:
    """Return a 1-bit PNG that declares a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def jpeg_header(width: int, height: int, start: bytes = b"\xff\xd8") -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes([1, 0x11, 0, 2, 0x11, 1, 3, 0x11, 1])
    comment = b"\xff\xfe\x00\x06\xff\xc0\xff\xc0"  # bytes within a segment that look like a frame header
    return start + comment + b"\xff\xc2" + struct.pack(">H", len(frame) + 2) + frame + bytes(500)


def test_an_empty_file_is_named():
    assert failure(b"").message == "The file is empty."


@pytest.mark.parametrize("data", [b"hello", b"\x00" * 100, bytes(range(256)) * 40, b"<html><body></body></html>"])
def test_other_bytes_are_undecodable(data: bytes):
    error = failure(data)
    assert isinstance(error, ImageUndecodable)
    assert error.message == "The file is damaged or is not an image."


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%PDF-1.7 ...", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a drawing -->\n<svg width='1'/>", "SVG"),
        (b"\xff\x0a" + bytes(30), "JPEG XL"),
        (b"\x00\x00\x00\x18ftypisom" + bytes(30), "video"),
        (b"RIFF\x00\x10\x00\x00AVI LIST", "video"),
        (gzip.compress(b"x", mtime=0), "archive"),
    ],
)
def test_other_kinds_of_files_are_named(data: bytes, name: str):
    error = failure(data)
    assert isinstance(error, UnsupportedFormat)
    assert name in error.message


def test_size_is_checked_in_the_header():
    assert decode(encoded(quarters(100, 50), "PNG"), SPEC, max_pixels=5000).width == 100
    error = failure(encoded(quarters(100, 51), "PNG"), max_pixels=5000)
    assert isinstance(error, ImageTooLarge)
    assert error.message == "The image has 5,100 pixels; at most 5,000 are allowed."


@pytest.mark.parametrize(
    "data",
    [
        png(50_000, 50_000),
        jpeg_header(49_157, 27_397),
        jpeg_header(49_157, 27_397, start=b"\xff\xd8\x07\xff\x01xyz"),  # so damaged that Pillow does not identify it
        encoded(quarters(16, 16), "GIF").replace(struct.pack("<HH", 16, 16), struct.pack("<HH", 65_535, 65_535)),
        b"BM" + struct.pack("<IIIIiiHH", 90, 0, 54, 40, 2**31 - 1, 6, 1, 24) + bytes(60),
    ],
    ids=["png", "jpeg", "damaged jpeg", "gif", "bmp"],
)
def test_bombs_are_too_large(data: bytes):
    assert isinstance(failure(data, max_pixels=180_000_000), ImageTooLarge)


def test_a_webp_is_measured_before_its_canvas_is_made():
    canvas = struct.pack("<I", 16_382)[:3]
    header = b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas + canvas
    assert isinstance(failure(b"RIFF" + struct.pack("<I", 4 + len(header)) + b"WEBP" + header, 10**8), ImageTooLarge)


def test_an_image_inside_an_icon_is_measured():
    inner = png(30_000, 30_000)
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inner), 22)
    assert isinstance(failure(struct.pack("<HHH", 0, 1, 1) + entry + inner), ImageTooLarge)


def test_endlessly_long_images_are_too_large():
    error = failure(png(1, 300_000))
    assert isinstance(error, ImageTooLarge)
    assert "1 x 300,000" in error.message


def test_compressed_text_is_limited():
    bomb = zlib.compress(bytes(50_000_000), 9)
    out = io.BytesIO(encoded(quarters(16, 16), "PNG"))
    head, rest = out.getvalue()[:33], out.getvalue()[33:]
    body = b"note\0\0" + bomb
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    assert isinstance(failure(head + chunk + rest), ImageUndecodable)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000"])
def test_truncated_files_are_damaged(kind: str):
    data = encoded(photo(300, 200), kind)
    for share in (0.2, 0.5, 0.8):
        assert isinstance(failure(data[: int(len(data) * share)]), ImageUndecodable)


def test_a_truncated_jpeg_is_damaged_at_a_fraction_of_its_size_too():
    data = encoded(photo(1600, 1200), "JPEG", quality=90)
    assert decode(data, SPEC, max_pixels=10**7).width == 1600
    assert "truncated" in failure(data[:-2000], 10**7).message


def test_pillows_limits_and_warnings_are_restored():
    before = Image.MAX_IMAGE_PIXELS
    large = encoded(Image.new("1", (12_000, 12_000)), "PNG")  # Pillow itself would warn
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode(large, SPEC, max_pixels=180_000_000)
        failure(encoded(quarters(64, 64), "TIFF")[:-300])
    assert caught == []
    assert before == Image.MAX_IMAGE_PIXELS
