"""Opens image files: checks format and size in the header, before anything is decoded."""

import io
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pillow_heif
from PIL import Image, UnidentifiedImageError

from embeddings.errors import ImageError, ImageTooLarge, ImageUndecodable, UnsupportedFormat
from embeddings.imaging.formats import FORMATS, unsupported_format

PILLOW_IDS = tuple(format.id for format in FORMATS)
MAX_SIDE = 200_000  # pixels; a longer side is only found in files made to cost memory, such as 1 x 80,000,000
JPEG_START = b"\xff\xd8"
JPEG_HEADERS = 1 << 20  # bytes in which a frame header is looked for
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xDA), 0xFF})  # markers without a segment, stuffing and padding

# libheif's thumbnails may show something else than the image, and each process decodes one image in one thread
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


@contextmanager
def decoder_errors(max_pixels: int) -> Iterator[None]:
    """Turn every error and warning of Pillow and its decoders into an ImageError; MemoryError passes.

    Pillow checks the size of every image, nested ones too, before it allocates memory for it. It raises an error at
    twice MAX_IMAGE_PIXELS and warns below, so half of our limit in its place makes the error ours. (This and the
    silenced warnings hold for the whole process: decode in one thread at a time.)
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
        pixels = re.search(r"\d+", str(error))
        raise _too_large(int(pixels[0]) if pixels else max_pixels + 1, max_pixels) from error
    except Exception as error:  # damaged files make decoders raise anything; it is translated here
        raise ImageUndecodable(f"The file is damaged: {_cause(error)}.") from error
    finally:
        Image.MAX_IMAGE_PIXELS = before


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """Return the image (its first frame) with its header read. To be called within `decoder_errors`."""
    if not data:
        raise ImageUndecodable("The file is empty.")
    try:
        image = Image.open(io.BytesIO(data), formats=PILLOW_IDS)
    except UnidentifiedImageError as error:
        raise _unidentified(data, max_pixels) from error
    if max(image.size) > MAX_SIDE:
        size = f"{image.width:,} x {image.height:,}"
        raise ImageTooLarge(f"The image is {size} pixels; no side may be longer than {MAX_SIDE:,}.")
    return image


def _unidentified(data: bytes, max_pixels: int) -> ImageError:
    """Return the error for a file that no decoder accepts."""
    name = unsupported_format(data)
    if name:
        return UnsupportedFormat(f"The file is not in an image format that lookalike reads ({name}).")
    declared = _declared_pixels(data[:JPEG_HEADERS]) if data.startswith(JPEG_START) else 0
    return _too_large(declared, max_pixels) if declared > max_pixels else ImageUndecodable()


def _declared_pixels(data: bytes) -> int:
    """Return the pixels that the frame header of a JPEG declares, however damaged the file is before it; 0 if none."""
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
    """Return a decoder's message as one short line."""
    if isinstance(error, struct.error | IndexError | EOFError):
        return "it ends too early"
    text = " ".join(str(error).split()).rstrip(".")[:100]
    return text or type(error).__name__
