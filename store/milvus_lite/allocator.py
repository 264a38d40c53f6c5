"""Returns memory that Milvus Lite has freed to the system; its allocators would keep it.

Rows pass through large buffers of Arrow, allocated in one thread of Milvus Lite and freed in another. Arrow's own
allocator (mimalloc) keeps those until the first thread asks for more. The C library returns large pieces at once, from
any thread, but raises its threshold to the largest piece that was ever freed; smaller pieces stay in an arena for each
thread.
"""

import ctypes
import os
import sys

_LARGE = 1 << 20  # bytes, as the pages of Milvus Lite's files
_SPARE = 8 << 20  # bytes that an arena may keep; fewer would cost system calls
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


def free_at_once() -> None:
    """Return freed pieces of 1 MiB and more at once, those of Arrow too.

    Arrow reads the environment when pyarrow is first imported, and never again. Variables that are already set stay.
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
    """Return what the C library's allocator keeps; does nothing if it has no such function."""
    trimming = _of_glibc("malloc_trim")
    if trimming is not None:
        trimming(ctypes.c_size_t(0))


def _of_glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
