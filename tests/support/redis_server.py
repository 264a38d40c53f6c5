"""A real Redis for tests, with a log of its own on disk, that can be killed and started again."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from support.debian import debian_command
from support.milvus_server import HOST, lasting_port

START_SECONDS = 20.0


class RedisServer:
    """One server on one port and folder, whatever becomes of its process."""

    def __init__(self, command: str, folder: Path) -> None:
        self.port = lasting_port()
        self.url = f"redis://{HOST}:{self.port}/0"
        self.client: Redis = Redis(host=HOST, port=self.port, decode_responses=True)
        self._folder = folder
        self._command = [command, "--port", str(self.port), "--bind", HOST, "--dir", str(folder)]
        self._command += [
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--maxmemory-policy",
            "noeviction",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when it answers."""
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.client.ping()
                return
            except RedisError:
                assert time.monotonic() < deadline, (self._folder / "redis.log").read_text()[-1000:]
                time.sleep(0.05)

    def kill(self) -> None:
        """End it with no chance to say goodbye."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """Run a server while the context lasts."""
    server = RedisServer(debian_command("redis-server"), folder)
    server.start()
    try:
        yield server
    finally:
        server.client.close()
        server.kill()
