"""Brings the files of uploaded pictures along when their rows go to another collection or data directory."""

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
    """Two folders of uploads: that of the collection rows come from, and that of the one they go to."""

    def __init__(self, source: Path, target: Path) -> None:
        self._source = source
        self._target = target

    def copy_file(self, row: Row) -> bool:
        """Put the file of an uploaded picture where its copied row looks for it; return False if it is there already.

        Where both folders are on one disk the file takes no more room: uploads are replaced, never changed.

        Raises NotFound if the file is gone, DiskFull or StoreUnavailable if it cannot be written.
        """
        source, target = upload_path(row.id, self._source), upload_path(row.id, self._target)
        if not source.is_file():
            raise NotFound(f"the file of the uploaded picture {row.id} is gone", field="id")
        if target.exists() and (target.samefile(source) or _alike(source, target)):
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


def _alike(one: Path, other: Path) -> bool:
    """Whether two files are of one size and time: an upload's time is that of its coming."""
    first, second = one.stat(), other.stat()
    return (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)
