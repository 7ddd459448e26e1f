"""Confined processes as a function: `Confined("module:function", …)(asked, data)`.

The function takes a JSON object and bytes, and returns the same. Each call is answered by a process of its own that has never seen another
call's bytes, is confined by `core.confinement.kernel` before it reads the first of them, and is killed after its answer. What it says is
believed only so far as it was asked: one message of bounded size, with the nonce of the question, within the time.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from importlib import import_module
from threading import Lock
from typing import Any

from core.confinement.kernel import Layer, undumpable
from core.confinement.template import MESSAGE, NOTES, REPORT
from core.errors import Unconfined
from core.settings import CONFINEMENT, PROJECT, REQUIRED, confinement_required
from core.turns import Turns

LARGEST_TOLD = 2**20  # bytes of JSON
PATIENCE = 10  # times the processor time allowed, in seconds on the clock; a busy machine takes longer
START_SECONDS = 120.0
LONGEST_NOTE = 500
PIECE = 2**20
NEEDED = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")  # of the environment, to start an interpreter
OWN = {  # environment of a template: it forks, so it must have one thread; and large blocks of memory come in large pages
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")},
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # its own one claims more addresses than a process may have
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
CAN_FORK = hasattr(os, "fork") and hasattr(socket, "send_fds")
log = logging.getLogger(__name__)


class Ended(Exception):
    """A confined process ended without an answer, twice if it was not for the time it took.

    Args:
        too_slow: it took all the time that it had.
    """

    def __init__(self, reason: str, too_slow: bool = False) -> None:
        super().__init__(reason)
        self.too_slow = too_slow


class Confined:
    """A function that other processes call, a few at a time.

    Args:
        work: `module:function`, a `core.confinement.template.Work`.
        processes: how many at most work at once.
        memory: bytes of addresses of each, libraries included.
        seconds: of processor time that an answer may take.
        largest: bytes that an answer may have.
    """

    def __init__(self, work: str, processes: int, memory: int, seconds: int, largest: int) -> None:
        self._command = [sys.executable, "-m", "core.confinement.template", work, str(memory), str(seconds)]
        self._work, self._processes, self._seconds, self._largest = work, processes, seconds, largest
        self._starting = Lock()  # else two visitors who come first start twice as many
        self._turns: Turns[_Slot] | None = None

    def start(self) -> None:
        """Let the processes start, so that they are ready when the first question comes; from then on no other reads this one's memory."""
        undumpable()
        with self._starting:
            if self._turns is None and CAN_FORK:
                slots = [_Slot(self._command) for _ in range(self._processes)]
                self._turns = Turns(slots)

    def level(self) -> Layer:
        """What confines an answer on this machine; waits until the processes have started. Raises Unconfined."""
        if not CAN_FORK:
            return Layer(0)
        self.start()
        assert self._turns
        with self._turns.taken("") as slot:
            return slot.level()

    def __call__(self, asked: dict[str, Any], data: bytes, visitor: str = "") -> tuple[dict[str, Any], bytearray]:
        """Ask; safe to call from several threads, which are answered in turn, the visitor who took least first.

        Raises:
            Ended: no process gave an answer.
            Unconfined: the kernel cannot confine the process as the setting requires.
        """
        if not CAN_FORK:
            return self._here(asked, data)
        self.start()
        assert self._turns
        with self._turns.taken(visitor) as slot:
            try:
                return slot.ask(asked, data, self._seconds, self._largest)
            except Ended as error:
                log.warning("%s gave no answer: %s", self._work, error)
                if error.too_slow:
                    raise
            return slot.ask(asked, data, self._seconds, self._largest)  # the machine may have been out of memory

    def _here(self, asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytearray]:
        """Answer in this process: a system without fork, which is Windows."""
        _require(Layer(0))
        log.warning("%s is confined by nothing: this system has no fork", self._work)
        module, function = self._work.split(":")
        told, answer = getattr(import_module(module), function)(asked, data)
        return told, bytearray(answer)


class _Slot:
    """One template, and the process forked from it that waits for a question."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._begin()
        atexit.register(self._end)

    def _begin(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._template = subprocess.Popen(
                self._command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd=PROJECT,
                env={name: os.environ[name] for name in NEEDED if name in os.environ} | OWN,
                start_new_session=True,  # a Ctrl-C in the server's terminal is the server's; and the group is killed at once
            )
        self._connection: socket.socket | None = None
        self._layers = Layer(0)
        self._status, self._used = 0, 0.0

    def level(self) -> Layer:
        """What confines this slot's processes. Raises Unconfined if that is less than required."""
        self._ready()
        return self._layers

    def ask(self, asked: dict[str, Any], data: bytes, seconds: int, largest: int) -> tuple[dict[str, Any], bytearray]:
        try:
            connection = self._ready()
        except OSError as error:  # the template ended while it waited
            log.warning("a template ended: %r", error)
            self._replace()
            connection = self._ready()
        deadline = time.monotonic() + PATIENCE * seconds
        try:
            answer = _exchange(connection, asked, data, largest, deadline)
        except BrokenPipeError as error:
            if self._template.poll() is None:
                raise self._ended(error, seconds) from error
            self._replace()  # it was killed with its template, which says nothing of what was asked
            answer = _exchange(self._ready(), asked, data, largest, deadline)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:  # it stopped or makes no sense
            raise self._ended(error, seconds) from error
        except BaseException:
            self._replace()
            raise
        self._next()
        return answer

    def _ready(self) -> socket.socket:
        """The connection to a process that waits for its question. Raises Unconfined if it is confined by less than required."""
        if self._connection is None:
            self._receive()
        assert self._connection
        if select.select([self._connection], [], [], 0)[0]:  # it speaks before it is asked, or has ended
            self._next()
            self._receive()
        _require(self._layers)
        return self._connection

    def _receive(self) -> None:
        """The next process, and what became of the one before. Raises OSError if the template has ended."""
        self._control.settimeout(START_SECONDS)
        report, handles, _, _ = socket.recv_fds(self._control, REPORT.size, 1)
        while handles and 0 < len(report) < REPORT.size:
            report += self._control.recv(REPORT.size - len(report))
        if len(report) < REPORT.size or not handles:
            raise BrokenPipeError("the template has ended")
        self._connection = socket.socket(fileno=handles[0])
        self._status, layers, self._used = REPORT.unpack(report)
        if self._layers != Layer(layers):
            self._layers = Layer(layers)
            level = logging.INFO if Layer.SECCOMP in self._layers else logging.WARNING
            log.log(level, "%s is confined by %s", self._command[3], self._layers)

    def _next(self) -> None:
        """Let the process be killed and the next one be forked, meanwhile."""
        if self._connection:
            self._connection.close()
            self._connection = None
        with contextlib.suppress(OSError):  # noticed by who asks next
            self._control.sendall(b"n")

    def _ended(self, error: Exception, seconds: int) -> Ended:
        """Why there was no answer, with a new process in place."""
        if isinstance(error, TimeoutError):
            self._replace()
            return Ended("it did not end in time", too_slow=True)
        try:
            self._next()
            self._receive()
        except OSError:
            self._replace()
            return Ended(repr(error))
        code = os.waitstatus_to_exitcode(self._status)
        too_slow = code == -signal.SIGXCPU or self._used >= seconds
        return Ended(f"{error!r}, exit status {code}, {self._used:.1f} s of processor time", too_slow)

    def _replace(self) -> None:
        self._end()
        self._begin()

    def _end(self) -> None:
        """Kill the template with all that came of it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._template.pid, signal.SIGKILL)
        self._template.wait()
        self._control.close()
        if self._connection:
            self._connection.close()


def _require(layers: Layer) -> None:
    if confinement_required() and Layer.LIMITS | Layer.SECCOMP not in layers:
        raise Unconfined(
            f"No file is read here: {CONFINEMENT} is {REQUIRED}, and this machine's kernel confines the processes that read files by "
            f"{layers} only. Let the container's profile allow seccomp, or start without that setting."
        )


def _exchange(
    connection: socket.socket, asked: dict[str, Any], data: bytes, largest: int, deadline: float
) -> tuple[dict[str, Any], bytearray]:
    """Ask, and read the answer. Raises OSError, ValueError, KeyError, TypeError or RecursionError if it makes no sense."""
    nonce, question = secrets.token_bytes(16), json.dumps(asked).encode()
    connection.settimeout(_left(deadline))
    connection.sendall(MESSAGE.pack(nonce, len(question), len(data)) + question)
    for start in range(0, len(data), PIECE):
        connection.settimeout(_left(deadline))
        connection.sendall(memoryview(data)[start : start + PIECE])
    returned, length, size = MESSAGE.unpack(_received(connection, MESSAGE.size, deadline))
    if not secrets.compare_digest(returned, nonce):
        raise ValueError("an answer to another question")
    if length > LARGEST_TOLD or size > largest:
        raise ValueError(f"an answer of {length} and {size} bytes")
    answer = json.loads(bytes(_received(connection, length, deadline)))
    told, notes = answer["told"], answer["log"]
    if not (isinstance(told, dict) and isinstance(notes, list)):
        raise ValueError("an answer that is no object")
    pixels = _received(connection, size, deadline)
    for level, note in notes[:NOTES]:
        log.log(logging.WARNING if level == logging.WARNING else logging.INFO, "%s", _one_line(str(note)))
    return told, pixels


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _received(connection: socket.socket, size: int, deadline: float) -> bytearray:
    """So many bytes. Raises OSError: the other side has ended before, or the time is up."""
    data = bytearray(size)
    view, place = memoryview(data), 0
    while place < size:
        connection.settimeout(_left(deadline))
        try:
            got = connection.recv_into(view[place:])
        except ConnectionResetError:  # it was killed with words of ours unread
            got = 0
        if not got:
            raise BrokenPipeError(f"{place} of {size} bytes")
        place += got
    return data


def _one_line(note: str) -> str:
    """A text that forges no line of the log."""
    return "".join(c if c.isprintable() else "?" for c in note[:LONGEST_NOTE])
