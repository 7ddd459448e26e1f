"""Every benchmark runs to its end, in small: `make test-benchmarks`, and so on GitHub. What they measure is nobody's claim here.

Some say by their exit code that a limit of time or memory does not hold, which depends on the machine; that is no failure here.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from benchmarks.engines import stage_files
from core.artifacts.run import current_run
from core.samples.garments import sample
from tests.conftest import ROOT
from tests.test_docs import ALL_LINES
from train.smoke import draw_catalogue

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

RUN = """
import importlib, json, sys
name, constants, *sys.argv = sys.argv[1:]
module = importlib.import_module(name)
assert vars(module).keys() >= json.loads(constants).keys()
vars(module).update(json.loads(constants))
sys.exit(module.main())
"""


class Small(NamedTuple):
    """How a benchmark is run here.

    Args:
        arguments: of its command line.
        constants: of its module, made small.
    """

    arguments: str = ""
    constants: dict[str, object] = {}


IN_SMALL = {
    "bulk": [Small("20 40", {"ROUNDS": 1, "BATCHES": 2})],
    "confusion_million": [Small("", {"ROWS": 2000, "MAPPED": 500, "FIRST_VIEWS": 1, "REPEATS": 1})],
    "decode": [Small("", {"ROUNDS": 1, "PHONE": [300, 400]})],
    "dispatch": [Small("", {"USERS": 2, "PHOTOS": 2, "LOOKING": 0.1})],
    "engines": [Small("--data catalogue.zip --photos 8 --chart chart.svg", {"ROUNDS": 1, "WARM_UP": 1, "PASSES": 1})],
    "find_garments": [Small()],
    "fuzz_images": [Small("--mutations 40"), Small("--corpus corpus")],
    "gpu": [
        Small(
            "--data drawn --recipe smoke --init none --device cpu --runs runs",
            {"MINUTES": 12, "BATCHES": [4], "ROUNDS": 1, "WARM_UP": 1, "CONVOLUTION": [2, 8, 6, 4], "EQUAL_STEPS": 2},
        )
    ],
    "history_runs": [Small("", {"RUNS": 6, "REPEATS": 1, "OVERLAID": 2})],
    "interaction": [Small("", {"REPEATS": 1, "SETTLE_MS": 300})],
    "kills": [Small("--kills 1 --small")],
    "label_noise": [Small()],
    "latency": [Small("", {"ROUNDS": 1, "MATRIX": 256})],
    "load": [
        Small(
            "--users 2 --uploads 4",
            {"PHOTOS": 1, "LOOKING": 0.1, "KEPT": 1, "QUIET": 1, "QUIET_PHOTOS": 1}
            | {"ZIP_BYTES": 10**6, "ZIP_PHOTO": [600, 800], "TABS": 2, "TAB_PHOTO": [800, 800]},
        )
    ],
    "results": [Small()],
    "robustness": [Small("--data catalogue.zip --photos 4")],
    "serving_size": [Small()],
    "soak": [Small("--minutes 0.05 --users 2", {"KEPT_SECONDS": 1, "CLOSING_SECONDS": 1})],
    "startup": [Small("1")],
    "train": [Small("--rounds 1")],
}
JUDGE_THE_MACHINE = ("confusion_million", "fuzz_images", "history_runs", "soak")
DOCUMENTED = [
    match[1] for _, line in ALL_LINES if "unshare" not in line and (match := re.search(r"-m benchmarks\.(.+)", line))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the benchmarks read: a catalogue of drawn photos with the ids of the shipped run, and files that are photos or are not."""
    folder = tmp_path_factory.mktemp("benchmarks")
    run = current_run()
    files = ["predictions.csv", *stage_files(run).values()]
    ids = {photo_id for file in files for photo_id in run.read_csv(file)["id"]}
    (folder / "corpus").mkdir()
    draw_catalogue(folder / "drawn", run.labels)
    (folder / "corpus" / "notes.jpg").write_bytes(b"this is no photo")
    sample("Shirts", size=(60, 80)).save(folder / "corpus" / "shirt.png")
    with zipfile.ZipFile(folder / "catalogue.zip", "w") as archive:
        archive.writestr("styles.csv", "id,articleType\n")
        for photo_id in ids:
            archive.write(folder / "corpus" / "shirt.png", f"images/{photo_id}.jpg")
    return folder


@pytest.mark.parametrize(("name", "small"), [(name, small) for name, ways in IN_SMALL.items() for small in ways])
def test_a_benchmark_runs_to_its_end(name: str, small: Small, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    options = shlex.split(small.arguments)
    command = [sys.executable, "-c", RUN, f"benchmarks.{name}", json.dumps(small.constants), name, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert "Traceback" not in done.stderr and done.returncode in (0, int(name in JUDGE_THE_MACHINE)), done.stderr
    assert re.search(r"\d", done.stdout), "no figure"


@pytest.mark.skipif(not shutil.which("unshare"), reason="only Linux has unshare")
def test_a_full_disk_is_survived_in_small(folder: Path):
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a disk in memory")
    command = [
        "unshare",
        "-rm",
        sys.executable,
        "-m",
        "benchmarks.kills",
        "--small",
        "--kills",
        "0",
        "--full-disks",
        "1",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip().endswith(" 0 failures"), done.stdout + done.stderr


def test_every_benchmark_and_every_option_that_the_documents_name_is_run():
    modules = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if "def main(" in path.read_text("utf-8")}
    assert modules == IN_SMALL.keys()
    for command in DOCUMENTED:
        name, *words = shlex.split(command)
        run = {word for small in IN_SMALL[name] for word in shlex.split(small.arguments)}
        assert {word for word in words if word.startswith("--")} <= run | {"--full-disks"}, command
