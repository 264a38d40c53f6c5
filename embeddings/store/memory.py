"""Has the memory that Milvus Lite has freed given back to the system, where its allocators would keep it.

Rows pass through large buffers of Arrow, whose allocator (mimalloc) gives freed pages back when the thread that took
them asks for more. Milvus Lite takes them in threads that then wait, for the next flush or for ever. What the C library
freed stays likewise, in an arena for each thread.
"""

import ctypes
import os
import sys


def free_at_once() -> None:
    """Let Arrow's allocator give freed pages back at once, unless the environment says otherwise.

    It reads this when pyarrow is first imported, and never again.
    """
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "0")


def trim() -> None:
    """Give back what the C library's allocator keeps; nothing is done where it has no such function (not glibc)."""
    if sys.platform == "linux":
        trimming = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trimming is not None:
            trimming(ctypes.c_size_t(0))
