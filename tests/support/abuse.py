"""A hostile client: huge bodies, wrong lengths, countless parts, endless slow requests.

Shared by the tests of the service and by the benchmark of its effect on other clients.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

MULTIPART = "Content-Type: multipart/form-data; boundary=b\r\n"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
BLOCK = b"x" * (1 << 20)
PATIENCE = 120.0


@dataclass(frozen=True)
class Heard:
    """The answer on one connection; status 0 if it was closed without an answer."""

    status: int
    code: str = ""


class Abuser:
    """Sends hostile requests to one service."""

    def __init__(self, address: str, source: str | None = None, key: str | None = None) -> None:
        """Take the service's address, the source address, and an API key."""
        self._start = "POST /v1/search HTTP/1.1\r\nHost: localhost\r\n"
        if key:
            self._start += f"Authorization: Bearer {key}\r\n"
        self._head = self._start + MULTIPART
        self._source = (source, 0) if source else None
        self._place = (urlsplit(address).hostname, urlsplit(address).port)

    async def upload(self, size: int) -> Heard:
        """Send one file of `size` bytes."""
        head = f"{self._head}Content-Length: {size + len(PART) + 9}\r\n\r\n".encode()
        return await self._send(head + PART, size, b"\r\n--b--\r\n")

    async def upload_without_length(self, size: int) -> Heard:
        """Send a file in chunks, without a Content-Length."""
        head = f"{self._head}Transfer-Encoding: chunked\r\n\r\n".encode() + b"%x\r\n%s\r\n" % (len(PART), PART)
        return await self._send(head, size, b"0\r\n\r\n", chunked=True)

    async def announce_too_much(self) -> Heard:
        """Send less than the Content-Length, and leave the connection open."""
        return await self._send(f"{self._head}Content-Length: 900000\r\n\r\n".encode() + PART + b"few bytes")

    async def announce_too_little(self) -> Heard:
        """Send more than the Content-Length: the rest looks like a second request."""
        return await self._send(f"{self._head}Content-Length: 10\r\n\r\n".encode() + PART + b"more bytes\r\n\r\n")

    async def many_parts(self, number: int) -> Heard:
        """Send a form with `number` fields."""
        field = b'--b\r\nContent-Disposition: form-data; name="tags"\r\n\r\nx\r\n'
        body = field * number + b"--b--\r\n"
        return await self._send(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def slow_head(self, seconds_between: float) -> Heard:
        """Send a head one line at a time, until the service closes the connection."""
        return await self._trickle(b"GET / HTTP/1.1\r\n", b"X-More: y\r\n", seconds_between)

    async def slow_body(self, seconds_between: float) -> Heard:
        """Send a body one byte at a time."""
        return await self._trickle(f"{self._head}Content-Length: 900000\r\n\r\n".encode() + PART, b"x", seconds_between)

    async def query(self, body: bytes) -> Heard:
        """Search once, as an honest client would, on a connection of its own."""
        head = (
            f"{self._start}Content-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return await self._send(head.encode() + body)

    async def picture(self, data: bytes) -> Heard:
        """Search by an image once, as an honest client would."""
        head = f"{self._start}Content-Type: image/jpeg\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
        return await self._send(head.encode() + data)

    async def hammer(self, seconds: float) -> list[Heard]:
        """Send requests on one connection, each as soon as the last is answered."""
        heard: list[Heard] = []
        until = time.monotonic() + seconds
        try:
            reader, writer = await asyncio.open_connection(*self._place, local_addr=self._source)
            while time.monotonic() < until:
                writer.write(f"{self._start}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}".encode())
                heard.append(await _heard(reader))
                if not heard[-1].status:
                    break
            writer.close()
        except OSError:
            heard.append(Heard(0))
        return heard

    async def _send(self, head: bytes, size: int = 0, tail: bytes = b"", chunked: bool = False) -> Heard:
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection(*self._place, local_addr=self._source)
                answer = asyncio.create_task(_heard(reader))
                with contextlib.suppress(ConnectionError):  # it has answered, or has closed
                    await _write(writer, head, size, tail, chunked)
                heard = await answer
                writer.close()
                return heard
        except OSError:
            return Heard(0)

    async def _trickle(self, head: bytes, drop: bytes, seconds: float) -> Heard:
        try:
            reader, writer = await asyncio.open_connection(*self._place, local_addr=self._source)
            answer = asyncio.create_task(_heard(reader))
            writer.write(head)
            while not answer.done():
                writer.write(drop)
                await writer.drain()
                await asyncio.wait([answer], timeout=seconds)
            writer.close()
            return answer.result()
        except OSError:
            return Heard(0)


async def _write(writer: asyncio.StreamWriter, head: bytes, size: int, tail: bytes, chunked: bool) -> None:
    writer.write(head)
    while size > 0:
        part = BLOCK[:size]
        writer.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
        await writer.drain()
        size -= len(part)
    writer.write(tail)
    await writer.drain()


async def _heard(reader: asyncio.StreamReader) -> Heard:
    """Read one answer."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        body = json.loads(await reader.readexactly(length))
    except (OSError, asyncio.IncompleteReadError):
        return Heard(0)
    return Heard(int(head.split()[1]), body.get("code", ""))


def tally(heard: list[Heard]) -> Counter[tuple[int, str]]:
    """Count the answers by status and code."""
    return Counter((one.status, one.code) for one in heard)


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024


def temporary_files(pid: int) -> list[str]:
    """Return the temporary files that a process has open, deleted ones included."""
    links = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue  # closed meanwhile
    return [link for link in links if link.startswith("/tmp/") and link.endswith("(deleted)")]
