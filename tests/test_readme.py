"""The README says what the files say; its links and commands are tested in test_docs."""

import re

from benchmarks.results import table
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_results_are_those_of_the_run_folders():
    shown = re.search(r"<!-- results.*?-->\n(.*?)\n<!-- /results -->", README, re.DOTALL)
    assert shown and shown[1] == table()
