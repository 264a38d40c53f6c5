"""Idempotency-Key: a write sent twice under one key is done once and answered twice."""

import asyncio
import hashlib
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message as Headed
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.middleware.access import Caller
from embeddings.errors import (
    IdempotencyKeyBusy,
    IdempotencyKeyReused,
    LookalikeError,
    RequestTooSlow,
    StoreUnavailable,
    UsageError,
)
from store.sqlite import Database

log = logging.getLogger(__name__)

PATHS = frozenset({"/v1/images", "/v1/jobs"})
HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
RETENTION_SECONDS = 24 * 3600
BODY_SECONDS = 60.0  # time limit for the body of a request that was already answered
FILE = "idempotency.sqlite"
_VALID = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT_HEADERS = frozenset({"content-type", "location"})
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    who TEXT, path TEXT, name TEXT, fingerprint TEXT, status INTEGER, headers TEXT, body BLOB, at REAL,
    PRIMARY KEY (who, path, name))
"""

Identity = tuple[str, str, str]  # the caller's key, the path, the Idempotency-Key


@dataclass(frozen=True)
class Answer:
    """A stored answer and the fingerprint of its request."""

    fingerprint: str
    status: int
    headers: dict[str, str]
    body: bytes


class Answers:
    """The answers of the last day, in a file."""

    def __init__(self, data: Path) -> None:
        self._path = data / FILE

    def get(self, identity: Identity) -> Answer | None:
        """Return the stored answer, if any. Raises StoreUnavailable."""
        query = "SELECT fingerprint, status, headers, body FROM answers WHERE who=? AND path=? AND name=? AND at>?"
        with self._opened() as database, database.reading() as cursor:
            row = cursor.execute(query, (*identity, time.time() - RETENTION_SECONDS)).fetchone()
        return Answer(row[0], row[1], json.loads(row[2]), row[3]) if row else None

    def put(self, identity: Identity, answer: Answer) -> None:
        """Store an answer, and delete those that are too old. Raises StoreUnavailable."""
        row = (*identity, answer.fingerprint, answer.status, json.dumps(answer.headers), answer.body, time.time())
        with self._opened() as database, database.transaction() as cursor:
            cursor.execute("DELETE FROM answers WHERE at<=?", (time.time() - RETENTION_SECONDS,))
            cursor.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _opened(self) -> Database:
        return Database(self._path, _SCHEMA, precious=True)  # calls come from many threads, and each opens its own


class Idempotency:
    """ASGI middleware; it is inside Authentication, because answers are stored per caller."""

    def __init__(self, app: ASGIApp, data: Path, refuse: Callable[[LookalikeError], ASGIApp]) -> None:
        self._app = app
        self._answers = Answers(data)
        self._refuse = refuse
        self._running: set[Identity] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or repeat its first answer."""
        name = Headers(scope=scope).get(HEADER) if scope["type"] == "http" else None
        if name is None or scope["method"] != "POST" or scope["path"] not in PATHS:
            await self._app(scope, receive, send)
            return
        caller: Caller = scope["state"]["caller"]
        if caller.auth_error:
            await self._app(scope, receive, send)  # the route refuses it
            return
        identity = (caller.key.digest if caller.key else "", scope["path"], name)
        try:
            with self._alone(identity):
                await self._once(identity, scope, receive, send)
        except LookalikeError as error:
            await self._refuse(error)(scope, receive, send)

    @contextmanager
    def _alone(self, identity: Identity) -> Iterator[None]:
        """Hold a key while the block lasts. Raises UsageError for a malformed key, IdempotencyKeyBusy."""
        if not _VALID.fullmatch(identity[2]):
            raise UsageError(f"{HEADER} must have 1 to 255 visible ASCII characters", field=HEADER)
        if identity in self._running:
            raise IdempotencyKeyBusy(field=HEADER)
        self._running.add(identity)
        try:
            yield
        finally:
            self._running.discard(identity)

    async def _once(self, identity: Identity, scope: Scope, receive: Receive, send: Send) -> None:
        content = _Content(scope, receive)
        known = await asyncio.to_thread(self._answers.get, identity)
        if known:
            await content.read_all()
            if content.fingerprint() != known.fingerprint:
                raise IdempotencyKeyReused(field=HEADER)
            answer = Response(known.body, known.status, {**known.headers, REPLAYED: "true"})
            await answer(scope, receive, send)
            return

        async def keep(record: _Record) -> None:
            try:
                await asyncio.to_thread(self._answers.put, identity, record.answer(content.fingerprint()))
            except StoreUnavailable as error:  # the write is done and is answered all the same
                log.warning("%s", error)

        await self._app(scope, content.receive, _Record(send, keep).send)


class _Content:
    """Computes the fingerprint of a request's body while the app reads it."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._more = True
        media = Headed()
        media["content-type"] = Headers(scope=scope).get("content-type", "")
        boundary = media.get_param("boundary")
        self._boundary = boundary.encode() if isinstance(boundary, str) else b""  # differs each time a form is sent
        self._tail = b""
        self._digest = hashlib.sha256(scope["query_string"] + b"\n" + media.get_content_type().encode() + b"\n")

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._more = message.get("more_body", False)
            self._take(message.get("body", b""))
        return message

    async def read_all(self) -> None:
        """Read the whole body. Raises RequestTooSlow."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while self._more and (await self.receive())["type"] == "http.request":
                    pass
        except TimeoutError as error:
            raise RequestTooSlow from error

    def fingerprint(self) -> str:
        digest = self._digest.copy()
        digest.update(self._tail)
        return digest.hexdigest()

    def _take(self, part: bytes) -> None:
        if not self._boundary:
            self._digest.update(part)
            return
        text = (self._tail + part).replace(self._boundary, b"")
        keep = min(len(self._boundary) - 1, len(text))  # the boundary may begin in these bytes
        self._digest.update(text[: len(text) - keep])
        self._tail = text[len(text) - keep :]


class _Record:
    """Records an answer; stores it before its last part is sent, because a retry may follow at once."""

    def __init__(self, send: Send, keep: "Callable[[_Record], Awaitable[None]]") -> None:
        self._send = send
        self._keep = keep
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = Headers(raw=message.get("headers", []))
            self._headers = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        else:
            self._body += message.get("body", b"")
            # a refused request may be sent again under the same key
            if not message.get("more_body", False) and 200 <= self._status < 300:
                await self._keep(self)
        await self._send(message)

    def answer(self, fingerprint: str) -> Answer:
        return Answer(fingerprint, self._status, self._headers, self._body)


PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "description": (
        "A unique text for each write. The same request sent again within a day is not done again: it gets the first "
        f"answer, with `{REPLAYED}: true`."
    ),
}
