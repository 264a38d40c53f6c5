"""Helpers that every package uses: closing, counting processors, atomic writes."""

import contextlib
import errno
import os
import sys
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from embeddings.errors import DiskFull, StoreUnavailable

FULL = {errno.ENOSPC, errno.EDQUOT}


class Closing(ABC):
    """A context manager that calls `close` at its end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Release all resources."""


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to a temporary file beside `path`, then rename it, so that no reader sees half a file.

    Raises DiskFull, or StoreUnavailable where the directory cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path) -> DiskFull | StoreUnavailable:
    """Return an error that names the path that could not be written and tells what to do."""
    if error.errno in FULL:
        return DiskFull(f"no space is left for {path}: free some space and try again; completed work is kept")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return StoreUnavailable(f"cannot write {path}: {reason}; set LOOKALIKE_DATA to a folder that can be written")
