"""The filter allows its list and nothing else, on each machine, by an interpreter of its instructions written here."""

import errno
import os
import struct
import sys

import pytest

from core.confinement import kernel
from core.confinement.kernel import MACHINES, Layer, program

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
EXECUTABLE, READ_AND_WRITE = 7, 3
THREAD, FORK = 0x3D0F00, 17


def decision(machine: str, number: int, arguments: tuple[int, ...] = (), architecture: int | None = None) -> int:
    data = struct.pack("=iIQ6Q", number, architecture or MACHINES[machine].audit_arch, 0, *(*arguments, *[0] * 6)[:6])
    lines = list(struct.iter_unpack("HBBI", program(MACHINES[machine])))
    place = accumulator = 0
    while True:
        code, if_true, if_false, constant = lines[place]
        if code == 0x06:
            return constant
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, constant)
            place += 1
            continue
        holds = {0x15: accumulator == constant, 0x35: accumulator >= constant, 0x45: bool(accumulator & constant)}[code]
        place += 1 + (if_true if holds else if_false)


@pytest.mark.parametrize("name", MACHINES)
def test_the_list_is_allowed_and_everything_else_fails(name: str):
    machine = MACHINES[name]
    special = {machine.mmap, machine.mprotect, machine.clone}
    for number in set(range(600)) - special - {kernel.CLONE3}:
        assert decision(name, number) == (ALLOW if number in machine.numbers else EPERM), number


@pytest.mark.parametrize("name", MACHINES)
def test_memory_is_never_executable_and_only_threads_are_made(name: str):
    machine = MACHINES[name]
    for number in (machine.mmap, machine.mprotect):
        assert decision(name, number, (0, 4096, READ_AND_WRITE)) == ALLOW
        assert decision(name, number, (0, 4096, EXECUTABLE)) == EPERM
    assert decision(name, machine.clone, (THREAD,)) == ALLOW and decision(name, machine.clone, (FORK,)) == EPERM
    assert decision(name, kernel.CLONE3) == ENOSYS


@pytest.mark.parametrize("name", MACHINES)
def test_calls_by_other_numbers_are_not_let_through(name: str):
    assert decision(name, 0, architecture=0x40000003) == KILL  # 32-bit x86, whose number 0 is another call
    assert decision(name, 0x40000000 + 1) == EPERM  # x32


@pytest.mark.parametrize(
    ("version", "size", "files"),
    [(1, 8, 13), (2, 8, 14), (3, 8, 15), (4, 16, 15), (5, 16, 16), (6, 24, 16), (9, 24, 16)],
)
def test_landlock_is_asked_for_what_its_version_knows(version: int, size: int, files: int):
    ruleset = kernel._ruleset(version)
    assert len(ruleset) == size and struct.unpack_from("Q", ruleset)[0] == 2**files - 1


@pytest.mark.parametrize("system", ["another machine", "another system"])
def test_where_the_kernel_has_no_filter_the_level_says_so(system: str, monkeypatch: pytest.MonkeyPatch):
    if system == "another machine":
        monkeypatch.setattr(kernel.platform, "machine", lambda: "riscv64")
    else:
        monkeypatch.setattr(kernel, "LINUX", False)
        monkeypatch.setattr(kernel, "_libc", None)
    monkeypatch.setattr(kernel, "resource", None)
    assert kernel.confine(2**31, 10) == Layer(0)
    assert str(Layer(0)) == "nothing"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="all limits are there on Linux only")
def test_a_confined_process_reaches_all_layers_that_this_kernel_has():
    process = os.fork()
    if not process:
        os._exit(kernel.confine(2**31, 10))
    reached = Layer(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
    assert Layer.LIMITS | Layer.SECCOMP in reached
    assert str(reached).startswith("limits") and str(reached).endswith("seccomp")
