"""A bucket, or a folder on any file system of fsspec, as a source, listed page by page or folder by folder."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from errno import ENOTDIR
from pathlib import PurePosixPath
from typing import Any

from embeddings.errors import FileUnreadable, SourceUnavailable, UsageError
from indexer.sources.base import Reference, Unlistable
from indexer.sources.folder import NOT_IMAGES
from indexer.sources.fsspec_storage import FsspecLocation, has_secret, reason, unreadable
from store.locations import from_text, scheme, shown, to_text

# Two names of one place would make two sources of it.
_CANONICAL = {"s3a": "s3", "gcs": "gs", "local": "file", "ssh": "sftp"}
_CREDENTIALS = {"s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"}

_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")
_TAGS = ("ETag", "etag", "md5Hash", "md5", "content_md5", "checksum")
_SECOND = 1_000_000_000


class FsspecSource:
    """A folder with all folders below it, on a file system of fsspec.

    Hidden files and folders are skipped. S3 is listed in pages of 1,000 objects, in constant memory; of other file
    systems one folder is held for each level.
    """

    def __init__(self, url: str) -> None:
        """Take an address such as s3://bucket/photos; connect at the first call.

        Raises UsageError, or SourceUnavailable if a library is missing.
        """
        kind = scheme(url)
        if kind is None:
            raise UsageError("the address of a bucket begins with its scheme, as in s3://bucket/photos")
        if has_secret(url) or "?" in url:
            raise UsageError(
                f"an address does not carry passwords, tokens or queries: give the credentials of {kind}:// in its own "
                "file or variable"
            )
        self._kind = _CANONICAL.get(kind, kind)
        address = f"{self._kind}://{url.split('://', 1)[1].rstrip('/')}"
        self.name = to_text(address)
        self._location = FsspecLocation(address)
        self._root = self._location.path(address).rstrip("/")

    def references(self) -> Iterator[Reference | Unlistable]:
        """Yield every possible image, in the same order each time. Raises SourceUnavailable."""
        try:
            yield from self._objects() if self._location.has_pages else self._tree()
        except OSError as error:
            raise self._unavailable(error) from error

    def fetch(self, path: str, max_bytes: int) -> bytes:
        """Return the bytes of a file. Raises FileUnreadable, or SourceUnavailable if the whole source fails now."""
        try:
            return self._location.read(self._path(path), max_bytes)
        except FileNotFoundError as error:
            raise unreadable(error) from error
        except OSError as error:
            self._check()
            raise unreadable(error) from error

    def is_gone(self, path: str) -> bool:
        """Return whether a file surely exists no more."""
        try:
            self._location.info(self._path(path))
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return False

    def shown(self, path: str) -> str:
        """Return the file's address, as people are shown it."""
        return shown(self.name, path)

    def _path(self, path: str) -> str:
        return f"{self._root}/{from_text(path)}"

    def _check(self) -> None:
        try:
            self._location.info(self._root)
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OSError) -> SourceUnavailable:
        if isinstance(error, FileNotFoundError):
            return SourceUnavailable(f"there is nothing at {self.name}: check its spelling")
        message = reason(error)
        hint = f"; {_CREDENTIALS[self._kind]}" if self._kind in _CREDENTIALS else ""
        if isinstance(error, PermissionError) or "credentials" in message:
            return SourceUnavailable(f"{self.name} may not be read ({message}){hint}")
        return SourceUnavailable(f"{self.name} cannot be reached: {message}")

    def _objects(self) -> Iterator[Reference]:
        bucket, _, key = self._root.partition("/")
        prefix = f"{key}/" if key else ""
        token: str | None = None
        while True:
            page = self._location.page(bucket, prefix, token)
            if token is None and key and not page.get("Contents"):
                raise FileNotFoundError
            for item in page.get("Contents", ()):
                path = item["Key"][len(prefix) :]
                if _may_be_image(path):
                    yield Reference(to_text(path), item["Size"], change_mark(item))
            token = page.get("NextContinuationToken")
            if token is None:
                return

    def _tree(self) -> Iterator[Reference | Unlistable]:
        if self._root and self._location.info(self._root)["type"] == "file":
            raise NotADirectoryError(ENOTDIR, "it is a file, not a folder")
        levels = [iter(self._sorted(self._root))]
        while levels:
            entry = next(levels[-1], None)
            if entry is None:
                levels.pop()
                continue
            path = entry["name"].rstrip("/")[len(self._root) :].lstrip("/")
            if not path or PurePosixPath(path).name.startswith("."):
                continue
            if entry["type"] == "file" and _may_be_image(path):
                yield Reference(to_text(path), entry.get("size"), change_mark(entry))
            elif entry["type"] == "directory" and not entry.get("islink"):
                try:
                    levels.append(iter(self._sorted(f"{self._root}/{path}")))
                except OSError as error:
                    yield Unlistable(to_text(path), FileUnreadable(f"cannot be read: {reason(error)}"))

    def _sorted(self, folder: str) -> list[dict[str, Any]]:
        return sorted(self._location.entries(folder), key=lambda entry: str(entry["name"]))


def change_mark(info: Mapping[str, Any]) -> int | None:
    """Return a number that changes with the file: nanoseconds since 1970, else a hash of 63 bits, None if unknown."""
    for name in _TIMES:
        time = info.get(name)
        if isinstance(time, str):
            time = datetime.fromisoformat(time)
        if isinstance(time, datetime):
            time = time if time.tzinfo else time.replace(tzinfo=UTC)
            return int(time.replace(microsecond=0).timestamp()) * _SECOND + time.microsecond * 1000
        if isinstance(time, int | float):
            return round(time * _SECOND)
    for name in _TAGS:
        if info.get(name):
            return int.from_bytes(hashlib.sha256(str(info[name]).encode()).digest()[:8]) >> 1
    return None


def _may_be_image(path: str) -> bool:
    """Return whether a file may be an image: not a folder's marker, not hidden, no other known type."""
    if not path or path.endswith("/") or path.startswith(".") or "/." in path:
        return False
    return PurePosixPath(path).suffix.lower() not in NOT_IMAGES
