"""Progress: a bar that is wiped out in a terminal, lines in a log."""

import io
import sys

from train import meter as module
from train.meter import meter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_has_a_line_at_once_and_then_one_every_so_many_seconds(capsys):
    assert list(meter(range(1200), "reading", "photos")) == list(range(1200))
    assert capsys.readouterr().err == "reading: 0 of 1,200 photos\n"  # it took less than SECONDS_IN_A_LOG


def test_a_line_tells_how_far_how_fast_and_how_long_still(capsys, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_IN_A_LOG", 0)
    list(meter(iter(range(4)), "reading", "photos", total=4))
    begun, *lines = capsys.readouterr().err.splitlines()
    assert begun == "reading: 0 of 4 photos" and len(lines) == 4
    assert all(" photos/s" in line and " s left, " in line and "\r" not in line for line in lines)


def test_what_the_loop_has_to_say_stands_in_the_line(capsys, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_IN_A_LOG", 0)
    bar = meter(range(2), "epoch 1", "batches")
    for _ in bar:
        bar.set_postfix_str("loss 0.5", refresh=False)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "epoch 1: 1 of 2 batches, 0 s left; loss 0.5",
        "epoch 1: 2 of 2 batches, 0 s left; loss 0.5",
    ]


def test_a_terminal_has_a_bar_that_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    list(meter(range(3), "reading", "photos"))
    shown = terminal.getvalue()
    assert "reading:" in shown and "\n" not in shown and not shown.rpartition("\r")[0].rpartition("\r")[2].strip()


def test_other_processes_than_the_leading_one_show_nothing(capsys):
    list(meter(range(3), "reading", "photos", shown=False))
    assert capsys.readouterr().err == ""
