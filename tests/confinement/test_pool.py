"""Whatever becomes of a confined process, its question fails or is asked once more, and the next one gets its own answer."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.confinement import pool
from core.confinement.kernel import Layer
from core.confinement.pool import Confined, Ended
from core.confinement.template import MESSAGE
from core.errors import Unconfined
from core.settings import CONFINEMENT, PROJECT, REQUIRED

MEMORY, SECONDS = 2**30, 1


@pytest.fixture(scope="module")
def confined() -> Iterator[Confined]:
    made = Confined("tests.confinement.attacks:attack", 2, MEMORY, SECONDS, 2**20)
    yield made
    end(made)


def end(confined: Confined) -> None:
    assert confined._turns
    for slot in confined._turns._free:
        slot._end()


def ask(confined: Confined, attack: str, data: bytes = b"", **more: Any) -> tuple[dict[str, Any], bytes]:
    told, answer = confined({"attack": attack, **more}, data)
    return told, bytes(answer)


def processes_of(confined: Confined) -> list[psutil.Process]:
    assert confined._turns
    return [psutil.Process(slot._template.pid) for slot in confined._turns._free]


def test_no_question_meets_anything_of_another(confined: Confined):
    for size in range(5):
        told, answer = ask(confined, "nothing", bytes([size]) * size)
        assert told["seen"] == [0, size] and answer == bytes([size]) * size  # the example, and its own


def test_it_knows_neither_the_servers_environment_nor_its_modules(confined: Confined, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("A_SECRET", "of the server")
    told, _ = ask(confined, "nothing")
    assert "A_SECRET" not in told["environment"] and not told["modules"]


@pytest.mark.parametrize(
    "attack",
    [
        "crash",
        "end",
        "speak unasked",
        "answer with rubbish",
        "answer another's question",
        "answer with gigabytes",
        "take memory",
    ],
)
def test_one_that_ends_or_lies_is_asked_once_more_and_the_next_question_gets_its_own_answer(
    attack: str, confined: Confined, caplog: pytest.LogCaptureFixture
):
    with pytest.raises(Ended) as error:
        ask(confined, attack)
    assert not error.value.too_slow
    assert len([record for record in caplog.records if "gave no answer" in record.getMessage()]) == 1
    for size in (7, 8, 9):
        assert ask(confined, "nothing", bytes(size))[0]["seen"] == [0, size]


def test_one_that_answers_twice_answers_nobody_else(confined: Confined):
    for size in (7, 8, 9):
        assert ask(confined, "answer twice")[0] == {"first": True}
        assert ask(confined, "nothing", bytes(size))[0]["seen"] == [0, size]


@pytest.mark.parametrize("attack", ["spin", "ignore the end of its time"])
def test_the_time_allowed_is_the_processors_and_the_kernel_ends_what_takes_more(
    attack: str, confined: Confined, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "PATIENCE", 250)
    with pytest.raises(Ended, match="processor time") as error:
        ask(confined, attack)
    assert error.value.too_slow
    assert ask(confined, "nothing", b"x")[1] == b"x"


def test_one_that_waits_for_ever_is_killed_with_its_whole_group(confined: Confined, monkeypatch: pytest.MonkeyPatch):
    assert confined._turns
    for slot in confined._turns._free:
        slot._ready()
    before = processes_of(confined)
    monkeypatch.setattr(pool, "PATIENCE", 0.4)
    for process in before:
        for child in process.children():
            child.suspend()
    with pytest.raises(Ended, match="did not end in time") as error:
        ask(confined, "nothing")
    assert error.value.too_slow
    monkeypatch.setattr(pool, "PATIENCE", 30)
    gone = [process for process in before if not process.is_running()]
    assert len(gone) == 1
    for process in processes_of(confined):
        for child in process.children():
            child.resume()
    assert ask(confined, "nothing", b"x")[1] == b"x"


def test_a_template_that_was_killed_is_replaced(confined: Confined):
    for process in processes_of(confined):
        process.kill()
        process.wait()
    assert confined._turns
    for slot in confined._turns._free:
        assert slot.ask({"attack": "nothing"}, b"x", SECONDS, 2**20)[1] == b"x"


def test_a_process_killed_in_passing_costs_nothing(confined: Confined, monkeypatch: pytest.MonkeyPatch):
    real, failed = pool._exchange, []

    def first_killed(connection, asked, *rest):
        if not failed:
            failed.append(True)
            asked = {"attack": "crash"}
        return real(connection, asked, *rest)

    monkeypatch.setattr(pool, "_exchange", first_killed)
    assert ask(confined, "nothing", b"x")[1] == b"x" and failed


def test_it_writes_into_no_log(confined: Confined, capfd: pytest.CaptureFixture[str]):
    ask(confined, "forge a log line")
    assert "forged" not in "".join(capfd.readouterr())


def test_a_note_for_the_log_is_one_line():
    assert pool._one_line("a\nERROR forged\x1b[31m" + "x" * 9999).startswith("a?ERROR forged?[31mxxx")
    assert len(pool._one_line("x" * 9999)) == pool.LONGEST_NOTE


def test_a_connection_that_speaks_first_is_not_asked(confined: Confined):
    confined.start()
    assert confined._turns
    for slot in confined._turns._free:
        connection = slot._ready()
        theirs, ours = pool.socket.socketpair()
        theirs.sendall(MESSAGE.pack(b"n" * 16, 2, 0) + b"{}")
        slot._connection = ours
        connection.close()
        assert slot._ready() is not ours
        theirs.close()
    assert ask(confined, "nothing", b"x")[1] == b"x"


def test_many_at_once_get_their_own(confined: Confined):
    with ThreadPoolExecutor(8) as visitors:
        sizes = range(40)
        answers = visitors.map(lambda size: ask(confined, "nothing", bytes(size)), sizes)
        assert [len(answer) for _, answer in answers] == list(sizes)


def test_a_template_has_one_thread_when_it_forks(confined: Confined):
    ask(confined, "nothing")
    assert [process.num_threads() for process in processes_of(confined)] == [1, 1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the file is Linux's")
def test_where_memory_runs_out_the_kernel_ends_these_processes_before_the_server(confined: Confined):
    ask(confined, "nothing")
    templates = processes_of(confined)
    children = [child for template in templates for child in template.children()]
    assert [Path(f"/proc/{process.pid}/oom_score_adj").read_text() for process in templates] == ["1000\n"] * 2
    for child in children:
        with suppress(FileNotFoundError):  # one that has answered ends meanwhile
            assert Path(f"/proc/{child.pid}/oom_score_adj").read_text() == "1000\n"


def test_where_all_layers_are_required_nothing_is_read_without(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(CONFINEMENT, REQUIRED)
    unfiltered = Confined("tests.confinement.unfiltered:attack", 2, MEMORY, SECONDS, 2**20)
    try:
        with pytest.raises(Unconfined, match="confines the processes that read files by limits only"):
            ask(unfiltered, "nothing")
        with pytest.raises(Unconfined):
            unfiltered.level()
    finally:
        end(unfiltered)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the filter is Linux's")
def test_the_level_is_logged_once_a_process_is_there(caplog: pytest.LogCaptureFixture):
    made = Confined("tests.confinement.attacks:attack", 2, MEMORY, SECONDS, 2**20)
    with caplog.at_level(logging.INFO):
        assert Layer.LIMITS | Layer.SECCOMP in made.level()
    assert "attacks:attack is confined by limits" in caplog.text
    end(made)


def test_where_there_is_no_fork_it_is_called_here_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(pool, "CAN_FORK", False)
    made = Confined("tests.confinement.attacks:attack", 2, MEMORY, SECONDS, 2**20)
    assert ask(made, "nothing", b"x")[1] == b"x" and made.level() == Layer(0)
    assert "confined by nothing" in caplog.text
    monkeypatch.setenv(CONFINEMENT, REQUIRED)
    with pytest.raises(Unconfined):
        ask(made, "nothing")


def test_all_processes_end_with_a_server_that_is_killed():
    script = (
        "import os, time; from core.confinement.pool import Confined\n"
        "made = Confined('tests.confinement.attacks:attack', 2, 2**30, 5, 2**20); made({'attack': 'nothing'}, b'')\n"
        "os.write(1, b'!'); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=PROJECT) as server:
        assert server.stdout and server.stdout.read(1) == b"!"
        started = psutil.Process(server.pid).children(recursive=True)
        os.kill(server.pid, signal.SIGKILL)
    gone, alive = psutil.wait_procs(started, timeout=30)
    assert len(gone) >= 2 and not alive  # a template and its child at least
