"""API keys: create, store as hashes, revoke, and find by the secret that a request sends."""

import fcntl
import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hmac import compare_digest
from pathlib import Path
from typing import Any, Literal

from api.limits.rate_limiter import is_loopback
from embeddings.errors import KeysUnreadable, NotFound, UsageError
from embeddings.utils import storage_error, write_atomically

PREFIX = "lk_"  # people and scanners for leaked secrets recognise a key by it
BYTES = 32
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
FILE = "keys.json"


OpenTo = Literal["nobody", "loopback", "anyone"]


class Scope(StrEnum):
    """The permissions of a key; each scope covers those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def covers(self, other: "Scope") -> bool:
        """Return whether this scope includes the other."""
        ranks = list(Scope)
        return ranks.index(self) >= ranks.index(other)


@dataclass(frozen=True)
class Key:
    """One key as it is stored; `digest` is the SHA-256 of its secret, in hex."""

    name: str
    scope: Scope
    digest: str
    created_at: datetime | None = None

    @property
    def entry(self) -> str:
        """The key as an entry of LOOKALIKE_API_KEYS."""
        return f"{self.name}:{self.scope}:{self.digest}"


def new_key(name: str, scope: Scope) -> tuple[str, Key]:
    """Return a new secret of 256 random bits, which is stored nowhere, and its key. Raises UsageError."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"the name of a key has 1 to 64 of the characters A-Z a-z 0-9 . _ -, not {name!r}", field="name"
        )
    secret = PREFIX + secrets.token_urlsafe(BYTES)
    return secret, Key(name, scope, digest_of(secret), datetime.now(UTC).replace(microsecond=0))


def digest_of(secret: str) -> str:
    """Return the hash that is stored of a secret. A plain hash is enough: 256 random bits cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def parse_entry(entry: str) -> Key:
    """Return the key of a 'name:scope:digest' that the settings have validated."""
    name, scope, digest = entry.split(":")
    return Key(name, Scope(scope), digest)


class KeyFile:
    """The keys in a data directory. Every process sees changes of the file at once."""

    def __init__(self, data: Path) -> None:
        self.path = data / FILE
        self._stamp: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    @property
    def exists(self) -> bool:
        """True if a key was ever created here; after that, an empty list admits nobody."""
        return self.path.exists()

    def read(self) -> tuple[Key, ...]:
        """Return the keys. Raises KeysUnreadable: an unreadable file must not admit anybody."""
        try:
            state = self.path.stat()
            stamp = (state.st_mtime_ns, state.st_ino, state.st_size)
            if stamp != self._stamp:
                self._keys = tuple(map(_key, json.loads(self.path.read_bytes())["keys"]))
                self._stamp = stamp
        except FileNotFoundError:
            self._stamp, self._keys = None, ()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise KeysUnreadable(f"{self.path} cannot be read: {error}; restore it or remove it") from error
        return self._keys

    def add(self, key: Key) -> None:
        """Store a key. Raises UsageError if its name is taken."""
        with self._locked():
            if any(known.name == key.name for known in self.read()):
                raise UsageError(f"there is a key {key.name} already; choose another name or revoke it", field="name")
            self._write([*self.read(), key])

    def remove(self, name: str) -> None:
        """Revoke a key. Raises NotFound."""
        with self._locked():
            left = [key for key in self.read() if key.name != name]
            if len(left) == len(self.read()):
                raise NotFound(f"there is no key {name!r} in {self.path}", field="name")
            self._write(left)

    def _write(self, keys: Sequence[Key]) -> None:
        documents = [
            {
                "name": key.name,
                "scope": key.scope,
                "sha256": key.digest,
                "created_at": key.created_at.isoformat() if key.created_at else None,
            }
            for key in keys
        ]
        write_atomically(
            self.path, json.dumps({"keys": documents}, indent=2).encode() + b"\n"
        )  # readable only by its owner

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep two commands from overwriting each other's change."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise storage_error(error, self.path) from error


def _key(document: dict[str, Any]) -> Key:
    created = document["created_at"]
    return Key(
        str(document["name"]),
        Scope(document["scope"]),
        str(document["sha256"]),
        datetime.fromisoformat(created) if created else None,
    )


class ApiKeys:
    """All keys of a service, and whom it serves as long as there never was a key: `open_to`."""

    def __init__(self, file: KeyFile, fixed: Sequence[Key] = (), open_to: OpenTo = "nobody") -> None:
        self._file = file
        self._fixed = tuple(fixed)
        self._open_to = open_to
        self._file_seen = False

    @property
    def needed(self) -> bool:
        """True if all requests need a key; once there was a key file, until the end, even if it is removed."""
        self._file_seen = self._file_seen or self._file.exists
        return self._open_to == "nobody" or bool(self._fixed) or self._file_seen

    def needed_by(self, address: str) -> bool:
        """Return whether requests from an address, as trusted proxies tell it, need a key."""
        return self.needed or (self._open_to == "loopback" and not is_loopback(address))

    def keys(self) -> tuple[Key, ...]:
        """Return the keys of the settings and those of the file."""
        return (*self._fixed, *self._file.read())

    def find(self, secret: str) -> Key | None:
        """Return the key with this secret, in a time that reveals nothing about the hashes."""
        digest = digest_of(secret)
        found = None
        for key in self.keys():
            if compare_digest(key.digest, digest):
                found = key
        return found
