"""The stores in failures: crashes, full disks, locked directories, servers that are not there."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.bulk_rows import DIMENSION, MODEL, make_rows
from support.store_engines import SERVER, open_lite

from embeddings.errors import DataDirectoryLocked, DiskFull, StoreUnavailable, UsageError
from embeddings.models.identity import ModelIdentity
from indexer.sources.folder import Folder
from store import open_store
from store.base import Collection
from store.milvus.backend import Backend
from store.milvus.naming import real_name, write_description
from store.milvus.server_backend import ServerBackend
from store.milvus.store import MilvusStore
from store.milvus_lite.backend import LiteBackend
from store.records import Row


def known_ids(collection: Collection) -> list[str]:
    return sorted(known.id for known in collection.known())


WRITER = """
import sys
from pathlib import Path
from support.bulk_rows import MODEL, make_rows
from support.store_engines import open_lite
collection = open_lite(Path(sys.argv[1])).create("c", MODEL)
for start in range(0, 100_000, 300):
    collection.upsert(make_rows(range(start, start + 300)))
    print(start + 300, flush=True)
    collection.delete([f"{start:06}"])
    print(-start, flush=True)
"""

HOLDER = """
import sys
from pathlib import Path
from support.store_engines import open_lite
with open_lite(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


@contextmanager
def python(code: str, data: Path, stderr: int | None = None) -> Iterator["subprocess.Popen[str]"]:
    """Run code in a process of its own, which is killed at the end."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


IDLE = """
import sys
import time
from pathlib import Path
from support.store_engines import open_lite
with open_lite(Path(sys.argv[1])) as store:
    store.ready()
    time.sleep(160)
"""


@pytest.mark.slow
def test_a_store_that_has_nothing_to_do_for_minutes_is_silent(tmp_path: Path) -> None:
    with python(IDLE, tmp_path, stderr=subprocess.STDOUT) as idle:
        assert idle.communicate() == ("", None)
    assert idle.returncode == 0


@pytest.mark.parametrize("lines", [3, 14, 21])
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path, lines: int) -> None:
    with python(WRITER, tmp_path) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(lines)]
        writer.kill()
        acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
    written = max(acknowledged)
    deleted = {-number for number in acknowledged if number <= 0}
    with open_lite(tmp_path) as store:
        collection = store.open("c", MODEL)
        there = known_ids(collection)
        assert len(there) == len(set(there)) == collection.count()
        expected = {f"{n:06}" for n in range(written)} - {f"{n:06}" for n in deleted}
        # a last write or delete may have been done and not been acknowledged
        assert {f"{written - 300:06}"} >= expected - set(there)
        assert all(id_ >= f"{written:06}" for id_ in set(there) - expected)
        collection.upsert(make_rows(range(written)))
    with open_lite(tmp_path) as store:
        assert known_ids(store.open("c", MODEL))[:written] == [f"{n:06}" for n in range(written)]


def test_a_directory_that_another_process_uses_is_refused_by_name(tmp_path: Path) -> None:
    with python(HOLDER, tmp_path) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "open\n"
        with pytest.raises(DataDirectoryLocked) as locked:
            open_lite(tmp_path)
        assert str(tmp_path) in locked.value.message and f"process {holder.pid}" in locked.value.message
        assert "LOOKALIKE_DATA" in locked.value.message
        holder.communicate()
    open_lite(tmp_path).close()


def test_a_directory_that_this_process_has_open_is_refused_too(tmp_path: Path) -> None:
    with open_lite(tmp_path), pytest.raises(DataDirectoryLocked, match="in use by this process"):
        open_lite(tmp_path)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=re.escape(str(tmp_path / "file")) + ".*LOOKALIKE_DATA"):
        open_lite(tmp_path / "file")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def fill(collection: Collection, acknowledged: list[Row]) -> None:
    """Write until the disk is full."""
    for start in range(0, 20_000, 250):
        rows = make_rows(range(start, start + 250), 512)
        collection.upsert(rows)
        acknowledged += rows
    pytest.fail("the disk did not become full")


# the engine forgets to close its log when a flush fails
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_loses_nothing_and_can_be_used_again(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(9_000_000))
    acknowledged: list[Row] = []
    with open_lite(small_disk / "data") as store:
        collection = store.create("c", ModelIdentity("toy", "0123456789ab", 512))
        with pytest.raises(DiskFull, match=re.escape(str(small_disk / "data"))):
            fill(collection, acknowledged)
        assert known_ids(collection)[: len(acknowledged)] == [row.id for row in acknowledged]
        ballast.unlink()
        more = make_rows(range(90_000, 90_100), 512)
        collection.upsert(more)
        collection.flush()
        assert {row.id for row in acknowledged + more} <= set(known_ids(collection))
    with open_lite(small_disk / "data") as store:
        collection = store.open("c")
        assert {row.id for row in acknowledged + more} <= set(known_ids(collection))
        assert collection.fetch([acknowledged[-1].id], with_vectors=True) == [acknowledged[-1]]


def test_many_threads_share_one_directory(tmp_path: Path) -> None:
    with open_lite(tmp_path) as store, ThreadPoolExecutor(6) as pool:
        collection = store.create("c", MODEL)
        collection.upsert(make_rows(range(100)))

        def write(part: int) -> None:
            for start in range(1000 * part, 1000 * part + 1000, 250):
                collection.upsert(make_rows(range(start, start + 250)))

        def read(_: int) -> int:
            hits = collection.search(np.ones((1, DIMENSION), np.float32), 100)
            return min(len(hits[0]), len(collection.fetch([f"{n:06}" for n in range(100)])), collection.count())

        writers = [pool.submit(write, part) for part in range(1, 6)]
        readers = [pool.submit(read, n) for n in range(40)]
        assert all(reader.result() == 100 for reader in readers)  # rows never vanish, not even during a flush
        assert [writer.result() for writer in writers] == [None] * 5
        assert collection.count() == len(set(known_ids(collection))) == 5100


def test_nothing_is_left_running_after_closing(tmp_path: Path) -> None:
    open_lite(tmp_path / "first").close()
    before = set(threading.enumerate())
    with open_lite(tmp_path / "second") as store:
        store.create("c", MODEL).upsert(make_rows(range(10)))
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()
    store.close()


def test_a_collection_whose_making_was_cut_short_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "milvus" / "collections" / real_name("c", MODEL)).mkdir(parents=True)
    with open_lite(tmp_path) as store:
        assert store.create("c", MODEL).count() == 0


@pytest.fixture(params=["lite", SERVER])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    opened: Backend
    if request.param == "lite":
        opened = LiteBackend(tmp_path / "milvus", 30.0)
    else:
        opened = ServerBackend(request.getfixturevalue("milvus_uri"), "", 30.0)
    yield opened
    opened.close()


def test_a_crash_between_collection_and_name_heals(backend: Backend) -> None:
    backend.create(real_name("halfway", MODEL), MODEL.dimension, write_description(MODEL))
    store = MilvusStore(backend)
    assert "halfway" not in [info.name for info in store.collections()]
    collection = store.create("halfway", MODEL)
    collection.upsert(make_rows(range(3)))
    # and a drop that was cut short: what was dropped must not come back
    backend.run("drop_alias", alias="halfway")
    assert store.create("halfway", MODEL).count() == 0
    store.drop("halfway")


def test_a_collection_of_somebody_else_is_left_alone(backend: Backend) -> None:
    backend.run("create_collection", collection_name="foreign", dimension=4)
    store = MilvusStore(backend)
    assert "foreign" not in [info.name for info in store.collections()]
    with pytest.raises(UsageError, match="'foreign'"):
        store.create("foreign", MODEL)
    backend.run("drop_collection", collection_name="foreign")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port whose owner accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_server_that_is_not_there_is_named_without_its_secrets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(StoreUnavailable) as refused:
        open_store(f"http://root:s3cret@127.0.0.1:{port}", "", Path(), timeout=1.0).ready()
    assert f"http://127.0.0.1:{port}" in refused.value.message and "LOOKALIKE_MILVUS_URI" in refused.value.message
    assert "s3cret" not in refused.value.message


@pytest.mark.timeout(30)
def test_a_server_that_says_nothing_is_given_up(silent_port: int) -> None:
    with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{silent_port}"):
        open_store(f"http://127.0.0.1:{silent_port}", "s3cret", Path(), timeout=1.0).ready()


@pytest.mark.parametrize("uri", ["milvus", "ftp://example.org", "http://", "localhost:19530", "http://h:port"])
def test_an_address_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match="LOOKALIKE_MILVUS_URI"):
        open_store(uri, "", Path(), timeout=1.0)


def test_a_collection_that_has_lost_its_schema_is_set_aside_with_its_rows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store("", "", tmp_path, 30) as store:
        for name in ("kept", "hurt"):
            store.create(name, MODEL).upsert(make_rows(range(50)))
            store.open(name).flush()
    (hurt,) = [folder for folder in (tmp_path / "milvus" / "collections").iterdir() if folder.name.startswith("hurt")]
    before = sorted(path.relative_to(hurt) for path in hurt.rglob("*") if path.is_file())
    (hurt / "schema.json").unlink()
    with open_store("", "", tmp_path, 30) as store:
        assert store.open("kept").count() == 50
    (aside,) = (tmp_path / "milvus" / "damaged").iterdir()
    assert aside.name.startswith(hurt.name)
    after = sorted(path.relative_to(aside) for path in aside.rglob("*") if path.is_file())
    assert after == [path for path in before if path.name != "schema.json"]
    assert "has lost its schema.json; it was moved to" in caplog.text


def test_the_data_directory_is_no_part_of_the_folder_that_it_lies_in(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    with open_store("", "", tmp_path / "data", 30):
        pass
    (tmp_path / "data" / "uploads").mkdir()
    (tmp_path / "data" / "uploads" / "b.jpg").write_bytes(b"b")
    assert [item.path for item in Folder(tmp_path).references()] == ["a.jpg"]
