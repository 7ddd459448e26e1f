"""What the Dockerfile does, done here: its requirements in a fresh virtual environment, its files in a fresh folder, its smoke test."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
INSTALL = ("-m", "pip", "install", "--no-cache-dir", "--require-hashes", "-r", "requirements-serve.lock")
SMOKE = ("-m", "deploy.smoke")
MINUTES = 10 * 60


def run(python: Path | str, arguments: tuple[str, ...], folder: Path) -> None:
    done = subprocess.run([python, *arguments], cwd=folder, capture_output=True, text=True, timeout=MINUTES)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def copied_files() -> list[str]:
    """What the last stage copies from the repository, each under its own name."""
    return re.findall(r"^COPY (?!--from)(\S+) \S+$", DOCKERFILE.rpartition("FROM ")[2], re.MULTILINE)


def copy_app(to: Path) -> None:
    """What the image holds of the repository."""
    to.mkdir()
    for name in copied_files():
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, to / name)


def fresh_environment(venv: Path) -> Path:
    """What the image holds of libraries; returns its Python."""
    run(sys.executable, ("-m", "venv", str(venv)), venv.parent)
    python = venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    run(python, tuple(part for part in INSTALL if part != "--no-cache-dir"), ROOT)
    return python


def test_the_dockerfile_runs_these_very_commands():
    assert f"/venv/bin/python {' '.join(INSTALL)}" in DOCKERFILE
    assert f"RUN python {' '.join(SMOKE)}" in DOCKERFILE


def test_requirements_for_serving_leave_out_torch_and_the_rest_build_on_them():
    serving = (ROOT / "requirements-serve.txt").read_text(encoding="utf-8")
    assert not re.search(r"^(torch|torchvision|pydantic|ImageHash)\b", serving, re.MULTILINE)
    assert "-r requirements-serve.txt" in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()


def test_the_lock_holds_every_pin_and_a_checksum_of_each_library():
    lock = (ROOT / "requirements-serve.lock").read_text(encoding="utf-8")
    locked = re.findall(r"^(\S+==\S+)(?: ; .*)? \\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)
    pinned = re.findall(r"^(?!#)\S+", (ROOT / "requirements-serve.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(pinned) <= set(locked) and len(locked) == len(re.findall(r"^\w", lock, re.MULTILINE))


@pytest.mark.serving_install
@pytest.mark.timeout(2 * MINUTES)
def test_the_dashboard_serves_from_a_fresh_environment_with_only_the_copied_files(tmp_path: Path):
    app = tmp_path / "app"
    copy_app(app)
    run(fresh_environment(tmp_path / "venv"), SMOKE, app)
