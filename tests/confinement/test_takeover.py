"""Whoever takes over a confined process reaches nothing of the server; without the filter the same attempts succeed."""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.confinement.kernel import MACHINES, PR_SET_NO_NEW_PRIVS, Layer
from core.settings import PROJECT
from tests.confinement.attacks import ATTEMPTS

PR_CAPBSET_DROP = 24
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine not in MACHINES, reason="the filter is Linux's"
)
ERRORS = {"EPERM", "EACCES", "ENOSYS", "ENOMEM"}
WITHOUT_THE_FILTER = {  # what the review's attacker did
    "read the server's memory",
    "overwrite the server's memory",
    "trace the server",
    "signal the server",
    "fork",
    "start a program",
    "truncate a file",
    "rename a file",
    "delete a file",
    "make memory executable",
}


def drop_capabilities() -> None:
    """As the container does: whoever this user is, what it starts has no capability and gets none."""
    libc = ctypes.CDLL(None)
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def taken_over(folder: Path, *arguments: str) -> dict[str, Any]:
    """As the container runs it: no capabilities, no new privileges, one user for all."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.confinement.takeover", arguments[0], str(folder), *arguments[1:]],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=drop_capabilities,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"log": done.stderr}


def test_every_attempt_fails_and_nothing_of_the_server_changes(tmp_path: Path):
    found = taken_over(tmp_path, "tests.confinement.attacks")
    assert found["told"].keys() == ATTEMPTS.keys()
    assert {name: told for name, told in found["told"].items() if told not in ERRORS} == {}
    assert found["secret"] == "what it knows..."  # pragma: allowlist secret
    assert found["files"] == {"feedback.sqlite3": "corrections"}
    assert Layer.LIMITS | Layer.SECCOMP in Layer(found["level"])


def test_without_the_filter_the_same_attempts_succeed_and_the_log_says_what_is_missing(tmp_path: Path):
    found = taken_over(tmp_path, "tests.confinement.unfiltered", "dumpable")
    assert {name for name, told in found["told"].items() if told == "done"} >= WITHOUT_THE_FILTER
    assert found["secret"] != "what it knows..." and "feedback.sqlite3" not in found["files"]
    assert "confined by limits\n" in found["log"]


def test_the_servers_memory_stays_its_own_without_the_filter_too(tmp_path: Path):
    found = taken_over(tmp_path, "tests.confinement.unfiltered")
    assert found["told"]["read the server's memory"] == found["told"]["trace the server"] == "EPERM"
    assert found["secret"] == "what it knows..."
