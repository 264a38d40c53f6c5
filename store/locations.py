"""Locates images, uploads and thumbnails, and converts paths to text that every store accepts and back.

A row's `source` is UPLOAD, the absolute path of a folder or of a list of images, or the address of a bucket. Its `path`
is relative to the source (to the folder of a list), with '/' between the parts; a list may also have absolute paths and
addresses. Both are stored as `to_text` returns them.
"""

import hashlib
import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

from store.records import Row

UPLOAD = "upload"
LISTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")  # suffixes of lists of images
URL_LISTS = (".txt", ".urls")

# a scheme has at least two letters, unlike a drive of Windows
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")

# Python represents a byte that is not UTF-8 as a lone surrogate, which no protocol carries; these private characters
# represent the same 128 bytes
_SURROGATES = range(0xDC80, 0xDD00)
_SHIFT = 0x100000
_TO_PRIVATE = {code: code + _SHIFT for code in _SURROGATES}
_TO_SURROGATE = {private: code for code, private in _TO_PRIVATE.items()}
_NOT_TEXT = re.compile("[\ud800-\udfff\U0010dc80-\U0010dcff]")


def to_text(path: str) -> str:
    """Return the operating system's `path` as valid Unicode text; `from_text` undoes it."""
    if path.isascii():
        return path
    return "".join(_escaped(c) if ord(c) in _TO_SURROGATE else c for c in path).translate(_TO_PRIVATE)


def _escaped(character: str) -> str:
    """Return a private character that is part of a file name as its bytes, so that it is not mistaken for ours."""
    return "".join(chr(0xDC00 + byte) for byte in character.encode())


def from_text(text: str) -> str:
    """Return the operating system's path for a text of `to_text`."""
    if text.isascii():
        return text
    return text.translate(_TO_SURROGATE).encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def scheme(text: str) -> str | None:
    """Return the scheme of an address in lower case, None for a path."""
    match = _ADDRESS.match(text)
    return match[1].lower() if match else None


def folder_source(folder: str) -> str:
    """Return the `source` of a folder's rows: its path, with a slash if it could be mistaken for a list."""
    text = to_text(folder)
    return f"{text}/" if is_list(text) else text


def located(source: str, path: str) -> str:
    """Return the absolute path of a row's image, or its address if it is not a file on this machine."""
    if source in ("", UPLOAD):
        return path
    if not is_list(source):
        return f"{source.removesuffix('/')}/{path}"
    kind = scheme(path)
    if kind == "file":
        return file_of(path)
    return path if kind else posixpath.join(posixpath.dirname(source), path)


def file_of(address: str) -> str:
    """Return the path in a file:// address, percent-decoded."""
    _, _, path = from_text(address).split("://", 1)[1].partition("/")
    return to_text(unquote(f"/{path}", errors="surrogateescape"))


def display_path(row: Row) -> str:
    """Return the path that users see."""
    return shown(row.source, row.path)


def shown(source: str, path: str) -> str:
    """Return the path that users see for a file of a source."""
    return readable(located(source, path))


def readable(text: str) -> str:
    """Return a text of `to_text` for users, with a placeholder for each byte that is not UTF-8."""
    return _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)


def uploads_folder(data: Path, collection: str) -> Path:
    """Return the folder of the images that were uploaded to a collection."""
    return data / "uploads" / collection


def upload_path(row_id: str, uploads: Path) -> Path:
    """Return the path of an uploaded image; the id itself is never used as a file name."""
    return uploads / hashlib.sha256(row_id.encode()).hexdigest()


def thumbnail_path(data: Path, content_hash: str) -> Path:
    """Return the path of the thumbnail of a content."""
    return data / "thumbnails" / content_hash[:2] / f"{content_hash}.jpg"


def file_path(row: Row, uploads: Path) -> Path | None:
    """Return the file of a row, None if it is not on this machine; `uploads` is its collection's folder of uploads."""
    if row.source == UPLOAD:
        return upload_path(row.id, uploads)
    return local_file(row.source, row.path)


def local_file(source: str, path: str) -> Path | None:
    """Return the file of a source's path, None if it is not on this machine."""
    location = located(source, path)
    return None if source == UPLOAD or scheme(location) else Path(from_text(location))


def is_list(source: str) -> bool:
    """Return whether the source of a row is a list of images."""
    return scheme(source) is None and source.lower().endswith((*LISTS, *URL_LISTS))
