"""Where a row's image is, and how its path is written as text that every store takes.

A row's `source` is UPLOAD, the absolute path of a folder or of a list of images, or the address of a bucket. Its `path`
is relative to the source (to the folder of a list), with '/' between the parts; a list may also name absolute paths and
addresses. Both are kept as `to_text` gives them.
"""

import hashlib
import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

from store.records import Row

UPLOAD = "upload"
LISTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")  # how the names of lists of images end
URL_LISTS = (".txt", ".urls")

# With two letters at least, which tells it from a drive of Windows.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")

# Python holds a byte that is not UTF-8 as a lone surrogate, which no protocol carries; these private characters stand
# for the same 128 bytes.
_SURROGATES = range(0xDC80, 0xDD00)
_SHIFT = 0x100000
_TO_PRIVATE = {code: code + _SHIFT for code in _SURROGATES}
_TO_SURROGATE = {private: code for code, private in _TO_PRIVATE.items()}
_NOT_TEXT = re.compile("[\ud800-\udfff\U0010dc80-\U0010dcff]")


def to_text(path: str) -> str:
    """Return the operating system's `path` as valid Unicode text; `from_text` gives it back."""
    if path.isascii():
        return path
    return "".join(_escaped(c) if ord(c) in _TO_SURROGATE else c for c in path).translate(_TO_PRIVATE)


def _escaped(character: str) -> str:
    """Return a private character that is really in a file name as its bytes, so that it is not taken for ours."""
    return "".join(chr(0xDC00 + byte) for byte in character.encode())


def from_text(text: str) -> str:
    """Return the operating system's path for a text of `to_text`."""
    if text.isascii():
        return text
    return text.translate(_TO_SURROGATE).encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def scheme(text: str) -> str | None:
    """Return the scheme of an address in lower case, None for a path."""
    found = _ADDRESS.match(text)
    return found[1].lower() if found else None


def folder_source(folder: str) -> str:
    """Return what rows of a folder have as their source: its path, marked where it could be taken for a list's."""
    text = to_text(folder)
    return f"{text}/" if _is_list(text) else text


def located(source: str, path: str) -> str:
    """Return the absolute path of a row's image, or its address if it is not a file of this machine."""
    if source in ("", UPLOAD):
        return path
    if not _is_list(source):
        return f"{source.removesuffix('/')}/{path}"
    kind = scheme(path)
    if kind == "file":
        return file_of(path)
    return path if kind else posixpath.join(posixpath.dirname(source), path)


def file_of(address: str) -> str:
    """Return the path in a file:// address, in which anything may be percent-encoded."""
    _, _, path = from_text(address).split("://", 1)[1].partition("/")
    return to_text(unquote(f"/{path}", errors="surrogateescape"))


def display_path(row: Row) -> str:
    """Return the path that people are shown."""
    return shown(row.source, row.path)


def shown(source: str, path: str) -> str:
    """Return the path that people are shown for a file of a source."""
    return readable(located(source, path))


def readable(text: str) -> str:
    """Return a text of `to_text` as people are shown it, with a placeholder for each byte that is not UTF-8."""
    return _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", text)


def uploads_folder(data: Path, collection: str) -> Path:
    """Return where the pictures that were uploaded to a collection are kept."""
    return data / "uploads" / collection


def upload_path(row_id: str, uploads: Path) -> Path:
    """Return where the bytes of an uploaded picture are kept; an id is never used as a file name itself."""
    return uploads / hashlib.sha256(row_id.encode()).hexdigest()


def file_path(row: Row, uploads: Path) -> Path | None:
    """Return the file of a row, None if it is elsewhere; `uploads` is the folder of its collection's uploads."""
    if row.source == UPLOAD:
        return upload_path(row.id, uploads)
    return local_file(row.source, row.path)


def local_file(source: str, path: str) -> Path | None:
    """Return the file behind a source's path, None if it is not one of this machine."""
    location = located(source, path)
    return None if source == UPLOAD or scheme(location) else Path(from_text(location))


def _is_list(source: str) -> bool:
    return scheme(source) is None and source.lower().endswith((*LISTS, *URL_LISTS))
