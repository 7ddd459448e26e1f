"""What the commands of the Makefile do where something is missing; that the documented ones exist is tested in test_docs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.conftest import free_port, wait_for
from tests.conftest import ROOT

WITHOUT_ENSUREPIP = """case "$*" in *ensurepip*) exit 1 ;; esac"""
WITHOUT_ROOM = """case "$*" in "-m venv "*) mkdir -p "$3/bin" && ln -sf /bin/sh "$3/bin/python"; echo "no space left"; exit 1 ;; esac"""


def test_make_coverage_fails_below_90_percent_of_the_lines_and_ci_runs_what_a_developer_runs():
    dry = subprocess.run(["make", "-n", "coverage"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "--cov=core --cov=train" in dry and "--cov-fail-under=90" in dry
    commands = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in commands if line.startswith("make")] == ["make lint", "make audit", "make test"]


def test_make_run_serves_the_dashboard_from_an_environment_that_is_there(tmp_path: Path):
    for part in ("bin", "lib", "pyvenv.cfg"):
        (tmp_path / part).symlink_to(Path(sys.prefix) / part)
    (tmp_path / "app").touch()
    port = free_port()
    settings = os.environ | {"STREAMLIT_SERVER_PORT": str(port)}
    command = ["make", "run", f"VENV={tmp_path}"]
    with subprocess.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.PIPE, start_new_session=True) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health")
        finally:
            os.killpg(server.pid, signal.SIGTERM)
        assert f"http://localhost:{port}" in server.stdout.read().decode()


@pytest.mark.parametrize(
    ("lacking", "said"),
    [(WITHOUT_ENSUREPIP, "apt install python3-venv"), (WITHOUT_ROOM, "no space left")],
    ids=["ensurepip", "room"],
)
def test_an_environment_that_cannot_be_made_is_not_taken_for_one_the_next_time(lacking: str, said: str, tmp_path: Path):
    python, venv = tmp_path / "python3", tmp_path / "venv"
    python.write_text(f'#!/bin/sh\n{lacking}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    for _ in range(2):
        command = ["make", f"{venv}/bin/python", f"PYTHON={python}", f"VENV={venv}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode and said in done.stdout + done.stderr
        assert not (venv / "bin" / "python").exists()
    assert lacking != WITHOUT_ENSUREPIP or not venv.exists()
