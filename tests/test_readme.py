"""The README says what the files say; its links and commands are tested in test_docs."""

import re
import subprocess

from benchmarks.results import table
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_results_are_those_of_the_run_folders():
    shown = re.search(r"<!-- results.*?-->\n(.*?)\n<!-- /results -->", README, re.DOTALL)
    assert shown and set(shown[1].splitlines()) <= set(table().splitlines())


def test_every_committed_run_is_in_the_results():
    """Those trained on this machine since are not in the way."""
    command = ["git", "ls-files", "artifacts/runs/*/manifest.json"]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    measured = {file.split("/")[2] for file in files} - {"published-reference"}
    assert measured and all(f"`{run_id}`" in README for run_id in measured)
