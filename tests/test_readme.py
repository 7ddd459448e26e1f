"""The README says what the files say."""

import re
import subprocess
import sys

import pytest

from benchmarks.results import table
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_results_are_those_of_the_run_folders():
    shown = re.search(r"<!-- results.*?-->\n(.*?)\n<!-- /results -->", README, re.DOTALL)
    assert shown and shown[1] == table()


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links and [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("command", re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))
def test_every_make_target_exists(command):
    done = subprocess.run(["make", "-n", command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["core predict", "core export", "train"])
def test_the_commands_options_exist(command):
    used = {
        option for line in README.splitlines() if f"-m {command}" in line for option in re.findall(r"--[a-z-]+", line)
    }
    done = subprocess.run(
        [sys.executable, "-m", *command.split(), "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert used and {option for option in used if option not in done.stdout} - {"--nproc-per-node"} == set()
