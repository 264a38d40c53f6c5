"""A list of images as a source: paths and addresses, with the caller's own ids and meta."""

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
from indexer.sources.fsspec_storage import ListedUrls, has_secret, is_supported
from indexer.sources.list_formats import Entry, Faulty, entries, from_json
from store.locations import LISTS, file_of, from_text, local_file, readable, scheme, shown, to_text

Fetcher = Callable[[str, int], bytes]  # address, max_bytes -> bytes, at most one more; raises as Source.fetch does

WEB = ("http", "https")
_VALID_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_MAX_NUMBER = 2**63
_MAX_META = 65_535  # bytes, of JSON
_MAX_URI = 16_384
_SECOND = 1_000_000_000
_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_ALL = "."  # the path of an entry whose image is unknown, so that no image of the list counts as gone


class Manifest:
    """The images that a list names; relative paths start at the folder of the list.

    Invalid lines are unlistable, by number. An id may occur once.
    """

    def __init__(self, path: Path, fetchers: Mapping[str, Fetcher] | None = None) -> None:
        """Take a .csv, .tsv, .jsonl, .ndjson or .parquet file; `fetchers` read the addresses of further schemes.

        Raises UsageError if it cannot be read, or has no column with the location of the images.
        """
        try:
            self.file = path.expanduser().resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise UsageError(f"there is no list {path} that can be read") from error
        if not self.file.is_file() or self.file.suffix.lower() not in LISTS:
            raise UsageError(f"{path} is not a list of images: its name must end in {', '.join(LISTS)}")
        self.name = to_text(str(self.file))
        self._folder = str(self.file.parent)
        self._fetchers = dict(fetchers or {})
        self._addresses = ListedUrls()
        next(entries(self.file), None)  # raises at once if the whole list is invalid

    def references(self) -> Iterator[Reference | Unlistable]:
        """Yield the images in the order of the list; only local files without a size are looked at."""
        ids: set[int] = set()  # hashes, which are smaller
        for entry in entries(self.file):
            yield (
                self._unlistable(entry.line, _ALL, entry.reason)
                if isinstance(entry, Faulty)
                else self._item(entry, ids)
            )

    def fetch(self, path: str, max_bytes: int) -> bytes:
        """Return the bytes of an image. Raises FileUnreadable, or SourceUnavailable if a library is missing."""
        kind = scheme(path)
        if kind in self._fetchers:
            return self._fetchers[kind](path, max_bytes)
        file = local_file(self.name, path)
        return self._addresses(from_text(path), max_bytes) if file is None else read_file(str(file), max_bytes)

    def is_gone(self, path: str) -> bool:
        """Return whether a file surely exists no more; images at addresses count as there."""
        return file_is_gone(self.name, path)

    def shown(self, path: str) -> str:
        """Return the path or address as people are shown it; for _ALL, the list itself."""
        return readable(self.name) if path == _ALL else shown(self.name, path)

    def _item(self, entry: Entry, ids: set[int]) -> Reference | Unlistable:
        line, uri, id_, meta, size, time = entry
        path = _ALL
        try:
            path = self._path(uri)
            own_id, own_meta = _id(id_), _meta(meta)
            given = _number("bytes", size), _time(time)
        except ValueError as error:
            return self._unlistable(line, path, str(error))
        if own_id is not None:
            if hash(own_id) in ids:
                return self._unlistable(line, path, f"the id {own_id} is that of an earlier line")
            ids.add(hash(own_id))
        length, modified_at = self._stat(path) if given == (None, None) else given
        return Reference(path, length, modified_at, own_id, own_meta)

    def _path(self, uri: Any) -> str:
        """Return the location of an image as text; raises ValueError if it is not valid."""
        if not isinstance(uri, str) or not (uri := uri.strip()):
            raise ValueError("it has no uri")
        if not uri.isprintable() and any(c in uri for c in "\0\r\n"):
            raise ValueError("its uri spans several lines: is a quote open?")
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
            raise ValueError("its uri is a web address, which is not supported here: download the image first")
        if not is_supported(kind):
            raise ValueError(f"{kind}:// is not a supported address of images")
        if kind == "file" and path.split("://", 1)[1].partition("/")[0] not in ("", "localhost"):
            raise ValueError("its uri names a file of another machine: write file:///path")

    def _stat(self, path: str) -> tuple[int | None, int | None]:
        """Return size and change time of a local file; a file that cannot be looked at fails when it is read."""
        if "://" in path and (kind := scheme(path)):
            if kind != "file":
                return None, None
            file = from_text(file_of(path))
        else:
            file = from_text(path) if path.startswith("/") else f"{self._folder}/{from_text(path)}"
        try:
            status = os.stat(file)  # noqa: PTH116 - ten times as fast as Path
        except (OSError, ValueError):
            return None, None
        return status.st_size, status.st_mtime_ns

    def _unlistable(self, line: int, path: str, reason: str) -> Unlistable:
        unit = "row" if self.file.suffix.lower() == ".parquet" else "line"
        return Unlistable(path, FileUnreadable(f"{unit} {line:,} of {self.file.name} cannot be used: {reason}"))


def _id(id_: Any) -> str | None:
    if id_ is None:
        return None
    text = str(id_) if isinstance(id_, int) and not isinstance(id_, bool) else id_
    if not isinstance(text, str) or not _VALID_ID.fullmatch(text):
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
        raise ValueError('its meta is not a JSON object like {"album": "Rome"}')
    if len(text) > _MAX_META:
        raise ValueError(f"its meta takes {len(text):,} bytes; the maximum is {_MAX_META:,}")
    return value


def _number(name: str, value: Any) -> int | None:
    if value is None:
        return None
    number = -1
    if isinstance(value, str | float) and str(value).removesuffix(".0").isdecimal() and len(str(value)) <= 20:
        number = int(str(value).removesuffix(".0"))
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if not 0 <= number < _MAX_NUMBER:
        raise ValueError(f"its {name} is not a whole number of at least 0")
    return number


def _time(value: Any) -> int | None:
    """Return the nanoseconds since 1970 of an ISO 8601 date (UTC unless it has an offset), a number unchanged."""
    if not isinstance(value, str) or value.isdecimal():
        return _number("modified_at", value)
    try:
        time = datetime.fromisoformat(value)
    except ValueError as error:
        message = "its modified_at is neither a number of nanoseconds nor a date like 2026-05-31T12:00:00Z"
        raise ValueError(message) from error
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return _number("modified_at", int(time.timestamp()) * _SECOND + time.microsecond * 1000)
