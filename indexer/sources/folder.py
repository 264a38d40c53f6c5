"""A folder as a source: every file that may be an image, with size and change time, without opening any."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from embeddings.errors import FileUnreadable, UsageError
from indexer.sources.base import Reference, Unlistable
from store.locations import folder_source, from_text, local_file, shown, to_text

# Types of files that lie beside photos and are never images. All other files are tried, whatever their names.
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

# Folders in which a NAS, Windows, macOS and file systems keep thumbnails, trash and their own files.
SYSTEM_FOLDERS = frozenset(
    ("@eadir", "#recycle", "$recycle.bin", "system volume information", "__macosx", "lost+found")
)
LEFT_OUT = ".nomedia"  # a file that asks galleries to leave its folder out

Entries = Iterator["os.DirEntry[str]"]


class Folder:
    """A folder with all folders below it.

    Hidden files and folders, SYSTEM_FOLDERS and folders with a file `.nomedia` are left out. Links to files are
    followed; links to folders only if they lead out of the source, and each such folder once, so that loops have no
    effect.
    """

    def __init__(self, folder: Path) -> None:
        """Take a folder by any spelling of its path. Raises UsageError if it does not exist or may not be read."""
        self.root = _real_path(folder)
        self._prefix = os.path.join(self.root, "")  # noqa: PTH118 - with a separator at its end
        self.name = folder_source(self.root)

    def references(self) -> Iterator[Reference | Unlistable]:
        """Yield every possible image, in the order of the names."""
        visited: set[tuple[int, int]] = set()
        folders: list[Entries] = []  # the folders being listed, the innermost last
        yield from self._enter(self.root, folders)
        while folders:
            entry = next(folders[-1], None)
            if entry is None:
                folders.pop()
            elif not entry.name.startswith("."):
                yield from self._look_at(entry, folders, visited)

    def fetch(self, path: str, max_bytes: int) -> bytes:
        """Return the bytes of a file. Raises FileUnreadable."""
        return read_file(self._file(path), max_bytes)

    def is_gone(self, path: str) -> bool:
        """Return whether a file surely exists no more."""
        return file_is_gone(self.name, path)

    def shown(self, path: str) -> str:
        """Return the file's absolute path, as people are shown it."""
        return shown(self.name, path)

    def _file(self, path: str) -> str:
        return os.path.join(self.root, from_text(path))  # noqa: PTH118 - Path would normalise the text

    def _enter(self, folder: str, folders: list[Entries]) -> Iterator[Unlistable]:
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            if not any(entry.name == LEFT_OUT for entry in found):
                folders.append(iter(found))
        except OSError as error:
            yield self._unlistable(folder, error)

    def _look_at(
        self, entry: "os.DirEntry[str]", folders: list[Entries], visited: set[tuple[int, int]]
    ) -> Iterator[Reference | Unlistable]:
        try:
            if entry.is_dir():
                if entry.name.lower() not in SYSTEM_FOLDERS and self._must_enter(entry, visited):
                    yield from self._enter(entry.path, folders)
                return
            if os.path.splitext(entry.name)[1].lower() in NOT_IMAGES:  # noqa: PTH122 - Path costs as much as reading
                return
            status = entry.stat()
        except OSError as error:
            yield self._unlistable(entry.path, error)
            return
        if stat.S_ISREG(status.st_mode):  # not pipes, sockets or devices: reading one might never end
            yield Reference(self._relative(entry.path), status.st_size, status.st_mtime_ns)

    def _must_enter(self, entry: "os.DirEntry[str]", visited: set[tuple[int, int]]) -> bool:
        """Return whether to enter a folder: a linked one only if it would not be listed otherwise."""
        if not entry.is_symlink():
            return True
        status = entry.stat()
        identity = status.st_dev, status.st_ino
        inside = os.path.commonpath([os.path.realpath(entry.path), self.root]) == self.root
        if inside or identity in visited:
            return False
        visited.add(identity)
        return True

    def _relative(self, path: str) -> str:
        return to_text(path.removeprefix(self._prefix).replace(os.sep, "/")) if path != self.root else "."

    def _unlistable(self, path: str, error: OSError) -> Unlistable:
        reason = "points to nothing" if isinstance(error, FileNotFoundError) else error.strerror
        return Unlistable(self._relative(path), FileUnreadable(f"cannot be read: {reason}"))


class Files:
    """Files given one by one, with the paths that the user typed."""

    name = ""

    def __init__(self, references: list[Reference | Unlistable]) -> None:
        """Take the files in the order to yield."""
        self._references = references

    def references(self) -> Iterator[Reference | Unlistable]:
        """Yield them."""
        return iter(self._references)

    def fetch(self, path: str, max_bytes: int) -> bytes:
        """Return the bytes of a file. Raises FileUnreadable."""
        return read_file(from_text(path), max_bytes)

    def is_gone(self, path: str) -> bool:
        """Return whether a file surely exists no more."""
        return file_is_gone(self.name, path)

    def shown(self, path: str) -> str:
        """Return the path as people are shown it."""
        return shown(self.name, path)


def read_file(file: str, max_bytes: int) -> bytes:
    """Return a file's bytes, at most `max_bytes` + 1 of them; does not block if it is a pipe by now.

    Raises FileUnreadable.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            return _read(descriptor, min(max_bytes + 1, os.fstat(descriptor).st_size))
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise FileUnreadable("the file is not there any more") from error
    except OSError as error:
        raise FileUnreadable(f"the file cannot be read: {error.strerror}") from error


def _read(descriptor: int, size: int) -> bytes:
    """Return the first `size` bytes of a file, in as few calls as there can be."""
    parts = [os.read(descriptor, size)]
    while parts[-1] and sum(map(len, parts)) < size:
        parts.append(os.read(descriptor, size - sum(map(len, parts))))
    return b"".join(parts)


def file_is_gone(source: str, path: str) -> bool:
    """Return whether a path of a source is a file of this machine that surely exists no more.

    A file that may not be looked at counts as there, and so does everything on other machines.
    """
    file = local_file(source, path)
    try:
        if file is not None:
            file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _real_path(folder: Path) -> str:
    try:
        real = folder.expanduser().resolve(strict=True)
        if not real.is_dir():
            raise UsageError(f"{folder} is not a folder: name the folder that holds the images")
        os.scandir(real).close()
    except FileNotFoundError as error:
        raise UsageError(f"there is no folder {folder}") from error
    except (PermissionError, NotADirectoryError) as error:
        raise UsageError(f"cannot read the folder {folder}: {error.strerror}") from error
    except (OSError, RuntimeError) as error:  # a loop of links, or no home directory to expand
        raise UsageError(f"cannot follow {folder}: {error}") from error
    return str(real)
