"""The store: collections of rows, in a Milvus server or in a directory on this machine."""

from contextlib import suppress
from pathlib import Path

from store.base import Store
from store.milvus_lite.allocator import free_at_once


def open_store(uri: str, token: str, data: Path, timeout: float) -> Store:
    """Open the Milvus at `uri`, or Milvus Lite in `data` if that is empty.

    Raises StoreUnavailable, which may be DataDirectoryLocked or DiskFull.
    """
    # these imports take half a second, so only users of the store pay for them
    from store.milvus.store import MilvusStore  # noqa: PLC0415

    if uri:
        from store.milvus.server_backend import ServerBackend  # noqa: PLC0415

        return MilvusStore(ServerBackend(uri, token, timeout))
    free_at_once()  # before pyarrow is imported
    from store.milvus_lite.backend import LiteBackend  # noqa: PLC0415

    store = MilvusStore(LiteBackend(data / "milvus", timeout))
    with suppress(OSError):  # it helps only where the data directory lies in a folder that is indexed
        (data / ".nomedia").touch()
    return store
