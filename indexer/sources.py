"""A folder as a source: every file that may be an image, with size and change time, none of them opened."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embeddings.errors import FileUnreadable, UsageError
from embeddings.locations import to_text

# Files that lie beside photos and never are images. Anything else is looked at, whatever it is called.
NOT_IMAGES = frozenset(
    f".{suffix}"
    for line in (
        "txt md rst csv tsv json jsonl xml xmp aae yml yaml toml ini cfg conf log db sqlite lnk url html htm css js ts",
        "py pyi pyc sh pdf doc docx xls xlsx ppt pptx odt ods rtf epub",
        "mp4 m4v mov avi mkv webm mpg mpeg 3gp mts m2ts wmv flv thm lrv",
        "mp3 m4a aac wav flac ogg opus wma amr",
        "zip tar gz bz2 xz 7z rar iso dmg exe dll so pickle npy npz parquet safetensors",
    )
    for suffix in line.split()
)


@dataclass(frozen=True)
class FileReference:
    """A file of a folder: `path` is relative to the source, with `/`, as text that a collection can keep."""

    path: str
    file: str
    bytes: int
    modified_at: int


@dataclass(frozen=True)
class Unlistable:
    """A folder or file of the source that could not even be looked at."""

    path: str
    error: FileUnreadable


def source_of(folder: Path) -> str:
    """Return the name under which a folder's rows are kept: its absolute path without links.

    Raises UsageError if there is no such folder or it may not be read.
    """
    try:
        real = folder.expanduser().resolve(strict=True)
        if not real.is_dir():
            raise UsageError(f"{folder} is not a folder: name the folder that holds the images")
        os.scandir(real).close()
    except FileNotFoundError as error:
        raise UsageError(f"there is no folder {folder}") from error
    except (PermissionError, NotADirectoryError) as error:
        raise UsageError(f"cannot read the folder {folder}: {error.strerror}") from error
    except (OSError, RuntimeError) as error:  # a loop of links
        raise UsageError(f"cannot follow {folder}: {error}") from error
    return str(real)


def list_folder(root: str) -> Iterator[FileReference | Unlistable]:
    """Yield every possible image below `root`, in the order of the names.

    Hidden files and folders are passed over. Links to files are followed; links to folders only where they lead
    out of the source, and each such folder once, so that no loop has an effect.
    """
    yield from _list(root, root, {_identity(root)})


def _list(root: str, folder: str, visited: set[tuple[int, int]]) -> Iterator[FileReference | Unlistable]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield _unlistable(root, folder, error)
        return
    for entry in names:
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir():
                if _to_be_entered(root, entry, visited):
                    yield from _list(root, entry.path, visited)
            elif Path(entry.name).suffix.lower() not in NOT_IMAGES:
                yield from _reference(root, entry)
        except OSError as error:
            yield _unlistable(root, entry.path, error)


def _reference(root: str, entry: "os.DirEntry[str]") -> Iterator[FileReference]:
    status = entry.stat()
    if stat.S_ISREG(status.st_mode):  # no pipes, sockets or devices: reading one might never end
        yield FileReference(_relative(root, entry.path), entry.path, status.st_size, status.st_mtime_ns)


def _to_be_entered(root: str, entry: "os.DirEntry[str]", visited: set[tuple[int, int]]) -> bool:
    if not entry.is_symlink():
        return True
    identity = _identity(entry.path)
    inside = os.path.commonpath([os.path.realpath(entry.path), root]) == root
    if inside or identity in visited:
        return False
    visited.add(identity)
    return True


def _identity(folder: str) -> tuple[int, int]:
    status = Path(folder).stat()
    return status.st_dev, status.st_ino


def _relative(root: str, path: str) -> str:
    return to_text(os.path.relpath(path, root).replace(os.sep, "/"))


def _unlistable(root: str, path: str, error: OSError) -> Unlistable:
    reason = "points to nothing" if isinstance(error, FileNotFoundError) else error.strerror
    return Unlistable(_relative(root, path), FileUnreadable(f"cannot be read: {reason}"))


def file_is_gone(file: str) -> bool:
    """Return whether there surely is no such file: one that may not be looked at counts as there."""
    try:
        Path(file).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
