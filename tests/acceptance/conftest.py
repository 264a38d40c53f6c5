"""The real command in a process of its own, with a data directory of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import skimage

COMMAND = Path(sys.executable).parent / "lookalike"


@dataclass(frozen=True)
class Result:
    """What a command printed and how it ended."""

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

    def start(self, *arguments: object, **settings: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [COMMAND, *map(str, arguments)],
            env=self.environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """A data directory whose model is converted already, so that each test need not do it again."""
    data = tmp_path_factory.mktemp("models")
    (data / "a.png").write_bytes((Path(skimage.__file__).parent / "data" / "coffee.png").read_bytes())
    first = Lookalike(data)("tag", data / "a.png")
    assert (first.status, first.err) == (0, "")
    return data / "models"


@pytest.fixture
def lookalike(tmp_path, models) -> Lookalike:
    data = tmp_path / "data"
    data.mkdir()
    (data / "models").symlink_to(models)
    return Lookalike(data)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six photos with different contents."""
    folder = tmp_path / "photos"
    (folder / "album").mkdir(parents=True)
    packaged = Path(skimage.__file__).parent / "data"
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"):
        (folder / name).write_bytes((packaged / name).read_bytes())
    for name in ("motorcycle_left.png", "motorcycle_right.png"):
        (folder / "album" / name).write_bytes((packaged / name).read_bytes())
    return folder
