"""Reads and lists files of buckets and servers through fsspec, within limits of size and time, in several threads."""

import logging
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from fsspec import AbstractFileSystem, get_filesystem_class
from fsspec.config import conf
from fsspec.registry import known_implementations, registry

from embeddings.errors import FileUnreadable, SourceUnavailable, UsageError
from store.locations import scheme

# Wrappers of other file systems, or no storage of images; the web has its own guarded reader.
_UNSUPPORTED = {
    *(
        "http",
        "https",
        "data",
        "root",
        "zip",
        "tar",
        "libarchive",
        "dir",
        "generic",
        "reference",
        "cached",
        "simplecache",
    ),
    *("filecache", "blockcache", "asyncwrapper", "async_wrapper", "asynclocal", "git", "github", "gist", "jupyter"),
    *("jlab", "dask", "dvc", "wandb", "pyscript"),
}

# Secrets that must not be kept or shown: a password before the host, a signature or token in the query.
_SECRET = re.compile(
    r"://[^/:@]*:(?!\d+/)[^@]*@"
    r"|[?&](sig|signature|token|access_token|password|secret|key|x-(amz|goog)-[a-z-]+)=",
    re.IGNORECASE,
)

# These libraries log every failure to the terminal, gcsfs with all its calls; our own errors report it already.
for _name in ("gcsfs", "paramiko"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

SECONDS = 120  # maximum duration of a call, where the library takes a timeout
_WAITS = (0.2, 1.0, None)  # between attempts
_MAX_REASON = 200


def is_supported(name: str) -> bool:
    """Return whether fsspec has a file system for this scheme, even if its library is not installed."""
    return name not in _UNSUPPORTED and (name in known_implementations or name in registry)


def has_secret(address: str) -> bool:
    """Return whether an address carries a password or a token."""
    return _SECRET.search(address) is not None


class FsspecLocation:
    """The file system behind an address: a bucket, a server, a share.

    Its methods raise only OSError; FileNotFoundError, PermissionError and TimeoutError keep their meaning.
    """

    def __init__(self, address: str) -> None:
        """Take the address of any file in it; connect at the first call.

        Raises UsageError if no file system has its scheme, SourceUnavailable if the library for it is missing.
        """
        self._class = _class_of(scheme(address) or "")
        self._options = _options(self._class) | self._class._get_kwargs_from_urls(address)
        self._shared: AbstractFileSystem | None = None
        self._lock = threading.Lock()

    @property
    def has_pages(self) -> bool:
        """True if `page` works here."""
        return hasattr(self._class, "call_s3")

    def path(self, address: str) -> str:
        """Return the path that the other methods take for an address in this file system."""
        return str(self._class._strip_protocol(address))

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the bytes of a file, at most `max_bytes` + 1 of them."""
        try:
            return bytes(self._call("cat_file", path, start=0, end=max_bytes + 1))
        except (FileNotFoundError, PermissionError):
            raise
        except OSError as error:
            if "range" in str(error).lower() and self.info(path).get("size") == 0:  # an empty file has no range
                return b""
            raise

    def info(self, path: str) -> dict[str, Any]:
        """Return the metadata of a file or folder."""
        return dict(self._call("info", path))

    def entries(self, folder: str) -> list[dict[str, Any]]:
        """Return the metadata of everything directly in a folder."""
        return list(self._call("ls", folder, detail=True))

    def page(self, bucket: str, prefix: str, token: str | None) -> dict[str, Any]:
        """Return one answer of S3's ListObjectsV2: at most 1,000 objects, and the token of the next page."""
        more = {"ContinuationToken": token} if token else {}
        return dict(self._call("call_s3", "list_objects_v2", Bucket=bucket, Prefix=prefix, **more))

    def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call the file system; temporary failures are retried, unless its library retries them itself."""
        if self._class.async_impl:
            options["timeout"] = SECONDS
        for wait in _WAITS:
            try:
                return getattr(self._file_system(), method)(*arguments, **options)
            except Exception as error:  # each library has its own errors, few of them OSErrors
                if wait is None or self._class.async_impl or not _is_temporary(error):
                    raise _as_os_error(error) from error
            self._class.clear_instance_cache()  # the broken connection must not be used again
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _file_system(self) -> AbstractFileSystem:
        """Return the file system: one for all threads if it is asynchronous, else one a thread, cached by fsspec."""
        if not self._class.async_impl:
            return self._class(**self._options)
        with self._lock:
            if self._shared is None:
                self._shared = self._class(**self._options)
            return self._shared


class ListedUrls:
    """Reads files by their addresses, on any file system."""

    def __init__(self) -> None:
        self._locations: dict[tuple[str, str], FsspecLocation] = {}
        self._lock = threading.Lock()

    def __call__(self, address: str, max_bytes: int) -> bytes:
        """Return the bytes behind an address, at most `max_bytes` + 1. Raises FileUnreadable, SourceUnavailable."""
        location = self._location(address)
        try:
            return location.read(location.path(address), max_bytes)
        except OSError as error:
            raise unreadable(error) from error

    def _location(self, address: str) -> FsspecLocation:
        kind, rest = address.split("://", 1)
        key = kind, rest.partition("/")[0]
        with self._lock:
            if key not in self._locations:
                self._locations[key] = FsspecLocation(address)
            return self._locations[key]


def unreadable(error: OSError) -> FileUnreadable:
    """Return the error of an image that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return FileUnreadable("the file is not there any more")
    return FileUnreadable(f"the file cannot be read: {reason(error)}")


def reason(error: BaseException) -> str:
    """Return a library's message, short and without possible secrets."""
    if isinstance(error, TimeoutError):
        return "there was no answer in time"
    lines = (getattr(error, "strerror", None) or str(error)).strip().splitlines() or [type(error).__name__]
    without_query = re.sub(r"\?\S+", "?...", lines[0])
    return re.sub(r"//[^/@\s]+@", "//", without_query)[:_MAX_REASON]


def _is_temporary(error: Exception) -> bool:
    """Return whether a new connection may help.

    Python has classes for broken connections. paramiko (sftp), which may not be installed, has its own classes, and for
    a connection that was lost before only a message.
    """
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"SSHException", "NoValidConnectionsError"}:
        return "AuthenticationException" not in kinds
    return isinstance(error, ConnectionError | TimeoutError | EOFError) or str(error) == "Socket is closed"


def _as_os_error(error: Exception) -> OSError:
    if isinstance(error, FileNotFoundError | PermissionError | TimeoutError):
        return type(error)(str(error))
    return OSError(reason(error))


def _class_of(name: str) -> type[AbstractFileSystem]:
    if not is_supported(name):
        raise UsageError(f"{name}:// is not a supported address of images: try s3://, gs://, az://, sftp://")
    try:
        return get_filesystem_class(name)
    except ImportError as error:
        raise SourceUnavailable(_how_to_install(name)) from error


def _how_to_install(name: str) -> str:
    if name in ("s3", "s3a"):
        return f"reading {name}:// needs a library: pip install 'lookalike[s3]'"
    hint = str(known_implementations[name].get("err", "see the documentation of fsspec"))
    return f"reading {name}:// needs a library that is not installed: {hint[:1].lower()}{hint[1:]}"


def _options(cls: type[AbstractFileSystem]) -> dict[str, Any]:
    """Return the options that bound memory and time, where a library has them."""
    if not cls.async_impl:
        return {}
    if not hasattr(cls, "call_s3"):
        return {"use_listings_cache": False}
    configured: Mapping[str, Any] = conf.get("s3", {}).get("config_kwargs", {})
    retries = {"mode": "standard", "total_max_attempts": 2}  # s3fs retries on top of this
    return {"use_listings_cache": False, "config_kwargs": {"retries": retries, **configured}}
