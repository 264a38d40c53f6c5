"""Opens SQLite files under the data directory and translates their errors into ours."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from embeddings.errors import DiskFull, StoreUnavailable
from embeddings.utils import Closing, storage_error

PAGE = 16384  # bytes, so that rows with a vector share pages
WAIT_SECONDS = 30.0  # for a write of another process or thread


class Database(Closing):
    """One SQLite file, for one thread at a time; every other thread and process opens its own.

    >>> with Database(path, "CREATE TABLE IF NOT EXISTS note (text TEXT)", precious=True) as database:
    ...     with database.transaction() as cursor:
    ...         cursor.execute("INSERT INTO note VALUES (?)", ("hello",))
    """

    def __init__(self, path: Path, schema: str, *, precious: bool) -> None:
        """Open the file, and create the tables of `schema` that are missing. Raises DiskFull or StoreUnavailable.

        A transaction on a `precious` file is on the disk when it ends. Other files are quicker, and their readers never
        wait for the writer, but a power failure may lose the last transactions. A killed process never does.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, path.parent) from error
        with self._translated_errors():
            self._connection = sqlite3.connect(path, WAIT_SECONDS, isolation_level=None, check_same_thread=False)
            self._connection.execute(f"PRAGMA page_size = {PAGE}")
            _execute_patiently(self._connection.execute, f"PRAGMA journal_mode = {'DELETE' if precious else 'WAL'}")
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if precious else 'NORMAL'}")
            self._connection.execute("PRAGMA foreign_keys = ON")
            with self.transaction() as cursor:
                for statement in schema.split(";"):
                    cursor.execute(statement)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Cursor]:
        """Run the statements of the block in one transaction: all of them, or none."""
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
        """Read one state of the file throughout the block."""
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
                    f"no space is left for {self._path}: free some and run the same again; finished work is kept"
                ) from error
            raise StoreUnavailable(f"{self._path} cannot be used: {error}{self._advice(name)}") from error

    def _advice(self, name: str) -> str:
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PERM")):
            return "; set LOOKALIKE_DATA to a writable folder"
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return "; another process is writing it: try again"
        return "; move it away and run the same again"


@retry(
    retry=retry_if_exception(lambda error: getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")),
    wait=wait_random(0.01, 0.1),
    stop=stop_after_delay(WAIT_SECONDS),
    reraise=True,
)
def _execute_patiently(execute: Callable[[str], object], statement: str) -> None:
    """Retry a statement for which SQLite does not wait: two processes may set the journal of a new file at once."""
    execute(statement)
