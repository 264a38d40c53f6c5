"""The real command in a process of its own, with a data directory of its own."""

import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

import httpx
import pytest
from support.page_photos import PACKAGED, shots_folder, write_many, write_more, write_photos

from lookalike import main

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

    def told(self, *arguments: object, **settings: str) -> Result:
        """Do the same in this process: for what is soon done, where one of its own would do little but import."""
        with (
            patch.dict(os.environ, self.environment(**settings), clear=True),
            redirect_stdout(io.StringIO()) as out,
            redirect_stderr(io.StringIO()) as err,
        ):
            status = main([str(argument) for argument in arguments])
        return Result(status, out.getvalue(), err.getvalue())

    def start(self, *arguments: object, log: IO[bytes] | None = None, **settings: str) -> subprocess.Popen[str]:
        """Start a command; one that writes much needs a `log`, since nobody reads its pipe."""
        return subprocess.Popen(
            [COMMAND, *map(str, arguments)],
            env=self.environment(**settings),
            stdout=subprocess.PIPE,
            stderr=log or subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that the first process to ask for it has made, for all processes of a run."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            make(folder)
            (folder / "done").touch()
    return folder


def convert_the_model(data: Path) -> None:
    (data / "a.png").write_bytes((PACKAGED / "coffee.png").read_bytes())
    first = Lookalike(data)("tag", data / "a.png")
    assert (first.status, first.err) == (0, "")


def data_directory(folder: Path, models: Path) -> Lookalike:
    """Make a data directory whose model is converted already."""
    folder.mkdir()
    (folder / "models").symlink_to(models)
    return Lookalike(folder)


def write_six(folder: Path) -> Path:
    """Write six photos with different contents."""
    (folder / "album").mkdir(parents=True)
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"):
        (folder / name).write_bytes((PACKAGED / name).read_bytes())
    for name in ("motorcycle_left.png", "motorcycle_right.png"):
        (folder / "album" / name).write_bytes((PACKAGED / name).read_bytes())
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """The converted models of a data directory, to link to."""
    return made_once(tmp_path_factory, "with-models", convert_the_model) / "models"


@pytest.fixture
def lookalike(tmp_path, models) -> Lookalike:
    return data_directory(tmp_path / "data", models)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six photos of a test's own."""
    return write_six(tmp_path / "photos")


@pytest.fixture(scope="session")
def indexed_photos(tmp_path_factory, models) -> Path:
    """Six photos for tests that leave them as they are; `data`, beside them, has them indexed."""

    def index(folder: Path) -> None:
        done = data_directory(folder / "data", models)("index", write_six(folder / "photos"))
        assert (done.status, done.err) == (0, "")

    return made_once(tmp_path_factory, "with-photos", index) / "photos"


@pytest.fixture
def indexed(tmp_path, indexed_photos) -> Lookalike:
    """The command with a data directory of its own, in which `indexed_photos` are indexed."""
    return Lookalike(shutil.copytree(indexed_photos.parent / "data", tmp_path / "data", symlinks=True))


@dataclass(frozen=True)
class PageStand:
    """A running service with photos and libraries, and the folders they are in."""

    address: str
    client: httpx.Client
    folder: Path


@pytest.fixture(scope="module")
def page_stand(tmp_path_factory, models) -> Iterator[PageStand]:
    """The real service on twelve photos, for the tests of the web page."""
    from support.browser import SIZES
    from test_run import until_it_answers

    folder = tmp_path_factory.mktemp("page")
    write_photos(folder / "photos")
    write_more(folder / "more")
    for seed, size in enumerate(SIZES):
        write_many(folder / f"many-{size}", seed)
    libraries = ",".join(f"{name}={folder / name}" for name in ("more", *[f"many-{size}" for size in SIZES]))
    lookalike, written = data_directory(folder / "data", models), folder / "log"
    with written.open("wb") as log:
        arguments = ("run", folder / "photos", "--port", 0)
        process = lookalike.start(*arguments, log=log, LOOKALIKE_LIBRARIES=libraries)
    try:
        address = until_it_answers(process)[1]
        with httpx.Client(base_url=address, timeout=30) as client:
            yield PageStand(address, client, folder)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in written.read_text(), written.read_text()[-5000:]


@pytest.fixture(scope="module")
def chromium():
    """A browser for one module: while it runs, no other event loop can."""
    from support.browser import chromium

    with chromium() as started:
        yield started


@pytest.fixture(params=["desktop", "phone"])
def window(request, chromium, page_stand, tmp_path_factory):
    """A watched window on the service, as large as a desk's or a phone's."""
    from support.browser import watched

    with watched(
        chromium, page_stand.address, shots_folder(tmp_path_factory.getbasetemp() / "page"), request.param
    ) as one:
        yield one
