"""Reads the image files of rows, after checking that they are still the same, and stores uploads and thumbnails."""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, BinaryIO

from embeddings.errors import FileUnreadable, ImageTooLarge, NotFound
from embeddings.utils import storage_error, write_atomically
from store.locations import UPLOAD, display_path, file_path, thumbnail_path, upload_path, uploads_folder
from store.records import Row

_GONE = "the file of this image no longer exists; index its folder again"
_ELSEWHERE = "this image is not on the service's machine, and only images there can be shown"
_CHANGED = "the file of this image has changed since it was indexed; index its folder again"


@dataclass(frozen=True)
class StagedUpload:
    """An upload that is written to the data directory but not yet in its final place."""

    path: Path
    content_hash: str
    bytes: int


class ImageFiles:
    """The files that the service stores under the data directory, and the user's own, which are only read."""

    def __init__(self, data: Path, max_bytes: int) -> None:
        self._data = data
        self._max_bytes = max_bytes

    def read(self, collection: str, row: Row) -> bytes:
        """Return the bytes of an indexed image.

        Raises NotFound if the file no longer exists, is in a bucket or has changed; FileUnreadable; ImageTooLarge.
        """
        with self._opened(collection, row) as file:
            size = os.fstat(file.fileno()).st_size
            if size > self._max_bytes:
                raise ImageTooLarge(f"the file has {size:,} bytes; at most {self._max_bytes:,} are allowed")
            try:
                data = file.read(self._max_bytes + 1)
            except OSError as error:
                raise FileUnreadable(f"{display_path(row)} cannot be read: {error}") from error
        if hashlib.sha256(data).hexdigest() != row.content_hash:
            raise NotFound(_CHANGED, field="id")
        return data

    def open(self, collection: str, row: Row) -> BufferedReader:
        """Return the file of an indexed image, open at its start, after checking that it is still the same.

        Raises NotFound as `read` does, FileUnreadable.
        """
        file = self._opened(collection, row)
        try:
            if not _is_same(file, row):
                raise NotFound(_CHANGED, field="id")
        except OSError as error:
            file.close()
            raise FileUnreadable(f"{display_path(row)} cannot be read: {error}") from error
        except BaseException:
            file.close()
            raise
        return file

    def _opened(self, collection: str, row: Row) -> BufferedReader:
        path = file_path(row, self._uploads(collection))
        if path is None:
            raise NotFound(_ELSEWHERE, field="id")
        try:
            return _open(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(_GONE, field="id") from error
        except (OSError, ValueError) as error:
            raise FileUnreadable(f"{display_path(row)} cannot be read: {error}") from error

    def stage(self, source: BinaryIO, collection: str) -> StagedUpload:
        """Copy an upload to a temporary file beside its final place. Raises DiskFull or StoreUnavailable."""
        folder = self._uploads(collection)
        path = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".new-", delete=False) as file:
                path = Path(file.name)
                return StagedUpload(path, *_copy(source, file))
        except OSError as error:
            if path != folder:
                path.unlink(missing_ok=True)
            raise storage_error(error, folder) from error

    def keep(self, staged: StagedUpload, collection: str, row_id: str) -> None:
        """Move a staged upload to its final place, replacing an earlier file."""
        path = upload_path(row_id, self._uploads(collection))
        try:
            staged.path.replace(path)
        except OSError as error:
            raise storage_error(error, path) from error

    def discard(self, staged: StagedUpload) -> None:
        """Remove a staged upload that is not needed."""
        staged.path.unlink(missing_ok=True)

    def remove(self, collection: str, row: Row) -> None:
        """Remove an upload's file; files in the user's own folders are never touched."""
        if row.source == UPLOAD:
            upload_path(row.id, self._uploads(collection)).unlink(missing_ok=True)

    def thumbnail(self, content_hash: str) -> bytes | None:
        """Return the stored thumbnail of a content, None if there is none yet."""
        try:
            return self._thumbnail_path(content_hash).read_bytes()
        except FileNotFoundError:
            return None

    def keep_thumbnail(self, content_hash: str, data: bytes) -> None:
        """Store a thumbnail."""
        write_atomically(self._thumbnail_path(content_hash), data)

    def remove_thumbnail(self, content_hash: str) -> None:
        """Remove a thumbnail if there is one."""
        self._thumbnail_path(content_hash).unlink(missing_ok=True)

    def _uploads(self, collection: str) -> Path:
        return uploads_folder(self._data, collection)

    def _thumbnail_path(self, content_hash: str) -> Path:
        return thumbnail_path(self._data, content_hash)


def _copy(source: BinaryIO, target: IO[bytes]) -> tuple[str, int]:
    """Copy the whole file; return the SHA-256 and the number of its bytes."""
    digest = hashlib.sha256()
    source.seek(0)
    while block := source.read(1 << 20):
        digest.update(block)
        target.write(block)
    return digest.hexdigest(), target.tell()


def _open(path: Path) -> BufferedReader:
    """Return a regular file, open; never blocks, even if a pipe has replaced the file. Raises ValueError."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("it is not a regular file")
    return file


def _is_same(file: BufferedReader, row: Row) -> bool:
    """Return whether a file is the one that was indexed, by size and change time, or else by its bytes."""
    state = os.fstat(file.fileno())
    if state.st_size != row.bytes:
        return False
    if row.source != UPLOAD and state.st_mtime_ns == row.modified_at:
        return True
    same = hashlib.file_digest(file, "sha256").hexdigest() == row.content_hash
    file.seek(0)
    return same
