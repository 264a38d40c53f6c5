"""SQLite files of ours under the data directory, with errors of ours."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from embeddings.errors import DiskFull, StoreUnavailable
from embeddings.utils import Closing, storage_error

PAGE = 16384  # bytes, so that rows with a vector share pages
WAIT_SECONDS = 30.0  # for another process or thread that is writing


class Database(Closing):
    """One file, used by one thread at a time; other threads and processes open it for themselves."""

    def __init__(self, path: Path, schema: str, *, precious: bool) -> None:
        """Open the file, made with `schema` if it is not there. Raises DiskFull or StoreUnavailable.

        What is `precious` is on the disk when a transaction ends. Other files are quicker, and readers never wait for
        their writer; the last transactions may be lost with the power, never with the process.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, path.parent) from error
        with self._translated_errors():
            self._connection = sqlite3.connect(path, WAIT_SECONDS, isolation_level=None, check_same_thread=False)
            self._connection.execute(f"PRAGMA page_size = {PAGE}")
            _patiently(self._connection.execute, f"PRAGMA journal_mode = {'DELETE' if precious else 'WAL'}")
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if precious else 'NORMAL'}")
            self._connection.execute("PRAGMA foreign_keys = ON")
            with self.transaction() as cursor:
                for statement in schema.split(";"):
                    cursor.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Cursor]:
        """Do everything in the block, or nothing of it."""
        with self._translated_errors():
            cursor = self._connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    cursor.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Cursor]:
        """See one state of the file throughout the block."""
        with self._translated_errors():
            cursor = self._connection.cursor()
            cursor.execute("BEGIN")
            try:
                yield cursor
            finally:
                cursor.execute("COMMIT")

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            if name == "SQLITE_FULL":
                raise DiskFull(
                    f"no space is left for {self._path}: free some and run the same again; what was done is kept"
                ) from error
            raise StoreUnavailable(f"{self._path} cannot be used: {error}{self._advice(name)}") from error

    def _advice(self, name: str) -> str:
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PERM")):
            return "; set LOOKALIKE_DATA to a folder that can be written"
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return "; another process is writing it, try again"
        return "; move it away, and run the same again"


@retry(
    retry=retry_if_exception(lambda error: getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")),
    wait=wait_random(0.01, 0.1),
    stop=stop_after_delay(WAIT_SECONDS),
    reraise=True,
)
def _patiently(execute: Callable[[str], object], statement: str) -> None:
    """Execute what SQLite does not wait for by itself: two who open a new file both change its journal."""
    execute(statement)
