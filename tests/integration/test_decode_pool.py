import ctypes
import os
import platform
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import misbehaviour
from support.misbehaviour import run
from support.pictures import encoded, photo

from embeddings.decode_pool.pool import DecodeLimits, DecodePool
from embeddings.decode_pool.process import INHERITED, SINGLE_THREAD_ENV
from embeddings.errors import ImageError, ImageTooLarge, ImageUndecodable, LookalikeError
from embeddings.imaging import decode
from embeddings.imaging.decode import Box, InputSpec

SPEC = InputSpec(64, 64)
LIMITS = DecodeLimits(max_bytes=10**7, max_pixels=misbehaviour.MAX_PIXELS, seconds=30, memory=300_000_000)
IMPATIENT = DecodeLimits(max_bytes=10**7, max_pixels=10**7, seconds=1.5, memory=300_000_000)
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and of orphans need Linux")


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with misbehaviour.pool(LIMITS, processes=2) as pool:
        yield pool


def failure(pool: DecodePool, function: Callable[..., object], *args: object) -> BaseException | None:
    return run(pool, function, *args).exception()


def gone(pids: list[int]) -> bool:
    """Return whether all of these processes end within a minute."""
    poll = select.poll()
    left = []
    for pid in pids:
        try:
            left.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
        poll.register(left[-1], select.POLLIN)
    ended = 0
    while ended < len(left) and (ready := poll.poll(60_000)):
        for descriptor, _ in ready:
            poll.unregister(descriptor)
            ended += 1
    for descriptor in left:
        os.close(descriptor)
    return ended == len(left)


def test_the_pool_returns_the_result_of_decode(pool: DecodePool):
    data = encoded(photo(400, 300), "JPEG")
    for box in (None, Box(0.1, 0.1, 0.5, 0.5)):
        found = pool.decode(data, SPEC, box).result()
        wanted = decode.decode(data, SPEC, max_pixels=10**7, box=box)
        assert np.array_equal(found.pixels, wanted.pixels)
        assert (found.width, found.height, found.phash) == (wanted.width, wanted.height, wanted.phash)
    assert pool.thumbnail(data, 50).result() == decode.thumbnail(data, 50, max_pixels=10**7)


def test_image_errors_are_passed_on(pool: DecodePool):
    error = pool.decode(b"%PDF-1.4", SPEC).exception()
    assert isinstance(error, ImageError)
    assert (error.code, error.message) == (
        "unsupported_format",
        "The file is not in an image format that lookalike reads (PDF).",
    )


def test_a_file_with_too_many_bytes_is_not_even_sent():
    with DecodePool(DecodeLimits(100, 10**6, 30, 10**8)) as pool:
        for future in (pool.decode(bytes(101), SPEC), pool.thumbnail(bytes(101), 50)):
            error = future.exception()
            assert isinstance(error, ImageTooLarge)
            assert error.message == "The file has 101 bytes; at most 100 are allowed."
        assert not pool._decoders


@pytest.mark.parametrize("end", [misbehaviour.crash, misbehaviour.leave])
def test_a_crash_costs_one_image(pool: DecodePool, end: object):
    data = encoded(photo(100, 80), "PNG")
    before = [pool.decode(data, SPEC) for _ in range(20)]
    bad = [run(pool, end) for _ in range(5)]  # type: ignore[arg-type]
    after = [pool.decode(data, SPEC) for _ in range(20)]
    for future in bad:
        error = future.exception()
        assert isinstance(error, ImageUndecodable)
        assert error.message == "The decoder crashed on this file."
    assert all(future.result().width == 100 for future in before + after)


def test_an_endless_image_is_stopped_and_the_others_are_not():
    data = encoded(photo(100, 80), "PNG")
    with misbehaviour.pool(IMPATIENT, processes=2) as pool:
        assert pool.decode(data, SPEC).result().width == 100
        endless = [run(pool, misbehaviour.hang), run(pool, misbehaviour.hang)]
        others = [pool.decode(data, SPEC) for _ in range(10)]
        for future in endless:
            error = future.exception()
            assert isinstance(error, ImageUndecodable)
            assert error.message == "Decoding the file took longer than 1.5 seconds."
        assert all(future.result().width == 100 for future in others)


@linux
def test_memory_is_limited(pool: DecodePool):
    assert run(pool, misbehaviour.take, 200_000_000).result() == 200_000_000
    error = failure(pool, misbehaviour.take, 400_000_000)
    assert isinstance(error, ImageUndecodable)
    assert "needs more memory than the 300,000,000 bytes" in error.message


@linux
def test_an_image_that_needs_too_much_memory_fails_alone(pool: DecodePool):
    large = encoded(Image.new("RGB", (10_000, 10_000)), "PNG")  # 400 MB as Pillow keeps it
    small = encoded(photo(100, 80), "PNG")
    futures = [pool.decode(data, SPEC) for data in (small, large, small)]
    assert [type(future.exception()) for future in futures] == [type(None), ImageUndecodable, type(None)]


@linux
def test_a_process_that_accumulates_memory_is_replaced():
    with misbehaviour.pool(LIMITS, processes=1) as pool:
        first = run(pool, misbehaviour.pid).result()
        assert run(pool, misbehaviour.pid).result() == first
        run(pool, misbehaviour.keep, 200_000_000).result()
        assert run(pool, misbehaviour.take, 200_000_000).result()
        assert run(pool, misbehaviour.pid).result() != first


def test_other_errors_become_undecodable(pool: DecodePool):
    error = failure(pool, misbehaviour.fail)
    assert isinstance(error, ImageUndecodable)
    assert error.message == "The image could not be decoded: ZeroDivisionError: by nothing"


def test_a_process_that_dies_while_idle_is_replaced():
    with misbehaviour.pool(LIMITS, processes=1) as pool:
        first = run(pool, misbehaviour.pid).result()
        os.kill(first, signal.SIGKILL)
        assert gone([first])
        assert run(pool, misbehaviour.pid).result() != first


def test_only_the_parent_handles_ctrl_c():
    with misbehaviour.pool(LIMITS, processes=1) as pool:
        pid = run(pool, misbehaviour.pid).result()
        os.kill(pid, signal.SIGINT)
        assert run(pool, misbehaviour.pid).result() == pid
        assert run(pool, misbehaviour.group).result() != os.getpgrp()


def test_processes_import_no_large_library(pool: DecodePool):
    loaded = set(run(pool, misbehaviour.modules).result())
    assert {"numpy", "PIL", "pillow_heif"} <= loaded
    assert not {"torch", "timm", "openvino", "pymilvus", "pydantic", "fastapi", "click", "pytest"} & loaded


def test_decoders_write_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]):
    with misbehaviour.pool(LIMITS, processes=1) as pool:
        run(pool, misbehaviour.complain).result()
        pool.decode(encoded(photo(64, 64), "TIFF", compression="tiff_lzw")[:-500], SPEC).exception()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("program", ["/bin/false", "/does/not/exist"])
def test_a_process_that_does_not_start_is_no_image_error(program: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", program)
    with misbehaviour.pool(LIMITS, processes=1) as pool:
        error = pool.decode(b"...", SPEC).exception()
    assert isinstance(error, LookalikeError)
    assert not isinstance(error, ImageError)


@linux
def test_close_is_at_once_and_leaves_nothing():
    pool = misbehaviour.pool(LIMITS, processes=2)
    pids = [run(pool, misbehaviour.pid).result()]
    futures = [run(pool, misbehaviour.hang) for _ in range(1000)]
    pool.close()
    assert wait(futures, timeout=0).not_done == set()
    assert all(type(future.exception()) is LookalikeError for future in futures)
    assert gone(pids)
    with pytest.raises(LookalikeError):
        pool.decode(b"...", SPEC)
    pool.close()


def held() -> tuple[int, int]:
    """Return the numbers of open descriptors and of shared mappings of this process."""
    maps = Path("/proc/self/maps").read_text()
    return len(list(Path("/proc/self/fd").iterdir())), maps.count("memfd:lookalike")


@linux
def test_no_shared_memory_or_descriptor_is_left_behind():
    data = encoded(photo(100, 80), "PNG")
    before = held()
    with misbehaviour.pool(LIMITS, processes=1) as pool:
        pids = [run(pool, misbehaviour.pid).result()]
        first = held()
        for _ in range(3):
            os.kill(pids[-1], signal.SIGKILL)
            failure(pool, misbehaviour.crash)
            pids.append(run(pool, misbehaviour.pid).result())
            image = pool.decode(data, SPEC).result()
        assert held() == first
    assert held() == before
    assert gone(pids)
    assert image.pixels.shape == (64, 64, 3)  # still there to be read


def test_pixels_of_a_large_input_arrive():
    spec = InputSpec(1500, 1500, 1.0, "squash")  # more than the memory that is shared
    data = encoded(photo(100, 80), "PNG")
    with misbehaviour.pool(LIMITS, processes=1) as pool:
        found = pool.decode(data, spec).result().pixels
    assert np.array_equal(found, decode.decode(data, spec, max_pixels=10**7).pixels)


PARENT = """
import sys
from embeddings.decode_pool.pool import DecodeLimits
from support import misbehaviour
limits = DecodeLimits(10**6, 10**6, 1000, 10**9)
for pool in (misbehaviour.pool(limits, processes=1), misbehaviour.pool(limits, processes=1)):
    print(misbehaviour.run(pool, misbehaviour.pid).result(), flush=True)
    misbehaviour.run(pool, misbehaviour.hang)
sys.stdin.read()
"""


@linux
def test_killing_the_parent_ends_its_busy_processes():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=pipe, stdout=pipe, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        assert not set(pids) & {parent.pid}
        parent.kill()
    assert gone(pids)


def can_be_confined() -> bool:
    """Return whether the system has what confines processes; PR_GET_SECCOMP fails in a kernel without it."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and ctypes.CDLL(None).prctl(21) != -1


@pytest.mark.skipif(not can_be_confined(), reason="processes are confined by seccomp, on Linux on x86-64")
def test_a_process_opens_nothing_and_starts_nothing(pool: DecodePool):
    denied = (misbehaviour.open_file, misbehaviour.open_socket, misbehaviour.start_process, misbehaviour.fork)
    for act in (*denied, misbehaviour.kill_parent):
        error = failure(pool, act)
        assert isinstance(error, ImageUndecodable), act.__name__
        assert "PermissionError" in error.message
    run(pool, misbehaviour.start_thread).result()


def test_a_process_knows_no_secret_of_its_parent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOOKALIKE_MILVUS_TOKEN", "root:secret")
    with misbehaviour.pool(LIMITS, processes=1) as pool:
        known = set(run(pool, misbehaviour.environment).result())
    assert known <= {*INHERITED, *SINGLE_THREAD_ENV, "PYTHONPATH"}


def test_every_sound_file_is_decoded_and_others_fail_alone(shared_data: Path):
    files = sorted(path for path in (shared_data / "decoders").rglob("*") if path.is_file())
    assert len(files) > 1000
    with misbehaviour.pool(LIMITS) as pool:
        contents = [path.read_bytes() for path in files]
        sound = [run(pool, misbehaviour.opens_soundly, data=data) for data in contents]
        decoded = [pool.decode(data, SPEC) for data in contents]
        for path, is_sound, future in zip(files, sound, decoded, strict=True):
            error = future.exception()
            assert error is None or isinstance(error, ImageError), path
            assert (error is None) == (is_sound.exception() is None and is_sound.result()), (path, error)


def test_bombs_of_the_shared_set_are_too_large(pool: DecodePool, shared_data: Path):
    (bomb,) = (shared_data / "decoders/its_jpg").glob("6903d453*.jpg")
    error = pool.decode(bomb.read_bytes(), SPEC).exception()
    assert isinstance(error, ImageTooLarge)
    assert "1,346,754,329 pixels" in error.message


@pytest.mark.parametrize("name", ["Landscape", "Portrait"])
def test_all_orientations_of_a_photo_look_the_same(name: str, pool: DecodePool, shared_data: Path):
    spec = InputSpec(224, 224)
    files = sorted((shared_data / "photos/exif_orientation").glob(f"{name}_*.jpg"))
    assert len(files) == 9
    first, *others = [pool.decode(path.read_bytes(), spec).result() for path in files]
    for other in others:
        assert (other.width, other.height) == (first.width, first.height)
        assert np.abs(other.pixels.astype(int) - first.pixels).mean() < 3
        assert (other.phash ^ first.phash).bit_count() <= 4
