"""What the Dockerfile does, done here: its requirements in a fresh virtual environment, its files in a fresh folder, its smoke test."""

import json
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


@pytest.mark.parametrize(
    ("lock", "requirements"), [("serve", ["-serve"]), ("dev", ["-serve", "", "-dev"])], ids=["serving", "development"]
)
def test_a_lock_holds_every_pin_and_a_checksum_of_each_library(lock: str, requirements: list[str]):
    text = (ROOT / f"requirements-{lock}.lock").read_text(encoding="utf-8")
    locked = re.findall(r"^(\S+==\S+)(?: ; .*)? \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    files = [(ROOT / f"requirements{name}.txt").read_text(encoding="utf-8") for name in requirements]
    pinned = {pin.lower() for file in files for pin in re.findall(r"^[A-Za-z]\S+", file, re.MULTILINE)}
    assert pinned <= set(locked) and len(locked) == len(re.findall(r"^\w", text, re.MULTILINE))


def test_the_bill_of_materials_names_every_library_of_the_container_with_its_checksums(tmp_path: Path):
    made = tmp_path / "sbom.json"
    recipe = next(line for line in (ROOT / "Makefile").read_text().splitlines() if "cyclonedx-py" in line)
    command = recipe.replace("$(BIN)", str(Path(sys.executable).parent)).replace("sbom.cdx.json", str(made)).split()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=MINUTES)
    bill = json.loads(made.read_text())
    lock = (ROOT / "requirements-serve.lock").read_text(encoding="utf-8")
    assert bill["bomFormat"] == "CycloneDX" and bill["metadata"]["component"]["name"] == "garment-lens"
    assert {part["purl"] for part in bill["components"]} == {
        f"pkg:pypi/{name}@{version}" for name, version in re.findall(r"^(\S+)==(\S+)", lock, re.MULTILINE)
    }
    assert all(reference["hashes"] for part in bill["components"] for reference in part["externalReferences"])


@pytest.mark.serving_install
@pytest.mark.timeout(2 * MINUTES)
def test_the_dashboard_serves_from_a_fresh_environment_with_only_the_copied_files(tmp_path: Path):
    app = tmp_path / "app"
    copy_app(app)
    run(fresh_environment(tmp_path / "venv"), SMOKE, app)
