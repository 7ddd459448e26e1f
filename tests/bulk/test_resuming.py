"""Classifying into files: killed and taken up, the results are the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from core.__main__ import main
from core.bulk.journal import Journal
from core.bulk.pipeline import BATCH
from core.errors import InvalidData
from core.samples import garments
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("random_runs")

PHOTOS = 5 * BATCH + 7
BAD = 70


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """More than five batches of different photos, one of them broken."""
    folder = tmp_path_factory.mktemp("photos")
    garment = garments.sample("Shirts", size=(90, 120))
    for number in range(PHOTOS):
        tint = Image.new("RGB", garment.size, (number, 255 - number, (7 * number) % 256))
        Image.blend(garment, tint, 0.3).save(folder / f"{number:03}.png")
    (folder / f"{BAD:03}.png").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def at_once(folder, random_run, tmp_path_factory) -> Path:
    """The CSV of one process that nobody interrupts; a Parquet file lies beside it."""
    path = tmp_path_factory.mktemp("at_once") / "out.csv"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GARMENTS_RUNS", str(random_run.folder.parent))
        assert main(["predict", str(folder), "--csv", str(path), "--parquet", str(path.with_suffix(".parquet"))]) == 0
    return path


def start(folder: Path, csv: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "core", "predict", str(folder), "--csv", str(csv)]
    command += ["--parquet", str(csv.with_suffix(".parquet"))]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def assert_same(left: Path, right: Path) -> None:
    """Equal to the last digit but for the milliseconds, as CSV and as Parquet."""
    for read, suffix in ((pd.read_csv, ".csv"), (pd.read_parquet, ".parquet")):
        tables = [read(path.with_suffix(suffix)).drop(columns="milliseconds") for path in (left, right)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix not in (".csv", ".parquet")]


def test_the_files_hold_every_photo_in_order(at_once):
    table = pd.read_csv(at_once)
    assert [Path(name).stem for name in table["file"]] == [f"{number:03}" for number in range(PHOTOS)]
    assert table["error"].notna().tolist() == [number == BAD for number in range(PHOTOS)]
    assert leftovers(at_once.parent) == []


def test_parquet_holds_the_same_with_types(at_once):
    table, typed = pd.read_csv(at_once), pd.read_parquet(at_once.with_suffix(".parquet"))
    assert list(typed.columns) == list(table.columns)
    assert typed["probability"].dtype == float and json.loads(typed["top_k"][0]) == json.loads(table["top_k"][0])
    assert typed["in_scope"].isna().tolist() == [number == BAD for number in range(PHOTOS)]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is of Unix")
def test_killed_and_started_again_it_continues_and_the_files_are_the_same(folder, at_once, tmp_path, capsys):
    capsys.readouterr()
    target = tmp_path / "killed" / "out.csv"
    target.parent.mkdir()
    process = start(folder, target)
    part = target.with_name("out.csv.part")
    while process.poll() is None and not (part.exists() and part.read_bytes().count(b"\n") >= 3):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = part.read_bytes().count(b"\n") - 1
    assert process.returncode == -signal.SIGKILL and not target.exists() and finished >= 2
    with part.open("ab") as file:
        file.write(b'[{"file": "to')  # a line torn in the middle
    assert main(["predict", str(folder), "--csv", str(target), "--parquet", str(target.with_suffix(".parquet"))]) == 0
    printed = capsys.readouterr()
    assert f"holds {finished} finished batches of {BATCH}: continuing" in printed.err
    assert printed.out == ""
    assert_same(target, at_once)
    assert leftovers(target.parent) == []


def test_another_commands_unfinished_results_are_not_touched(folder, tmp_path, capsys):
    target = tmp_path / "out.csv"
    part = tmp_path / "out.csv.part"
    part.write_text('{"run": "another"}\n[]\n')
    assert main(["predict", str(folder), "--csv", str(target)]) == 1
    assert "unfinished results of another command" in capsys.readouterr().err
    assert part.read_text() == '{"run": "another"}\n[]\n' and not target.exists()


def test_heat_maps_may_not_lie_where_photos_are_looked_for(folder, capsys):
    with pytest.raises(SystemExit):
        main(["predict", str(folder), "--heatmap", str(folder / "maps")])
    assert "heat maps would be classified too" in capsys.readouterr().err
    (folder / "maps").rmdir()


def test_an_empty_folder_gives_its_reason_and_status_1(tmp_path):
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(tmp_path / "empty"), "--csv", str(tmp_path / "out.csv")]) == 1
    assert "has no photos in it" in pd.read_csv(tmp_path / "out.csv")["error"].item()


def test_two_processes_never_write_one_journal(tmp_path):
    journal = Journal(tmp_path / "out.csv.part", {})
    with journal.locked(), pytest.raises(InvalidData, match="Another process is writing"), journal.locked():
        pass
    with journal.locked():
        pass
