"""Classifying into files: killed and taken up, by one process or by two, the results are the same."""

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
from core.bulk import shards as module
from core.bulk.journal import Journal
from core.bulk.pipeline import BATCH
from core.bulk.shards import Shard, journals, locked, merged, wait_for_all
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


TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")  # what the command torchrun starts


def start(folder: Path, csv: Path, launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    command = [sys.executable, *(part for module in (launcher, ("core",)) if module for part in ("-m", *module))]
    command += ["predict", str(folder), "--csv", str(csv), "--parquet", str(csv.with_suffix(".parquet"))]
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
    assert len(printed.out.splitlines()) == PHOTOS - finished * BATCH
    assert_same(target, at_once)
    assert leftovers(target.parent) == []


@pytest.mark.slow
def test_two_processes_under_torchrun_give_what_one_gives(folder, at_once, tmp_path):
    target = tmp_path / "two" / "out.csv"
    target.parent.mkdir()
    process = start(folder, target, TORCHRUN)
    errors = process.communicate(timeout=240)[1]
    assert process.returncode == 0, errors
    assert_same(target, at_once)
    assert leftovers(target.parent) == []


def test_interrupted_between_two_of_several_processes_the_rest_is_done_by_the_same_command(
    folder, at_once, tmp_path, monkeypatch
):
    """The second process alone, then the first one, which merges what the second left."""
    target = tmp_path / "out.csv"
    arguments = ["predict", str(folder), "--csv", str(target), "--parquet", str(target.with_suffix(".parquet"))]
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in "10":
        monkeypatch.setenv("RANK", rank)
        assert main(arguments) == 0
    assert_same(target, at_once)


def test_progress_shows_speed_and_time_left(folder, tmp_path, capsys):
    main(["predict", str(folder), "--csv", str(tmp_path / "out.csv")])
    assert f"{PHOTOS}/{PHOTOS}" in (shown := capsys.readouterr().err) and ("img/s" in shown or "s/img" in shown)


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


def test_several_processes_need_a_file(folder, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit):
        main(["predict", str(folder)])
    assert "Several processes need --csv or --parquet" in capsys.readouterr().err


def test_an_empty_folder_gives_its_reason_and_status_1(tmp_path):
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(tmp_path / "empty"), "--csv", str(tmp_path / "out.csv")]) == 1
    assert "has no photos in it" in pd.read_csv(tmp_path / "out.csv")["error"].item()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("photos", [0, 1, BATCH, BATCH + 1, 5 * BATCH + 7])
def test_shards_cover_every_photo_once(size, photos):
    batches = [range(start, min(start + BATCH, photos)) for start in range(0, photos, BATCH)]
    shards = [Shard(rank, size) for rank in range(size)]
    taken = [list(shard.take(batches)) for shard in shards]
    assert [len(part) for part in taken] == [shard.batches(photos) for shard in shards]
    assert [sum(map(len, part)) for part in taken] == [shard.photos(photos) for shard in shards]
    assert sorted(photo for part in taken for batch in part for photo in batch) == list(range(photos))


def test_merging_restores_the_order(tmp_path):
    batches = [[{"file": f"{number}"}] for number in range(7)]
    parts = journals(tmp_path / "out.csv", {}, 3)
    for rank, part in enumerate(parts):
        part.resume()
        for batch in Shard(rank, 3).take(batches):
            part.append(batch)
    assert [record["file"] for record in merged(parts)] == [f"{number}" for number in range(7)]


def test_a_process_that_never_comes_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "POLL", 0.01)
    with pytest.raises(InvalidData, match="Process 0 of 1 has finished 0 of its 2 batches"):
        wait_for_all([Journal(tmp_path / "out.csv.part", {})], 2 * BATCH, seconds=0.03)


def test_two_processes_never_write_one_journal(tmp_path):
    journal = Journal(tmp_path / "out.csv.part", {})
    with locked(journal), pytest.raises(InvalidData, match="Another process is writing"), locked(journal):
        pass
    with locked(journal):
        pass


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("x", "1"), ("0", "-1")])
def test_a_senseless_environment_is_refused(monkeypatch, rank, size):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(InvalidData, match="RANK must be from 0 to WORLD_SIZE - 1"):
        Shard.from_environment()
