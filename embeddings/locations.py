"""Where a row's file is, and how its path is written as text that every store takes.

A row's `source` is the absolute path of the folder it was found in, or UPLOAD; its `path` is relative to the source,
with '/' between the parts. Both are kept as `to_text` gives them.
"""

import hashlib
import re
from pathlib import Path

from embeddings.records import Row

UPLOAD = "upload"

# Python holds a byte that is not UTF-8 as a lone surrogate, which no protocol carries; these private characters stand
# for the same 128 bytes.
_SURROGATES = range(0xDC80, 0xDD00)
_SHIFT = 0x100000
_TO_PRIVATE = {code: code + _SHIFT for code in _SURROGATES}
_TO_SURROGATE = {private: code for code, private in _TO_PRIVATE.items()}
_NOT_TEXT = re.compile("[\ud800-\udfff\U0010dc80-\U0010dcff]")


def to_text(path: str) -> str:
    """Return the operating system's `path` as valid Unicode text; `from_text` gives it back."""
    return "".join(_escaped(c) if ord(c) in _TO_SURROGATE else c for c in path).translate(_TO_PRIVATE)


def _escaped(character: str) -> str:
    """Return a private character that is really in a file name as its bytes, so that it is not taken for ours."""
    return "".join(chr(0xDC00 + byte) for byte in character.encode())


def from_text(text: str) -> str:
    """Return the operating system's path for a text of `to_text`."""
    return text.translate(_TO_SURROGATE).encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def display_path(row: Row) -> str:
    """Return the path that people are shown."""
    return shown(row.source, row.path)


def shown(source: str, path: str) -> str:
    """Return the path that people are shown for a file of a source."""
    return readable(path if source == UPLOAD else f"{source.rstrip('/')}/{path}")


def readable(text: str) -> str:
    """Return a text of `to_text` as people are shown it, with a placeholder for each byte that is not UTF-8."""
    return _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)


def upload_path(row_id: str, uploads: Path) -> Path:
    """Return where the bytes of an uploaded picture are kept; an id is never used as a file name itself."""
    return uploads / hashlib.sha256(row_id.encode()).hexdigest()


def file_path(row: Row, uploads: Path) -> Path:
    """Return the file of a row; `uploads` is the folder of its collection's uploads."""
    if row.source == UPLOAD:
        return upload_path(row.id, uploads)
    return Path(from_text(row.source)) / from_text(row.path)
