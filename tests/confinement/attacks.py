# ruff: noqa: PTH102, PTH104, PTH108, PTH116, PTH208
"""What somebody tries who has taken over a confined process: each attempt gives "done", or the name of the error that it met."""

import ctypes
import errno
import mmap
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from core.confinement.template import CONNECTION, MESSAGE

EXAMPLES = (({"attack": "nothing"}, b""),)
libc = ctypes.CDLL(None, use_errno=True)
ARM = os.uname().machine == "aarch64"
SEEN: list[bytes] = []
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
NUMBERS = {  # x86-64, aarch64
    "memfd_create": (319, 279), "io_uring_setup": (425, 425), "userfaultfd": (323, 282), "bpf": (321, 280), "unshare": (272, 97),
    "pidfd_open": (434, 434), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "clone": (56, 220), "clone3": (435, 435),
    "shmget": (29, 194), "add_key": (248, 217), "perf_event_open": (298, 241), "prlimit64": (302, 261), "ptrace": (101, 117),
}  # fmt: skip


class Piece(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def call(name: str, *arguments: Any) -> int:
    given = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = libc.syscall(ctypes.c_long(NUMBERS[name][ARM]), *given)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def transfer(name: str, asked: dict[str, Any], ours: ctypes.Array) -> None:
    here = Piece(ctypes.addressof(ours), len(ours))
    there = Piece(asked["address"], len(ours))
    call(name, asked["server"], ctypes.byref(here), 1, ctypes.byref(there), 1, 0)


def attach(asked: dict[str, Any]) -> None:
    call("ptrace", PTRACE_ATTACH, asked["server"], 0, 0)
    os.waitpid(asked["server"], 0)
    call("ptrace", PTRACE_DETACH, asked["server"], 0, 0)


def fork(_: dict[str, Any]) -> None:
    process = os.fork()
    if not process:
        os._exit(0)
    os.waitpid(process, 0)


def clone(_: dict[str, Any]) -> None:
    if call("clone", signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


def executable(_: dict[str, Any]) -> None:
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(4096), 7):
        raise OSError(ctypes.get_errno(), "mprotect")


def new_handle(number: int) -> None:
    os.close(number)


ATTEMPTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "read the server's memory": lambda asked: transfer("process_vm_readv", asked, ctypes.create_string_buffer(16)),
    "overwrite the server's memory": lambda asked: transfer(
        "process_vm_writev", asked, ctypes.create_string_buffer(b"overwritten here", 16)
    ),
    "trace the server": attach,
    "open the server's memory": lambda asked: os.open(f"/proc/{asked['server']}/mem", os.O_RDWR),
    "signal the server": lambda asked: os.kill(asked["server"], 0),
    "take hold of the server": lambda asked: new_handle(call("pidfd_open", asked["server"], 0)),
    "change the server's limits": lambda asked: call(
        "prlimit64", asked["server"], 7, 0, ctypes.create_string_buffer(16)
    ),
    "slow the server down": lambda asked: os.setpriority(os.PRIO_PROCESS, asked["server"], 19),
    "fork": fork,
    "clone": clone,
    "clone3": lambda _: call("clone3", 0, 0),
    "start a program": lambda _: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
    "make memory executable": executable,
    "map executable memory": lambda _: mmap.mmap(-1, 4096, prot=7),
    "take 3 GB": lambda _: mmap.mmap(-1, 3 * 2**30),
    "read a file": lambda asked: os.open(asked["file"], os.O_RDONLY),
    "make a file": lambda asked: os.open(asked["file"] + ".new", os.O_CREAT | os.O_WRONLY),
    "truncate a file": lambda asked: os.truncate(asked["file"], 3),
    "rename a file": lambda asked: os.rename(asked["file"], asked["file"] + ".moved"),
    "delete a file": lambda asked: os.unlink(asked["file"] + (".moved" if asked["unfiltered"] else "")),
    "make a folder": lambda asked: os.mkdir(asked["file"] + ".folder"),
    "list a folder": lambda _: os.listdir("/"),
    "look whether a file is there": lambda asked: os.stat("/etc/passwd"),
    "change its folder": lambda _: os.chdir("/"),
    "connect": lambda _: socket.socket(),
    "make a pair of sockets": lambda _: socket.socketpair(),
    "make a pipe": lambda _: os.pipe(),
    "make a file in memory": lambda _: new_handle(call("memfd_create", b"x", 0)),
    "leave its session": lambda _: os.setsid(),
    "change its user": lambda _: os.setgid(os.getgid()),
    "use io_uring": lambda _: call("io_uring_setup", 1, ctypes.create_string_buffer(256)),
    "handle page faults": lambda _: new_handle(call("userfaultfd", 0)),
    "load a kernel program": lambda _: call("bpf", 0, 0, 0),
    "make a namespace": lambda _: call("unshare", 0x10000000),
    "share memory": lambda _: call("shmget", 0, 4096, 0o1600),
    "keep a key": lambda _: call("add_key", b"user", b"x", b"y", 1, -3),
    "watch the processor": lambda _: call("perf_event_open", ctypes.create_string_buffer(128), 0, -1, -1, 0),
}
FATAL: dict[str, Callable[[], object]] = {
    "forge a log line": lambda: [os.write(handle, b"forged\n") for handle in (1, 2)],
    "crash": os.abort,
    "end": lambda: os._exit(0),
    "spin": lambda: [None for _ in iter(int, 1)],
    "take memory": lambda: [bytes(2**20) for _ in iter(int, 1)],
    "speak unasked": lambda: os.write(CONNECTION, b"x" * 64),
    "answer with rubbish": lambda: os.write(CONNECTION, b"x" * 2000),
    "answer another's question": lambda: os.write(CONNECTION, MESSAGE.pack(b"n" * 16, 2, 0) + b"{}"),
    "answer with gigabytes": lambda: os.write(CONNECTION, MESSAGE.pack(b"n" * 16, 2, 2**40) + b"{}"),
    "ignore the end of its time": lambda: [signal.signal(signal.SIGXCPU, signal.SIG_IGN), FATAL["spin"]()],
}


def outcome(attempt: Callable[[dict[str, Any]], object], asked: dict[str, Any]) -> str:
    try:
        attempt(asked)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except Exception as error:
        return type(error).__name__
    return "done"


def attack(asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Everything at once, one way to end, or nothing but an answer."""
    SEEN.append(data)
    if asked["attack"] == "everything":
        return {name: outcome(attempt, asked) for name, attempt in ATTEMPTS.items()}, b""
    if asked["attack"] in FATAL:
        FATAL[asked["attack"]]()
    if asked["attack"] == "answer twice":  # what follows is another message in the place of a longer one's bytes
        return {"first": True}, MESSAGE.pack(b"n" * 16, 2, 0) + b"{}"
    return {
        "seen": [len(seen) for seen in SEEN],
        "environment": sorted(os.environ),
        "modules": "core.ui" in sys.modules,
    }, data
