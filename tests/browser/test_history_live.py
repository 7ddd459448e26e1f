"""The training history page follows a training by itself, in a real browser: from an empty folder over a killed trainer to the end."""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.artifacts.training import BLOCKS
from tests.browser.conftest import running_server
from tests.browser.waiting import shown
from tests.train_cases import recipe_file, small_rows, stage, start_small, write_catalogue

pytestmark = [pytest.mark.browser, pytest.mark.slow]

A_MINUTE = 60_000  # milliseconds
THE_REST = 4 * A_MINUTE
LONG_ENOUGH = 40  # epochs of the small network, for the page to see some of them


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("live") / "runs"


@pytest.fixture(scope="module")
def live_server(runs: Path) -> Iterator[str]:
    with running_server(GARMENTS_RUNS=str(runs)) as address:
        yield address


@pytest.fixture
def beginning(tmp_path: Path, runs: Path) -> list[str]:
    """What begins a run."""
    stages = [stage(["head"], epochs=2), stage(["layer4"], epochs=LONG_ENOUGH - 2)]
    frozen = [block for block in BLOCKS if block not in ("head", "layer4")]
    recipe = recipe_file(tmp_path / "long.toml", stages=stages, frozen=frozen)
    data = write_catalogue(tmp_path / "data", small_rows())
    given = ["--data", str(data), "--recipe", str(recipe), "--init", "none", "--device", "cpu"]
    return [*given, "--runs", str(runs), "--cache", str(tmp_path / "cache")]


@contextmanager
def trainer(*arguments: str) -> Iterator[BaseProcess]:
    """A trainer of the small network at work, killed in the end if it has not ended by itself."""
    process = start_small(list(arguments))
    try:
        yield process
    finally:
        process.kill()
        process.join(20)


def best_of(run: Path) -> float:
    with (run / "history.csv").open() as file:
        return max(float(row["val_accuracy"]) for row in csv.DictReader(file))


def expect_metric(page: Page, label: str, value: str) -> None:
    expect(page.get_by_test_id("stMetric").filter(has_text=label)).to_contain_text(value)


@pytest.mark.timeout(600)
def test_a_training_is_followed_from_its_first_epoch_over_a_kill_to_its_end(live_server, runs, beginning, open_page):
    page = open_page(f"{live_server}/Training_history")
    shown(page.get_by_text("There is no run yet."))
    reloads: list[str] = []
    page.on("load", lambda loaded: reloads.append(loaded.url))

    with trainer(*beginning) as first:
        expect(page.get_by_test_id("stProgress")).to_be_visible(timeout=2 * A_MINUTE)
        expect(page.get_by_role("heading", name=re.compile(r"epoch \d+ of \d+.*, so far"))).to_be_visible(
            timeout=2 * A_MINUTE
        )
        first.kill()
        first.join(20)
    (run,) = [path for path in runs.iterdir() if path.is_dir()]
    alert = page.get_by_role("alert").filter(has_text="died")
    expect(alert).to_contain_text(f"python -m train --resume {run}")

    with trainer("--resume", str(run)) as second:
        expect(alert).to_have_count(0, timeout=A_MINUTE)
        tested = page.get_by_test_id("stMetric").filter(has_text="Test accuracy")
        expect(tested).to_contain_text("%", timeout=THE_REST)
        second.join(60)
        assert second.exitcode == 0
    expect_metric(page, "Best validation", f"{100 * best_of(run):.2f}%")
    expect(page.get_by_test_id("stProgress")).to_have_count(0)
    shown(page.get_by_role("heading", name=re.compile(r"of \d+\), up from")))
    assert not reloads
