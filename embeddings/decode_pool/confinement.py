"""Confines a process by the kernel: it may compute, use its memory and what is open already, and nothing else.

A seccomp filter (Linux, x86-64) lets through the system calls of ALLOWED; new files, sockets, processes and all other
calls fail with EPERM. Threads may be started. Nothing undoes it. See seccomp(2) and the kernel's seccomp_filter.rst.
"""

import ctypes
import errno
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 38, 22
SECCOMP_MODE_FILTER = 2
ARCHITECTURE = 0xC000003E  # AUDIT_ARCH_X86_64
X32 = 0x40000000  # bit of the calls of another interface, which the table does not know
ALLOW, DENY, ABSENT = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
NUMBER, ARCH, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
CLONE_THREAD = 0x00010000

CLONE, CLONE3 = 56, 435
ALLOWED = {
    "read": 0,
    "write": 1,
    "close": 3,
    "fstat": 5,
    "poll": 7,
    "lseek": 8,
    "mmap": 9,
    "mprotect": 10,
    "munmap": 11,
    "brk": 12,
    "rt_sigaction": 13,
    "rt_sigprocmask": 14,
    "rt_sigreturn": 15,
    "pread64": 17,
    "readv": 19,
    "writev": 20,
    "select": 23,
    "sched_yield": 24,
    "mremap": 25,
    "madvise": 28,
    "nanosleep": 35,
    "getpid": 39,
    "sendto": 44,
    "recvfrom": 45,
    "exit": 60,
    "uname": 63,
    "gettimeofday": 96,
    "getrusage": 98,
    "sysinfo": 99,
    "getppid": 110,
    "getpgrp": 111,
    "sigaltstack": 131,
    "gettid": 186,
    "futex": 202,
    "sched_getaffinity": 204,
    "restart_syscall": 219,
    "clock_gettime": 228,
    "clock_nanosleep": 230,
    "exit_group": 231,
    "pselect6": 270,
    "ppoll": 271,
    "set_robust_list": 273,
    "getrandom": 318,
    "rseq": 334,
}

# instructions of the kernel's packet filters: load a word, jump if equal, jump if a bit is set, return
_LOAD, _IF_EQUAL, _IF_SET, _RETURN = 0x20, 0x15, 0x45, 0x06


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def confine() -> bool:
    """Confine this process; return whether the system can. Import all that is needed before."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.maxsize < 2**32:
        return False
    code = b"".join(_instructions())
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    done: int = libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
    return done == 0


def _instructions() -> list[bytes]:
    """Return the filter: jumps count the instructions that they pass over if the test holds, and if it does not."""
    calls = list(ALLOWED.values())
    code = [
        _instruction(_LOAD, ARCH),
        _instruction(_IF_EQUAL, ARCHITECTURE, 1, 0),
        _instruction(_RETURN, DENY),
        _instruction(_LOAD, NUMBER),
        _instruction(_IF_SET, X32, 0, 1),
        _instruction(_RETURN, DENY),
    ]
    # behind the calls: clone3, clone, deny, the flags of clone, allow
    for i, call in enumerate(calls):
        code.append(_instruction(_IF_EQUAL, call, len(calls) - i - 1 + 6, 0))
    return [
        *code,
        _instruction(_IF_EQUAL, CLONE3, 0, 1),
        _instruction(_RETURN, ABSENT),  # the C library uses clone then, whose flags can be seen
        _instruction(_IF_EQUAL, CLONE, 1, 0),
        _instruction(_RETURN, DENY),
        _instruction(_LOAD, FIRST_ARGUMENT),
        _instruction(_IF_SET, CLONE_THREAD, 0, 1),
        _instruction(_RETURN, ALLOW),
        _instruction(_RETURN, DENY),
    ]


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """Return a struct sock_filter."""
    return struct.pack("HBBI", code, if_true, if_false, value)
