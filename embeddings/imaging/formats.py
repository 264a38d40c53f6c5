"""The table of image formats: which files lookalike reads, and what each part of the program needs to know of them."""

import re
from dataclasses import dataclass

SIGNATURE_BYTES = 16  # the longest signature of a format that browsers show


@dataclass(frozen=True)
class Format:
    """One image format that lookalike reads.

    `id` is Pillow's name of it; `variants` are names that Pillow gives to some images of the same decoder. `suffixes`
    are file names that no system opens as anything but an image. `signature` matches the first bytes of a file; it is
    only needed for a format that browsers show. `browser_type` is the media type under which browsers show it; without
    one, a file is served as a download. `draft` tells that the decoder can divide an image's size while it decodes,
    `upright` that the decoder itself applies the EXIF orientation.
    """

    id: str
    suffixes: tuple[str, ...] = ()
    signature: re.Pattern[bytes] | None = None
    browser_type: str | None = None
    draft: bool = False
    upright: bool = False
    variants: tuple[str, ...] = ()


def _starts(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


# Raster formats that Pillow (HEIF: pillow-heif) decodes by itself: frequent ones first, those without a signature last.
# Left out: EPS (runs Ghostscript), IPTC (opens a nested file of any format), WMF, MPEG, BUFR, GRIB, HDF5 (no decoder).
FORMATS = (
    Format(
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        _starts(rb"\xff\xd8\xff"),
        "image/jpeg",
        draft=True,
        variants=("MPO",),
    ),
    Format("PNG", (".png",), _starts(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    Format("WEBP", (".webp",), _starts(rb"RIFF.{4}WEBP"), "image/webp"),
    Format("GIF", (".gif",), _starts(rb"GIF8[79]a"), "image/gif"),
    Format("BMP", (".bmp",), _starts(rb"BM.{4}\0{4}"), "image/bmp"),
    Format("TIFF", (".tif", ".tiff"), upright=True),
    Format("AVIF", (".avif",), _starts(rb".{4}ftypavi[fs]"), "image/avif"),
    Format("HEIF", (".heic", ".heif"), upright=True),
    Format("JPEG2000", (".jp2", ".jpc", ".jpx", ".j2k")),
    Format("ICO", (".ico",)),
    Format("ICNS", (".icns",)),
    Format("PSD", (".psd",)),
    Format("PPM", (".pbm", ".pgm", ".ppm", ".pnm")),
    Format("QOI", (".qoi",)),
    Format("DIB", (".dib",)),
    Format("CUR", (".cur",)),
    Format("DDS", (".dds",)),
    Format("BLP"),
    Format("SGI", (".sgi",)),
    Format("SUN"),
    Format("PCX", (".pcx",)),
    Format("DCX", (".dcx",)),
    Format("FLI"),
    Format("XBM"),
    Format("XPM"),
    Format("MSP"),
    Format("PIXAR"),
    Format("GBR"),
    Format("FTEX"),
    Format("FITS", (".fit", ".fits")),
    Format("IM"),
    Format("MCIDAS"),
    Format("PCD"),
    Format("XVTHUMB"),
    Format("SPIDER"),
    Format("TGA", (".tga",)),
)
DRAFT_IDS = frozenset(id for format in FORMATS if format.draft for id in (format.id, *format.variants))
UPRIGHT_IDS = frozenset(id for format in FORMATS if format.upright for id in (format.id, *format.variants))

# no part is ever tried in two ways (`*+`), or a few comments would take longer than the age of the universe
SVG = rb"\s*+(\xef\xbb\xbf)?\s*+((<\?xml[^>]*+>|<!--((?!-->).)*+-->|<!DOCTYPE svg[^>]*+>)\s*+)*+<svg[\s>]"

# Formats that are often taken for images. They are told apart from damage, so that the message can name them.
UNSUPPORTED = (
    (_starts(rb"%PDF-"), "PDF"),
    (_starts(rb"%!PS|\xc5\xd0\xd3\xc6"), "PostScript"),
    (_starts(SVG), "SVG"),
    (_starts(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL"),
    (_starts(rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF"), "Windows metafile"),
    (_starts(rb".{4}ftyp(isom|iso\d|mp4\d|M4V |qt  |avc1|3gp|dash)"), "video"),
    (_starts(rb"\x1aE\xdf\xa3|RIFF.{4}AVI |\0\0\x01[\xba\xb3]|FLV\x01|OggS"), "video"),
    (_starts(rb"AT&TFORM.{4}DJV"), "DjVu"),
    (_starts(rb"gimp xcf "), "XCF"),
    (_starts(rb"\x76\x2f\x31\x01"), "OpenEXR"),
    (_starts(rb"#\?(RADIANCE|RGBE)"), "Radiance HDR"),
    (_starts(rb"PK\x03\x04|Rar!\x1a\x07|7z\xbc\xaf\x27\x1c|\x1f\x8b\x08"), "archive"),
)


def browser_format(start: bytes) -> Format | None:
    """Return the format of a file that browsers show, by its first SIGNATURE_BYTES bytes and never by its name."""
    return next((f for f in FORMATS if f.browser_type and f.signature and f.signature.match(start)), None)


def unsupported_format(data: bytes) -> str | None:
    """Return the name of the format of a file that lookalike does not read; None if it is not known."""
    return next((name for signature, name in UNSUPPORTED if signature.match(data[:4096])), None)
