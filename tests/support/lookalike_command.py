"""Runs the real `lookalike` command, each time with the data directory that a test gives it."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

import httpx

from lookalike import main

COMMAND = Path(sys.executable).parent / "lookalike"


@dataclass(frozen=True)
class Result:
    """The output and the exit status of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Lookalike:
    """Runs `lookalike` with one data directory."""

    data: Path

    def environment(self, **settings: str) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("LOOKALIKE_")}
        return clean | {"LOOKALIKE_DATA": str(self.data), "PYTHONWARNINGS": "error"} | settings

    def __call__(self, *arguments: object, **settings: str) -> Result:
        done = subprocess.run(
            [COMMAND, *map(str, arguments)],
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def told(self, *arguments: object, **settings: str) -> Result:
        """Run the command in this process: a process of its own would spend most of its time on imports."""
        with (
            patch.dict(os.environ, self.environment(**settings), clear=True),
            redirect_stdout(io.StringIO()) as out,
            redirect_stderr(io.StringIO()) as err,
        ):
            status = main([str(argument) for argument in arguments])
        return Result(status, out.getvalue(), err.getvalue())

    def start(self, *arguments: object, log: IO[bytes] | None = None, **settings: str) -> subprocess.Popen[str]:
        """Start a command; one that writes much needs a `log`, since a pipe that is not read fills up."""
        return subprocess.Popen(
            [COMMAND, *map(str, arguments)],
            env=self.environment(**settings),
            stdout=subprocess.PIPE,
            stderr=log or subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@contextmanager
def serving(lookalike: Lookalike, *arguments: object, **settings: str) -> Iterator[tuple[httpx.Client, list[str]]]:
    """Run the service; yield its client and the lines printed before it answered. Ctrl-C must end it cleanly."""
    process = lookalike.start(*arguments, "--port", 0, **settings)
    try:
        lines, address = until_it_answers(process)
        with httpx.Client(base_url=address, timeout=30) as client:
            yield client, lines
    finally:
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in err, err


def until_it_answers(process: subprocess.Popen[str]) -> tuple[list[str], str]:
    """Read what a service prints up to its address; return the lines and the address."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if found := re.search(r"http://[\d.:]+", line):
            return lines, found[0]
    raise AssertionError(process.communicate())
