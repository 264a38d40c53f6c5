"""The connection to Milvus: every call ends in time, and fails with an error of ours. The only user of pymilvus."""

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
from store.milvus import schema

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

# pymilvus logs a traceback for every failed call, before we can handle the failure
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
    """One connection to one Milvus, which messages call `place`."""

    def __init__(self, uri: str, token: str, timeout: float, place: str) -> None:
        """Connect; raises StoreUnavailable when nobody answers."""
        self.place = place
        self._timeout = timeout
        with self._translated_errors():
            self._client = MilvusClient(uri, token=token, timeout=min(timeout, CONNECT_SECONDS))

    def run(self, method: str, *, timeout_factor: float = 1.0, **arguments: Any) -> Any:
        """Call a method of MilvusClient, which may take `timeout_factor` times the timeout."""
        with self._translated_errors():
            return getattr(self._client, method)(timeout=self._timeout * timeout_factor, **arguments)

    def version(self) -> str:
        """Return what the server says of its version."""
        with self._translated_errors():
            return str(self._client.get_server_version(timeout=min(self._timeout, READY_SECONDS)))

    def create_collection(
        self, name: str, dimension: int, description: str, tag_keys_array: bool, **options: Any
    ) -> None:
        """Create an empty collection without indexes; tag keys are an array or a text."""
        fields = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False, description=description)
        for field, size in schema.TEXTS.items():
            fields.add_field(field, DataType.VARCHAR, max_length=size, is_primary=field == "id")
        for field in schema.NUMBERS:
            fields.add_field(field, DataType.INT64)
        if tag_keys_array:
            fields.add_field(
                schema.TAG_KEYS,
                DataType.ARRAY,
                element_type=DataType.VARCHAR,
                max_capacity=schema.MAX_TAGS,
                max_length=schema.TAG_KEY_BYTES,
            )
        else:
            fields.add_field(schema.TAG_KEYS, DataType.VARCHAR, max_length=65535)
        fields.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
        self.run(
            "create_collection",
            collection_name=name,
            schema=fields,
            consistency_level=SESSION,
            **options,
        )

    def prepare(self, name: str, indexes: list[dict[str, Any]]) -> None:
        """Make the indexes that are missing, and load the collection; does nothing where all is done."""
        there = set(self.run("list_indexes", collection_name=name))
        for index in indexes:
            if index["field_name"] not in there:
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
    """Return what may be shown of a Milvus URI: no user, password or key. Raises UsageError for what is none."""
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
    """Let `server` answer Milvus' protocol by means of `servicer`."""
    add_MilvusServiceServicer_to_server(servicer, server)
