"""Fixtures of the acceptance tests: photos, data directories with a converted model, a service for the web page."""

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from support.lookalike_command import Lookalike, until_it_answers
from support.page_photos import PACKAGED, shots_folder, write_many, write_more, write_photos


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that all processes of a run share; the first one to ask for it makes it."""
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
