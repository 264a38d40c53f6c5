"""Milvus Lite in this process: started on a directory, served on a private socket, and stopped.

This is the one module that looks inside milvus_lite, for two things its protocol does not give. An engine whose write
failed must be let go without its usual last flush, which can delete a log that still holds rows. And a query turns
every row, vector included, into Python objects, where reading a few columns takes a fiftieth of the time.
"""

import errno
import logging
import os
import shutil
import tempfile
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

# a failed call comes back as an error; what goes wrong in the background is still logged
logging.getLogger("milvus_lite").setLevel(logging.ERROR)
logging.getLogger("milvus_lite.adapter").setLevel(logging.CRITICAL)

_MESSAGE_BYTES = 256 * 1024 * 1024
_THREADS = 2  # calls come one at a time


class LiteEngine:
    """A running Milvus Lite; `uri` is where it answers. No other process can open its directory meanwhile."""

    def __init__(self, directory: Path) -> None:
        """Open the directory, made if it is not there, with all that was acknowledged before a crash."""
        # a socket in a directory of our own: unlike a port, no other user of the machine can reach it
        self._socket = _private_folder()
        try:
            self._database = _open(directory)
        except BaseException:
            shutil.rmtree(self._socket, ignore_errors=True)
            raise
        _remove_half_made(directory)
        self.uri = f"unix:{self._socket / 'milvus'}"
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="milvus-lite")
        options = [(f"grpc.max_{way}_message_length", _MESSAGE_BYTES) for way in ("receive", "send")]
        # a client that has nothing to say asks every 10 s whether we are there: without this, gRPC hangs up and says so
        options += [("grpc.http2.max_ping_strikes", 0)]
        self._server = grpc.server(self._pool, options=options)
        add_service(MilvusServicer(self._database), self._server)
        self._server.add_insecure_port(self.uri)
        self._server.start()

    def rows(self, collection: str, known: LiteTable | None = None) -> LiteTable:
        """Return every row of a collection; `known` ones are taken if nothing was written since they were read.

        Raises NotFound.
        """
        try:
            opened = self._database.get_collection(collection)
        except CollectionNotFoundError as error:
            raise NotFound("the collection is not there any more", field="collection") from error
        segments, deletions = opened._read_snapshot()
        if known is not None and known.of(segments):
            return known
        recent = opened._memtable
        tables = [segment.table for segment in segments]
        fields = ["id", "_seq", *[field for field in (*SCALARS, TAG_KEYS, "vector") if field != "id"]]
        table = pa.concat_tables([part.select(fields) for part in [*tables, recent.to_arrow_table()]])
        removed = dict(deletions._map)
        for id_, (number, _) in recent.delete_index_snapshot().items():
            removed[id_] = max(number, removed.get(id_, 0))
        return LiteTable(tables, table, alive_rows(table["id"], table["_seq"].to_numpy(), removed))

    def close(self) -> None:
        """Write everything to its place and release the directory."""
        self._stop_serving()
        self._database.close()

    def abandon(self) -> None:
        """Release the directory as a crash would: what was acknowledged is in the log, and the next engine reads it."""
        self._stop_serving()
        for collection in self._database._collections.values():
            collection._wait_for_bg()  # files must not change under the next engine
        self._database._release_lock()

    def _stop_serving(self) -> None:
        self._server.stop(grace=1).wait()
        self._pool.shutdown(wait=True)  # a call that nobody waits for any more may still be writing
        shutil.rmtree(self._socket, ignore_errors=True)


def _open(directory: Path) -> MilvusLite:
    try:
        return MilvusLite(str(directory))
    except DataDirLockedError as error:
        raise DataDirectoryLocked(
            f"the data directory {directory} is in use by {_holder(directory / 'LOCK')}: "
            "stop that first, or give this one a directory of its own with LOOKALIKE_DATA"
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
        return DiskFull(f"no room left on the disk of {what}: make room and try again")
    return StoreUnavailable(
        f"{what} cannot be used ({error.strerror}): make it writable, or choose another with {variable}"
    )


def _holder(lock: Path) -> str:
    """Return who holds a lock file, as far as the system tells."""
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


def _remove_half_made(directory: Path) -> None:
    """Remove collections whose making was cut short: they hold nothing, and would be in the way of the next attempt."""
    for collection in (directory / "collections").iterdir():
        if not (collection / "schema.json").exists():
            shutil.rmtree(collection)
