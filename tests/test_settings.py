"""The environment variables of the product, read in one place."""

import subprocess
from pathlib import Path

import pytest

from core import settings
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("variable", "read", "default"),
    [
        (settings.RUNS, settings.runs_folder, ROOT / "artifacts" / "runs"),
        (settings.FEEDBACK, settings.feedback_file, ROOT / "data" / "feedback.sqlite3"),
        (settings.DATA, settings.data_set, None),
        (settings.TEST_SETS, settings.test_sets_folder, None),
    ],
)
def test_a_variable_names_a_path_and_an_empty_one_counts_as_not_set(monkeypatch, variable, read, default):
    for value, path in (("~/there", Path.home() / "there"), ("", default)):
        monkeypatch.setenv(variable, value)
        assert read() == path
    monkeypatch.delenv(variable)
    assert read() == default


def test_no_other_module_reads_a_variable_of_the_product():
    found = subprocess.run(
        ["git", "grep", "-lE", r"environ.*GARMENTS_|\"GARMENTS_", "--", "core", "train", "pages", "Home.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert set(found.stdout.split()) <= {"core/settings.py"}
