"""Runs Milvus Lite in this process: opens a directory, serves it on a private socket, and stops.

This is the one module that uses the internals of milvus_lite, for two things that its protocol lacks. An engine whose
write failed must be abandoned without its usual last flush, which can delete a log that still holds rows. And a query
turns every row, vector included, into Python objects; reading a few columns takes a fiftieth of that time.
"""

import errno
import logging
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pyarrow as pa
from milvus_lite import CollectionNotFoundError, DataDirLockedError, MilvusLite
from milvus_lite.adapter.grpc.servicer import MilvusServicer

from embeddings.errors import DataDirectoryLocked, DiskFull, NotFound, StoreUnavailable
from store.milvus.client import add_service
from store.milvus.schema import SCALARS, TAG_KEYS
from store.milvus_lite.exact_search import LiteTable, alive_rows

# failed calls raise errors anyway; errors in the background are still logged
logging.getLogger("milvus_lite").setLevel(logging.ERROR)
logging.getLogger("milvus_lite.adapter").setLevel(logging.CRITICAL)

_MESSAGE_BYTES = 256 * 1024 * 1024
_THREADS = 2  # calls are serialised


log = logging.getLogger(__name__)


class LiteEngine:
    """A running Milvus Lite, reachable at `uri`. No other process can open its directory meanwhile."""

    def __init__(self, directory: Path) -> None:
        """Open the directory, which is created if needed, with all writes acknowledged before a crash."""
        # a socket in a private directory: other users of the machine could reach a port
        self._socket = _private_folder()
        try:
            self._database = _open(directory)
        except BaseException:
            shutil.rmtree(self._socket, ignore_errors=True)
            raise
        _remove_incomplete(directory)
        self.uri = f"unix:{self._socket / 'milvus'}"
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="milvus-lite")
        options = [(f"grpc.max_{way}_message_length", _MESSAGE_BYTES) for way in ("receive", "send")]
        # an idle client pings every 10 s; without this option gRPC closes the connection and logs it
        options += [("grpc.http2.max_ping_strikes", 0)]
        self._server = grpc.server(self._pool, options=options)
        add_service(MilvusServicer(self._database), self._server)
        self._server.add_insecure_port(self.uri)
        self._server.start()

    def read_table(self, collection: str, cached: LiteTable | None = None) -> LiteTable:
        """Return every row of a collection: the `cached` table if it is still current. Raises NotFound."""
        try:
            opened = self._database.get_collection(collection)
        except CollectionNotFoundError as error:
            raise NotFound("the collection no longer exists", field="collection") from error
        segments, deletions = opened._read_snapshot()
        if cached is not None and cached.is_of(segments):
            return cached
        recent = opened._memtable
        tables = [segment.table for segment in segments]
        fields = ["id", "_seq", *[field for field in (*SCALARS, TAG_KEYS, "vector") if field != "id"]]
        table = pa.concat_tables([part.select(fields) for part in [*tables, recent.to_arrow_table()]])
        removed = dict(deletions._map)
        for id_, (number, _) in recent.delete_index_snapshot().items():
            removed[id_] = max(number, removed.get(id_, 0))
        return LiteTable(tables, table, alive_rows(table["id"], table["_seq"].to_numpy(), removed))

    def close(self) -> None:
        """Write everything to disk and release the directory."""
        self._stop_serving()
        self._database.close()

    def abandon(self) -> None:
        """Release the directory as a crash would: acknowledged writes are in the log, which the next engine reads."""
        self._stop_serving()
        for collection in self._database._collections.values():
            collection._wait_for_bg()  # files must not change under the next engine
        self._database._release_lock()

    def _stop_serving(self) -> None:
        self._server.stop(grace=1).wait()
        self._pool.shutdown(wait=True)  # a call that timed out may still be writing
        shutil.rmtree(self._socket, ignore_errors=True)


def _open(directory: Path) -> MilvusLite:
    try:
        return MilvusLite(str(directory))
    except DataDirLockedError as error:
        raise DataDirectoryLocked(
            f"the data directory {directory} is in use by {_holder(directory / 'LOCK')}: "
            "stop that first, or set LOOKALIKE_DATA to another directory"
        ) from error
    except OSError as error:
        raise _unusable(f"the data directory {directory}", error, "LOOKALIKE_DATA") from error


def _private_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="lookalike-"))
    except OSError as error:
        raise _unusable("the folder for temporary files", error, "TMPDIR") from error


def _unusable(what: str, error: OSError, variable: str) -> StoreUnavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no space left on the disk of {what}: free some and try again")
    return StoreUnavailable(
        f"{what} cannot be used ({error.strerror}): make it writable, or choose another with {variable}"
    )


def _holder(lock: Path) -> str:
    """Return which process holds a lock file, if the system tells."""
    inode = lock.stat().st_ino
    try:
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:  # other systems have no such list
        locks = []
    for line in locks:
        words = line.split()
        if "FLOCK" in words and words[-3].endswith(f":{inode}") and words[4] != "-1":
            return "this process" if int(words[4]) == os.getpid() else f"the process {words[4]}"
    return "another process"


def _remove_incomplete(directory: Path) -> None:
    """Remove collections whose creation was cut short: they hold no rows and would block the next attempt.

    A collection that has lost its schema is set aside, not removed: its rows may be recovered.
    """
    for collection in (directory / "collections").iterdir():
        if (collection / "schema.json").exists():
            continue
        if not any(file.stat().st_size for file in collection.rglob("*") if file.is_file()):
            shutil.rmtree(collection)
            continue
        aside = directory / "damaged" / f"{collection.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        aside.parent.mkdir(exist_ok=True)
        collection.rename(aside)
        log.error(
            "the collection in %s has lost its schema.json; it was moved to %s: restore it from a backup",
            collection,
            aside,
        )
