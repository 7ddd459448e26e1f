"""The warm process that confined ones are forked from: `python -m core.confinement.template MODULE:FUNCTION MEMORY SECONDS`.

It loads the function's module and never sees a stranger's byte. Over the socket that is its standard input it hands out one connection at a
time: to a process forked from it and confined, which answers one question by calling the function, and is killed. Before that it answers
the module's `EXAMPLES`, so that what only happens once has happened when the question comes. `core.confinement.pool` is the other side.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

from core.confinement.kernel import Layer, confine, end_first, end_with_parent, undumpable

Work = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]
Examples = tuple[tuple[dict[str, Any], bytes], ...]

REPORT = struct.Struct(
    "!iBd"
)  # wait status of the process before, layers that confine the new one, processor time of the one before
MESSAGE = struct.Struct("!16sIQ")  # a nonce, lengths of a JSON object and of the bytes that follow it
CONNECTION = 3  # the one file handle of a confined process but for /dev/null
BUFFER = 2**22  # bytes of a connection; the kernel gives less where its own limit is lower
HANDLES = 4096  # more than a template ever has; the system's own limit may be a thousand million
NOTES = 10  # log records that a process may send


def main() -> None:
    """Hand out confined processes until the other side ends."""
    end_first()  # an undumpable process may not ask for it
    undumpable()
    module, function = sys.argv[1].split(":")
    loaded = import_module(module)
    work, examples = getattr(loaded, function), loaded.EXAMPLES
    _import_what_answers_import(work, examples)
    memory, seconds = int(sys.argv[2]), int(sys.argv[3])
    gc.collect()
    gc.freeze()  # what is there now stays shared with the processes forked
    with socket.socket(fileno=0) as control:
        layers = _reached(memory, seconds)
        status, used = 0, 0.0
        while True:
            process, connection = _fork(lambda: _confined(work, examples, memory, seconds, layers))
            with connection, contextlib.suppress(BrokenPipeError):  # where the server has gone
                socket.send_fds(control, [REPORT.pack(status, layers, used)], [connection.fileno()])
            asked_for_next = _asked_for_next(control)
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            _, status, usage = os.wait4(process, 0)
            used = usage.ru_utime + usage.ru_stime
            if not asked_for_next:
                return


def _asked_for_next(control: socket.socket) -> bool:
    """Whether the server wants another process; it does not if it has gone, even with something left unread."""
    try:
        return bool(control.recv(1))
    except ConnectionResetError:
        return False


def _import_what_answers_import(work: Work, examples: Examples) -> None:
    """Import the modules that answers need, which a confined process cannot do; another process, which may start
    threads, finds out which."""
    read, write = os.pipe()
    process = os.fork()
    if not process:
        for example in examples:
            work(*example)
        with os.fdopen(write, "w") as names:
            json.dump(list(sys.modules), names)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as names:
        needed = names.read()
    os.waitpid(process, 0)
    for name in json.loads(needed or "[]"):
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                import_module(name)


def _reached(memory: int, seconds: int) -> Layer:
    """The layers that confine a process on this machine, tried by one."""
    process = os.fork()
    if not process:
        os._exit(confine(memory, seconds))
    return Layer(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))


def _fork(prepared: Callable[[], Work]) -> tuple[int, socket.socket]:
    """A process that answers one question once it is prepared, and the connection to it."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    process = os.fork()
    if not process:
        try:
            _answer(ours, prepared)
        finally:
            os._exit(1)
    ours.close()
    return process, theirs


def _confined(work: Work, examples: Examples, memory: int, seconds: int, layers: Layer) -> Work:
    if confine(memory, seconds) != layers:
        raise OSError("less than what was promised")
    for example in examples:
        work(*example)
    return work


def _answer(connection: socket.socket, prepared: Callable[[], Work]) -> NoReturn:
    """Answer one question in a process of its own."""
    end_with_parent()
    _keep_only(connection)
    questions, answers = os.fdopen(CONNECTION, "rb"), os.fdopen(CONNECTION, "wb", closefd=False)
    notes = _Notes()
    logging.basicConfig(level=logging.INFO, handlers=[notes], force=True)
    work = prepared()
    nonce, length, size = MESSAGE.unpack(questions.read(MESSAGE.size))
    told, data = work(json.loads(questions.read(length)), questions.read(size))
    text = json.dumps({"told": told, "log": notes.records}).encode()
    answers.write(MESSAGE.pack(nonce, len(text), len(data)) + text)
    answers.write(data)
    answers.flush()
    os._exit(0)


def _keep_only(connection: socket.socket) -> None:
    """Close all file handles but the connection, and let the three standard ones lead nowhere."""
    os.dup2(connection.fileno(), CONNECTION)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.closerange(CONNECTION + 1, HANDLES)


class _Notes(logging.Handler):
    """Keeps what is logged, for the other side's log."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.records) < NOTES:
            self.records.append((record.levelno, record.getMessage()))


if __name__ == "__main__":
    main()
