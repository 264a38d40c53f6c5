"""Bytes to a picture of a format that we read, of a size that is allowed, not yet decoded."""

import io
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pillow_heif
from PIL import Image, UnidentifiedImageError

from embeddings.errors import ImageError, ImageTooLarge, ImageUndecodable, UnsupportedFormat

# Formats of pixels that Pillow (HEIF: pillow-heif) decodes by itself, usual ones first, those without a signature last.
# Left out: EPS (runs Ghostscript), IPTC (opens a nested file of any format), WMF, MPEG, BUFR, GRIB, HDF5 (no decoder).
FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"),
    *("JPEG2000", "ICO", "ICNS", "PSD", "PPM", "QOI", "DIB", "CUR", "DDS", "BLP", "SGI", "SUN", "PCX", "DCX", "FLI"),
    *("XBM", "XPM", "MSP", "PIXAR", "GBR", "FTEX", "FITS", "IM", "MCIDAS", "PCD", "XVTHUMB", "SPIDER", "TGA"),
)

# What people take for images: told apart from damage, so that the answer says what is wrong.
OTHERS = (
    (re.compile(rb"%PDF-"), "PDF"),
    (re.compile(rb"%!PS|\xc5\xd0\xd3\xc6"), "PostScript"),
    (
        re.compile(rb"\s*(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*|<!--.*?-->\s*|<!DOCTYPE svg[^>]*>\s*)*<svg[\s>]", re.S),
        "SVG",
    ),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL"),
    (re.compile(rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF", re.S), "Windows metafile"),
    (re.compile(rb".{4}ftyp(isom|iso\d|mp4\d|M4V |qt  |avc1|3gp|dash)", re.S), "video"),
    (re.compile(rb"\x1aE\xdf\xa3|RIFF.{4}AVI |\0\0\x01[\xba\xb3]|FLV\x01|OggS", re.S), "video"),
    (re.compile(rb"AT&TFORM.{4}DJV", re.S), "DjVu"),
    (re.compile(rb"gimp xcf "), "XCF"),
    (re.compile(rb"\x76\x2f\x31\x01"), "OpenEXR"),
    (re.compile(rb"#\?(RADIANCE|RGBE)"), "Radiance HDR"),
    (re.compile(rb"PK\x03\x04|Rar!\x1a\x07|7z\xbc\xaf\x27\x1c|\x1f\x8b\x08"), "archive"),
)

MAX_SIDE = 200_000  # pixels; what is longer is a file made up to cost memory, such as 1 x 80,000,000
JPEG_START = b"\xff\xd8"
JPEG_HEADERS = 1 << 20  # bytes in which a frame header is looked for
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xDA), 0xFF})  # markers without a segment, stuffing and padding

# libheif's thumbnails may show something else than the picture, and one process decodes one picture with one thread
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


@contextmanager
def decoder_errors(max_pixels: int) -> Iterator[None]:
    """Turn whatever Pillow and its decoders raise or warn about into an ImageError; MemoryError passes.

    Pillow checks the size of every picture, nested ones too, before it takes memory for it: an error at twice
    MAX_IMAGE_PIXELS, a warning below. Half of our limit in there makes the error ours. (This and the silenced
    warnings hold for the whole process: decode in one thread at a time.)
    """
    before = Image.MAX_IMAGE_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.MAX_IMAGE_PIXELS = max_pixels / 2  # type: ignore[assignment]
            yield
    except (MemoryError, ImageError):
        raise
    except Image.DecompressionBombError as error:
        found = re.search(r"\d+", str(error))
        raise _too_large(int(found[0]) if found else max_pixels + 1, max_pixels) from error
    except Exception as error:  # damaged files make decoders raise anything; this is where it is given a name
        raise ImageUndecodable(f"The file is damaged: {_cause(error)}.") from error
    finally:
        Image.MAX_IMAGE_PIXELS = before


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """Return the picture (its first frame) with its header read. To be called within `decoder_errors`."""
    if not data:
        raise ImageUndecodable("The file is empty.")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise _unidentified(data, max_pixels) from error
    if max(image.size) > MAX_SIDE:
        size = f"{image.width:,} x {image.height:,}"
        raise ImageTooLarge(f"The image is {size} pixels; no side may be longer than {MAX_SIDE:,}.")
    return image


def _unidentified(data: bytes, max_pixels: int) -> ImageError:
    """Return what is wrong with a file that no decoder takes."""
    for signature, name in OTHERS:
        if signature.match(data[:4096]):
            return UnsupportedFormat(f"The file is not in an image format that lookalike reads ({name}).")
    declared = _declared_pixels(data[:JPEG_HEADERS]) if data.startswith(JPEG_START) else 0
    return _too_large(declared, max_pixels) if declared > max_pixels else ImageUndecodable()


def _declared_pixels(data: bytes) -> int:
    """Return what the frame header of a JPEG promises, however damaged the file is before it; 0 if there is none."""
    at = len(JPEG_START)
    while (at := data.find(b"\xff", at)) >= 0 and at + 9 <= len(data):
        marker = data[at + 1]
        if marker in JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height * width
        at += 1 if marker in JPEG_BARE else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return 0


def _too_large(pixels: int, max_pixels: int) -> ImageTooLarge:
    return ImageTooLarge(f"The image has {pixels:,} pixels; at most {max_pixels:,} are allowed.")


def _cause(error: Exception) -> str:
    """Return one short line of what a decoder said."""
    if isinstance(error, struct.error | IndexError | EOFError):
        return "it ends too early"
    text = " ".join(str(error).split()).rstrip(".")[:100]
    return text or type(error).__name__
