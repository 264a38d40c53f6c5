"""The connection to Milvus, and the only user of pymilvus: every call has a timeout and raises errors of ours."""

import errno
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from urllib.parse import urlsplit

import grpc
from pymilvus import DataType, MilvusClient
from pymilvus.client.types import LoadState
from pymilvus.exceptions import MilvusException
from pymilvus.grpc_gen.milvus_pb2_grpc import add_MilvusServiceServicer_to_server

from embeddings.errors import DiskFull, NotFound, StoreUnavailable, UsageError
from store.milvus.schema import MAX_TAGS, TAG_KEY_BYTES, TAG_KEYS, CollectionSchema, TagKeyType

__all__ = [
    "BOUNDED",
    "CONNECT_SECONDS",
    "READY_SECONDS",
    "SESSION",
    "STRONG",
    "Client",
    "LoadState",
    "add_service",
    "address",
]

# pymilvus logs a traceback for every failed call before we can handle it
for _name in ("pymilvus", "pymilvus.milvus_client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

CONNECT_SECONDS = 5.0
READY_SECONDS = 3.0
BOUNDED, SESSION, STRONG = "Bounded", "Session", "Strong"

_COLLECTION_NOT_FOUND = 100
_NO_ROOM = re.compile(
    "|".join(
        [re.escape(os.strerror(code)) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)] + ["disk quota exceeded"]
    ),
    re.IGNORECASE,
)
_REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


class Client:
    """One connection to one Milvus, which error messages call `place`."""

    def __init__(self, uri: str, token: str, timeout: float, place: str) -> None:
        """Connect. Raises StoreUnavailable if nothing answers."""
        self.place = place
        self._timeout = timeout
        with self._translated_errors():
            self._client = MilvusClient(uri, token=token, timeout=min(timeout, CONNECT_SECONDS))

    def run(self, method: str, *, timeout_factor: float = 1.0, **arguments: Any) -> Any:
        """Call a method of MilvusClient with `timeout_factor` times the timeout."""
        with self._translated_errors():
            return getattr(self._client, method)(timeout=self._timeout * timeout_factor, **arguments)

    def version(self) -> str:
        """Return the version that the server reports."""
        with self._translated_errors():
            return str(self._client.get_server_version(timeout=min(self._timeout, READY_SECONDS)))

    def create_collection(self, name: str, schema: CollectionSchema, description: str, **options: Any) -> None:
        """Create an empty collection without indexes."""
        fields = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False, description=description)
        for field, size in schema.texts:
            fields.add_field(field, DataType.VARCHAR, max_length=size, is_primary=field == "id")
        for field in schema.integers:
            fields.add_field(field, DataType.INT64)
        if schema.tag_keys is TagKeyType.ARRAY:
            fields.add_field(
                TAG_KEYS,
                DataType.ARRAY,
                element_type=DataType.VARCHAR,
                max_capacity=MAX_TAGS,
                max_length=TAG_KEY_BYTES,
            )
        else:
            fields.add_field(TAG_KEYS, DataType.VARCHAR, max_length=65535)
        fields.add_field("vector", DataType.FLOAT_VECTOR, dim=schema.dimension)
        self.run(
            "create_collection",
            collection_name=name,
            schema=fields,
            consistency_level=SESSION,
            **options,
        )

    def prepare(self, name: str, indexes: list[dict[str, Any]]) -> None:
        """Create the missing indexes and load the collection; does nothing if both are done."""
        existing = set(self.run("list_indexes", collection_name=name))
        for index in indexes:
            if index["field_name"] not in existing:
                params = MilvusClient.prepare_index_params()
                params.add_index(**index)
                self.run("create_index", collection_name=name, index_params=params, timeout_factor=4)
        self.run("load_collection", collection_name=name, timeout_factor=4)

    def close(self) -> None:
        """Release the connection."""
        self._client.close()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except MilvusException as error:
            self._translate(error, error.code, error.message)
        except grpc.RpcError as error:
            self._translate(error, error.code(), str(error.details()))
        except grpc.FutureTimeoutError as error:
            self._translate(error, grpc.StatusCode.DEADLINE_EXCEEDED, "")

    def _translate(self, error: Exception, code: Any, message: str) -> NoReturn:
        if code == _COLLECTION_NOT_FOUND:
            raise NotFound(f"{self.place} has no such collection", field="collection") from error
        if _NO_ROOM.search(message):
            raise DiskFull(
                f"no room left on the disk of {self.place}: make room and try again; what was stored is kept"
            ) from error
        if code in _REFUSED or "auth check failure" in message:
            raise StoreUnavailable(f"{self.place} refuses the login: check LOOKALIKE_MILVUS_TOKEN") from error
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            raise StoreUnavailable(f"{self.place} did not answer within {self._timeout:g} seconds") from error
        if isinstance(code, grpc.StatusCode) or "Fail connecting" in message or "Retry timeout" in message:
            raise StoreUnavailable(f"{self.place} does not answer: start it, or check LOOKALIKE_MILVUS_URI") from error
        raise StoreUnavailable(f"{self.place} refused the request: {message}") from error


def address(uri: str) -> str:
    """Return a Milvus URI without user, password and key. Raises UsageError for an invalid one."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            "LOOKALIKE_MILVUS_URI must be http(s)://HOST:PORT, or empty for the store on this machine",
            field="milvus_uri",
        )
    return f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")


def add_service(servicer: Any, server: grpc.Server) -> None:
    """Serve Milvus' protocol from `server` with `servicer`."""
    add_MilvusServiceServicer_to_server(servicer, server)
