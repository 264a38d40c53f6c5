"""A file that lists images as a source: paths and addresses, with ids and meta of the caller's own."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from embeddings.errors import FileUnreadable, UsageError
from indexer.sources.base import Reference, Unlistable
from indexer.sources.folder import file_is_gone, read_file
from indexer.sources.fsspec_storage import ListedUrls, has_secret, is_place
from indexer.sources.list_formats import Entry, Faulty, entries, from_json
from store.locations import LISTS, file_of, from_text, local_file, readable, scheme, shown, to_text

Fetcher = Callable[[str, int], bytes]  # address, most bytes -> at most one byte more; raises as Source.fetch does

WEB = ("http", "https")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MOST = 2**63
_MAX_META = 65_535  # bytes, of JSON
_MAX_URI = 16_384
_SECOND = 1_000_000_000
_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_ALL = "."  # as the path of what is unlistable: nobody knows which image is meant, so none counts as gone


class Manifest:
    """The images that a list names; those of relative paths lie beside it.

    Lines that make no sense are unlistable, by number. An id may come once.
    """

    def __init__(self, path: Path, fetchers: Mapping[str, Fetcher] | None = None) -> None:
        """Take a .csv, .tsv, .jsonl, .ndjson or .parquet file; `fetchers` read the addresses of further schemes.

        Raises UsageError if it cannot be read, or has no column that says where the images are.
        """
        try:
            self.file = path.expanduser().resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise UsageError(f"there is no list {path} that can be read") from error
        if not self.file.is_file() or self.file.suffix.lower() not in LISTS:
            raise UsageError(f"{path} is no list of images: its name must end in {', '.join(LISTS)}")
        self.name = to_text(str(self.file))
        self._folder = str(self.file.parent)
        self._fetchers = dict(fetchers or {})
        self._addresses = ListedUrls()
        next(entries(self.file), None)  # what is wrong with the whole of it is said at once

    def references(self) -> Iterator[Reference | Unlistable]:
        """Yield the images in the order of the list; only those of this machine without a size are looked at."""
        ids: set[int] = set()  # hashes, for they are smaller
        for entry in entries(self.file):
            yield self._wrong(entry.line, _ALL, entry.reason) if isinstance(entry, Faulty) else self._item(entry, ids)

    def fetch(self, path: str, max_bytes: int) -> bytes:
        """Return the bytes of an image. Raises FileUnreadable, or SourceUnavailable if a library is missing."""
        kind = scheme(path)
        if kind in self._fetchers:
            return self._fetchers[kind](path, max_bytes)
        file = local_file(self.name, path)
        return self._addresses(from_text(path), max_bytes) if file is None else read_file(str(file), max_bytes)

    def is_gone(self, path: str) -> bool:
        """Return whether there surely is no such file any more; nobody is asked about addresses."""
        return file_is_gone(self.name, path)

    def shown(self, path: str) -> str:
        """Return the path or address as people are shown it; the list itself for all of them."""
        return readable(self.name) if path == _ALL else shown(self.name, path)

    def _item(self, entry: Entry, ids: set[int]) -> Reference | Unlistable:
        line, uri, id_, meta, size, time = entry
        path = _ALL
        try:
            path = self._path(uri)
            identity, about = _identity(id_), _meta(meta)
            given = _number("bytes", size), _time(time)
        except ValueError as error:
            return self._wrong(line, path, str(error))
        if identity is not None:
            mark = hash(identity)
            if mark in ids:
                return self._wrong(line, path, f"the id {identity} is that of an earlier line")
            ids.add(mark)
        length, changed = self._facts(path) if given == (None, None) else given
        return Reference(path, length, changed, identity, about)

    def _path(self, uri: Any) -> str:
        """Return what a list says of where an image is, as text; raises ValueError if it cannot be."""
        if not isinstance(uri, str) or not (uri := uri.strip()):
            raise ValueError("it has no uri")
        if not uri.isprintable() and any(c in uri for c in "\0\r\n"):
            raise ValueError("its uri goes over several lines: is a quote open?")
        path = to_text(uri)
        if len(path) * 4 > _MAX_URI and len(path.encode()) > _MAX_URI:
            raise ValueError(f"its uri takes more than {_MAX_URI:,} bytes")
        if "://" in path:
            self._check_address(path)
        return path

    def _check_address(self, path: str) -> None:
        kind = scheme(path)
        if has_secret(path):
            raise ValueError("its uri carries a password or a token: give credentials to the library, not to the list")
        if kind is None or kind in self._fetchers:
            return
        if kind in WEB:
            raise ValueError("its uri is a web address, which lists cannot have yet: download the image first")
        if not is_place(kind):
            raise ValueError(f"{kind}:// is no kind of address that images can be read from")
        if kind == "file" and path.split("://", 1)[1].partition("/")[0] not in ("", "localhost"):
            raise ValueError("its uri names a file of another machine: write file:///path")

    def _facts(self, path: str) -> tuple[int | None, int | None]:
        """Return size and change time of a file of this machine; one that cannot be looked at fails when it is read."""
        if "://" in path and (kind := scheme(path)):
            if kind != "file":
                return None, None
            file = from_text(file_of(path))
        else:
            file = from_text(path) if path.startswith("/") else f"{self._folder}/{from_text(path)}"
        try:
            status = os.stat(file)  # noqa: PTH116 - a tenth of the time of Path
        except (OSError, ValueError):
            return None, None
        return status.st_size, status.st_mtime_ns

    def _wrong(self, line: int, path: str, reason: str) -> Unlistable:
        unit = "row" if self.file.suffix.lower() == ".parquet" else "line"
        return Unlistable(path, FileUnreadable(f"{unit} {line:,} of {self.file.name} cannot be used: {reason}"))


def _identity(id_: Any) -> str | None:
    if id_ is None:
        return None
    text = str(id_) if isinstance(id_, int) and not isinstance(id_, bool) else id_
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise ValueError("its id must be 1 to 128 of the characters A-Z a-z 0-9 . _ : -")
    return text


def _meta(meta: Any) -> dict[str, Any] | None:
    if meta is None:
        return None
    try:
        value = from_json(meta) if isinstance(meta, str) else meta
        text = _to_json(value)
        if "\\ud" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"its meta is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError('its meta is no JSON object like {"album": "Rome"}')
    if len(text) > _MAX_META:
        raise ValueError(f"its meta takes {len(text):,} bytes, and {_MAX_META:,} are possible")
    return value


def _number(name: str, value: Any) -> int | None:
    if value is None:
        return None
    number = -1
    if isinstance(value, str | float) and str(value).removesuffix(".0").isdecimal() and len(str(value)) <= 20:
        number = int(str(value).removesuffix(".0"))
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if not 0 <= number < _MOST:
        raise ValueError(f"its {name} is no whole number from 0 on")
    return number


def _time(value: Any) -> int | None:
    """Return nanoseconds since 1970 of a date as ISO 8601 writes it (UTC unless it says), any number as it is."""
    if not isinstance(value, str) or value.isdecimal():
        return _number("modified_at", value)
    try:
        time = datetime.fromisoformat(value)
    except ValueError as error:
        told = "its modified_at is neither a number of nanoseconds nor a date like 2026-05-31T12:00:00Z"
        raise ValueError(told) from error
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return _number("modified_at", int(time.timestamp()) * _SECOND + time.microsecond * 1000)
