"""Runs toy_server.py in a process of its own, for tests that need a real socket."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

SERVER = Path(__file__).with_name("toy_server.py")


class Server:
    """A running toy_server.py; its log goes to a pipe, or to a file for tests that log much."""

    def __init__(self, data: Path, *options: str, log: Path | None = None) -> None:
        with (log or Path("/dev/null")).open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, str(SERVER), str(data), *options],
                stdout=subprocess.PIPE,
                stderr=file if log else subprocess.PIPE,
                text=True,
            )
        assert self.process.stdout
        self.address = self.process.stdout.readline().strip()
        assert self.address, log.read_text() if log else self.process.stderr and self.process.stderr.read()

    def logged(self, pattern: str) -> str:
        """Read the log up to the line in which `pattern` occurs."""
        assert self.process.stderr
        return next(line for line in self.process.stderr if re.search(pattern, line))

    def connect(self) -> socket.socket:
        return socket.create_connection((urlsplit(self.address).hostname, urlsplit(self.address).port), timeout=30)

    def stop(self, number: int) -> tuple[int, str, str]:
        """Send a signal; return the exit code and what was printed since."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@contextmanager
def running(data: Path, *options: str) -> Iterator[Server]:
    """Yield a server that logs into `data`/log; a traceback there fails the test."""
    log = data / "log"
    server = Server(data, *options, log=log)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.communicate(timeout=60)
    assert "Traceback" not in log.read_text(), log.read_text()[-5000:]
