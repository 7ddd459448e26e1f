"""What the kernel keeps a process from doing: limits everywhere, Landlock and a seccomp filter on Linux.

The filter is an allow-list: memory without execution, threads, the clock, reading and writing what is open already. All else fails with
EPERM. Landlock (https://docs.kernel.org/userspace-api/landlock.html) forbids files, connections, signals and tracing once more.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import struct
import sys
from enum import IntFlag
from pathlib import Path
from typing import NamedTuple

try:
    import resource
except ImportError:  # Windows
    resource = None

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
SECCOMP_MODE_FILTER = 2
SIGKILL = 9
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF, LANDLOCK_VERSION = 444, 446, 1
LANDLOCK_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many a version of it knows; later ones know no more
CLONE_THREAD, PROT_EXEC = 0x10000, 0x4
X32_CALLS = 0x40000000  # x86-64's numbers from here on are a second set of the same calls


class Layer(IntFlag):
    """What confines a process."""

    LIMITS = 1
    LANDLOCK = 2
    SECCOMP = 4

    def __str__(self) -> str:
        """Such as `limits, Landlock, seccomp`."""
        names = {Layer.LIMITS: "limits", Layer.LANDLOCK: "Landlock", Layer.SECCOMP: "seccomp"}
        return ", ".join(names[layer] for layer in Layer if layer in self) or "nothing"


class _Machine(NamedTuple):
    audit_arch: int
    numbers: tuple[int, ...]
    mmap: int
    mprotect: int
    clone: int


CLONE3 = 435  # on both
# read, write, readv, writev, close, fstat, lseek, munmap, mremap, madvise, brk, rt_sigaction, rt_sigprocmask, rt_sigreturn, sigaltstack,
# ppoll, sched_yield, nanosleep, clock_nanosleep, getpid, gettid, exit, exit_group, futex, sched_getaffinity, set_robust_list,
# set_tid_address, restart_syscall, clock_gettime, clock_getres, gettimeofday, getrandom, rseq, sysinfo, getrusage, uname, getcpu
_X86_64 = (
    *(0, 1, 19, 20, 3, 5, 8, 11, 25, 28, 12, 13, 14, 15, 131),
    *(271, 24, 35, 230, 39, 186, 60, 231, 202, 204, 273),
    *(218, 219, 228, 229, 96, 318, 334, 99, 98, 63, 309),
    7,  # poll, which aarch64 does not have
)
_AARCH64 = (
    *(63, 64, 65, 66, 57, 80, 62, 215, 216, 233, 214, 134, 135, 139, 132),
    *(73, 124, 101, 115, 172, 178, 93, 94, 98, 123, 99),
    *(96, 128, 113, 114, 169, 278, 293, 179, 165, 160, 168),
)
MACHINES = {
    "x86_64": _Machine(0xC000003E, _X86_64, mmap=9, mprotect=10, clone=56),
    "aarch64": _Machine(0xC00000B7, _AARCH64, mmap=222, mprotect=226, clone=220),
}

LINUX = sys.platform.startswith("linux")
_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None


def undumpable() -> None:
    """Keep processes of the same user from reading this one's memory and tracing it; Linux only."""
    _prctl(PR_SET_DUMPABLE, 0)


def end_first() -> None:
    """Let the kernel end this process and those forked from it before others where memory runs out; Linux only."""
    with contextlib.suppress(OSError), Path("/proc/self/oom_score_adj").open("w") as score:
        score.write("1000")


def end_with_parent() -> None:
    """Let the kernel kill this process as soon as its parent ends; Linux only."""
    _prctl(PR_SET_PDEATHSIG, SIGKILL)


def confine(memory: int, seconds: int) -> Layer:
    """Confine this process, which must have one thread, for good.

    Args:
        memory: bytes of addresses it may have, libraries included.
        seconds: of processor time, all threads together, after which the kernel ends it (SIGXCPU, then SIGKILL).

    Returns:
        The layers reached.
    """
    undumpable()
    privileged = _prctl(PR_SET_NO_NEW_PRIVS, 1)
    reached = Layer(0)
    if privileged and _landlock():
        reached |= Layer.LANDLOCK
    if _limits(memory, seconds):
        reached |= Layer.LIMITS
    if privileged and _seccomp():
        reached |= Layer.SECCOMP
    return reached


def _prctl(option: int, value: int) -> bool:
    return _libc is not None and _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0


def _limits(memory: int, seconds: int) -> bool:
    """No new open files, no growing files, no core dumps, so much memory and time; whether all could be set."""
    if resource is None:
        return False
    all_set = True
    for what, soft, hard in (
        (resource.RLIMIT_NOFILE, 0, 0),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, seconds, seconds + 1),
        (resource.RLIMIT_AS, memory, memory),
    ):
        try:
            resource.setrlimit(what, (soft, hard))
        except (ValueError, OSError):  # macOS knows no limit of addresses
            all_set = False
    return all_set


def _syscall(number: int, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    assert _libc is not None
    given = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return int(_libc.syscall(ctypes.c_long(number), *given))


def _landlock() -> bool:
    """Handle all rights and grant none."""
    if not LINUX or platform.machine() not in MACHINES:
        return False
    version = _syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION)
    if version < 1:
        return False
    ruleset = _ruleset(version)
    handle = _syscall(LANDLOCK_CREATE_RULESET, ctypes.create_string_buffer(ruleset, len(ruleset)), len(ruleset), 0)
    if handle < 0:
        return False
    try:
        return _syscall(LANDLOCK_RESTRICT_SELF, handle, 0) == 0
    finally:
        with contextlib.suppress(OSError):
            os.close(handle)


def _ruleset(version: int) -> bytes:
    """`struct landlock_ruleset_attr`: rights to files, to the network (from version 4), to signals and sockets outside (from 6)."""
    files = (1 << LANDLOCK_FILE_RIGHTS.get(version, 16)) - 1
    size = 8 if version < 4 else 16 if version < 6 else 24
    return struct.pack("QQQ", files, 0b11, 0b11)[:size]


def _seccomp() -> bool:
    machine = MACHINES.get(platform.machine()) if LINUX and sys.maxsize > 2**32 else None
    if _libc is None or machine is None:
        return False
    code = program(machine)
    instructions = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):  # struct sock_fprog
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    filter_ = Program(len(code) // _INSTRUCTION.size, ctypes.addressof(instructions))
    return _libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0) == 0


_INSTRUCTION = struct.Struct("HBBI")  # struct sock_filter: code, jump if true, jump if false, constant
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # places in struct seccomp_data; of an argument the lower half
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000


def program(machine: _Machine) -> bytes:
    """The filter as BPF: kill what calls by another architecture's numbers, allow the list, let all else fail with EPERM."""
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, machine.audit_arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, X32_CALLS),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
        (_EQUAL, 0, 1, CLONE3),  # whose flags a filter cannot see; C libraries then use clone
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
    ]
    for number in machine.numbers:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for number in (machine.mmap, machine.mprotect):  # not if it makes memory that can be executed
        protection = _FIRST_ARGUMENT + 2 * 8
        lines += [
            (_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, protection),
            (_ANY_BIT, 1, 0, PROT_EXEC),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _FAIL | errno.EPERM),
        ]
    lines += [  # only if it makes a thread
        (_EQUAL, 0, 3, machine.clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, CLONE_THREAD),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL | errno.EPERM),
    ]
    return b"".join(_INSTRUCTION.pack(*line) for line in lines)
