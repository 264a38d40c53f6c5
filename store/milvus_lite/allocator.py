"""Has the memory that Milvus Lite has freed given back to the system, where its allocators would keep it.

Rows pass through large buffers of Arrow, taken in one thread of Milvus Lite and freed in another. Arrow's own allocator
(mimalloc) keeps those until the first thread asks for more. The C library gives large pieces back whoever frees them,
but takes the largest one that was ever freed for the measure of large; and what is smaller stays in an arena for each
thread.
"""

import ctypes
import os
import sys

_LARGE = 1 << 20  # bytes, which the pages of Milvus Lite's files have
_SPARE = 8 << 20  # bytes that an arena may keep at its end; less would cost system calls
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


def free_at_once() -> None:
    """Let freed pieces of 1 MiB and more go back at once, those of Arrow too.

    Arrow reads the environment when pyarrow is first imported, and never again. What it says of allocators already is
    kept.
    """
    set_option = _of_glibc("mallopt")
    if set_option is None:
        os.environ.setdefault("MIMALLOC_PURGE_DELAY", "0")
        return
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        set_option(_MMAP_THRESHOLD, _LARGE)
        set_option(_TRIM_THRESHOLD, _SPARE)


def trim() -> None:
    """Give back what the C library's allocator keeps; nothing is done where it has no such function."""
    trimming = _of_glibc("malloc_trim")
    if trimming is not None:
        trimming(ctypes.c_size_t(0))


def _of_glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
