"""Copies the files of uploaded images when their rows go to another collection or data directory."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from embeddings.errors import NotFound
from embeddings.utils import storage_error
from store.locations import upload_path
from store.records import Row


class Uploads:
    """The folders of uploads of the source collection and of the target collection."""

    def __init__(self, source: Path, target: Path) -> None:
        self._source = source
        self._target = target

    def copy_file(self, row: Row) -> bool:
        """Copy the file of an uploaded image to the target; return False if it is there already.

        On one disk the file is linked and takes no more space; uploads are replaced, never changed.

        Raises NotFound if the file is gone, DiskFull or StoreUnavailable if it cannot be written.
        """
        source, target = upload_path(row.id, self._source), upload_path(row.id, self._target)
        if not source.is_file():
            raise NotFound(f"the file of the uploaded image {row.id} is gone", field="id")
        if target.exists() and (target.samefile(source) or _is_same(source, target)):
            return False
        temporary = target
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-") as folder:
                temporary = Path(folder) / target.name
                _link_or_copy(source, temporary)
                temporary.replace(target)
        except OSError as error:
            raise storage_error(error, target) from error
        return True


def _link_or_copy(source: Path, target: Path) -> None:
    with contextlib.suppress(OSError):  # another disk, or one without links
        os.link(source, target)
        return
    shutil.copy2(source, target)


def _is_same(one: Path, other: Path) -> bool:
    """Return whether two files have the same size and time; the time of an upload is that of its arrival."""
    first, second = one.stat(), other.stat()
    return (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)
