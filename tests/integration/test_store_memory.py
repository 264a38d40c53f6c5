"""Memory freed behind Milvus Lite goes back to the system."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

MEGA = 1_000_000
RESIDENT = """
from pathlib import Path

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))
"""
# the thread that took the memory waits, as Milvus Lite's do between flushes
FREEING = (
    RESIDENT
    + """
import ctypes, sys, threading
from store import open_store

def work():
    buffers = [pa.allocate_buffer(1 << 20) for _ in range(100)]
    for buffer in buffers:
        ctypes.memset(buffer.address, 1, buffer.size)
    held.append(resident() - before)
    del buffers, buffer
    freed.set()
    measured.wait()

with open_store("", "", Path(sys.argv[1]), 30.0):
    import pyarrow as pa
    held, freed, measured = [], threading.Event(), threading.Event()
    before = resident()
    thread = threading.Thread(target=work)
    thread.start()
    freed.wait()
    print(held[0], resident() - before)
    measured.set()
    thread.join()
"""
)
TRIMMING = (
    RESIDENT
    + """
from store.milvus_lite.allocator import trim

before = resident()
pieces = [bytes(10_000) for _ in range(10_000)]
held, last = resident() - before, pieces[-1]  # the last one is in the way of what lies below it
del pieces
trim()
print(held, resident() - before)
"""
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def held_and_kept(program: str, *arguments: Path) -> list[int]:
    """Return the bytes that a program held and those it had once they were free."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return [int(number) for number in subprocess.run(command, capture_output=True, check=True).stdout.split()]


def test_what_arrow_frees_in_a_thread_that_waits_is_given_back(tmp_path: Path) -> None:
    held, kept = held_and_kept(FREEING, tmp_path)
    assert held > 100 * MEGA
    assert kept < 25 * MEGA


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such function")
def test_what_the_c_library_keeps_is_given_back() -> None:
    held, kept = held_and_kept(TRIMMING)
    assert held > 90 * MEGA
    assert kept < 25 * MEGA
