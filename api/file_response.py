"""Sends the original file of an image: media type, file name, and ranges."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import PurePath
from typing import IO
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from embeddings.imaging.formats import FORMATS, SIGNATURE_BYTES, browser_format
from store.locations import display_path
from store.records import Row

CHUNK = 256 << 10  # bytes in memory at a time
CACHE = "private, max-age=0, must-revalidate"  # the file may change at any time
MAX_NAME = 150

# Names that no system opens as anything but an image; any other gets a suffix that nothing opens.
_DOWNLOADS = frozenset(suffix for format in FORMATS if not format.browser_type for suffix in format.suffixes)
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def original(request: Request, row: Row, file: IO[bytes], run: Callable[..., Awaitable[bytes]]) -> Response:
    """Return a response with an image's file, or the range that the request names; it closes the file at its end.

    `run` makes blocking calls. A Range header that is not one satisfiable range is ignored (RFC 9110, 14.2).
    """
    etag = f'"{row.content_hash}"'
    kind, disposition = _presentation(file.read(SIGNATURE_BYTES), PurePath(display_path(row)).name)
    start, end = _range(request, etag, row.bytes)
    partial = (start, end) != (0, row.bytes)
    headers = {
        "Content-Length": str(end - start),
        "Content-Disposition": disposition,
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Accept-Ranges": "bytes",
        "Cache-Control": CACHE,
        "ETag": etag,
    }
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{row.bytes}"
    file.seek(start)
    count = end - start if request.method == "GET" else 0
    return _FileResponse(file, count, run, 206 if partial else 200, headers, kind)


class _FileResponse(StreamingResponse):
    """Sends `count` bytes of a file, and closes the file in any case."""

    def __init__(
        self,
        file: IO[bytes],
        count: int,
        run: Callable[..., Awaitable[bytes]],
        status: int,
        headers: dict[str, str],
        kind: str,
    ) -> None:
        super().__init__(self._parts(count, run), status, headers, kind)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()

    async def _parts(self, count: int, run: Callable[..., Awaitable[bytes]]) -> AsyncIterator[bytes]:
        while count > 0:
            part = await run(self._file.read, min(CHUNK, count))
            if not part:
                return  # the file was truncated meanwhile; the client sees that bytes are missing
            count -= len(part)
            yield part


def _presentation(start: bytes, name: str) -> tuple[str, str]:
    """Return the media type and the Content-Disposition of a file by its first bytes and its name."""
    suffix = PurePath(name).suffix.lower()
    format = browser_format(start)
    if format is None or format.browser_type is None:
        return "application/octet-stream", _disposition("attachment", name if suffix in _DOWNLOADS else name + ".bin")
    return format.browser_type, _disposition("inline", name if suffix in format.suffixes else name + format.suffixes[0])


def _disposition(kind: str, name: str) -> str:
    """Return a Content-Disposition (RFC 6266); the name cannot break out of the header or hide its suffix."""
    shown = "".join(c for c in name if c.isprintable() and c not in '\\/:*?"<>|').lstrip(". ")[-MAX_NAME:]
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", shown)
    text = f'{kind}; filename="{plain}"'
    return text if plain == shown else f"{text}; filename*=UTF-8''{quote(shown, safe='')}"


def _range(request: Request, etag: str, size: int) -> tuple[int, int]:
    """Return the first byte of the requested range and the one after its last."""
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if not found or request.headers.get("if-range", etag) != etag:
        return 0, size
    first, last = found.groups()
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    else:
        start, end = max(0, size - int(last or "0")), size
    return (start, end) if start < end else (0, size)
