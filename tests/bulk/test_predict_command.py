"""`python -m core predict`: records, exit statuses, and photos that cannot be read among photos that can."""

import csv
import errno
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from core.__main__ import main
from core.artifacts.run import sha256_of
from core.bulk.pipeline import RECORD_FIELDS
from core.images.sources import find_photos
from core.samples import garments
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("random_runs")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos, a text file with a photo's suffix between them, and a file of another kind."""
    garments.sample("Tshirts").save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("no photo at all")
    garments.sample("Jeans").save(tmp_path / "c.webp")
    (tmp_path / "notes.txt").write_text("not looked at")
    return tmp_path


def records(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_folder_gives_a_record_a_photo_in_order_and_goes_on_after_a_bad_one(folder, capsys):
    assert main(["predict", str(folder), "--json"]) == 0
    first, bad, last = records(capsys)
    assert [Path(record["file"]).name for record in (first, bad, last)] == ["a.png", "b.jpg", "c.webp"]
    assert "b.jpg is a text file, not a photo" in bad["error"] and bad["label"] == ""
    assert first["error"] == "" and (first["width"], first["height"]) == (480, 640)
    assert set(first) == set(RECORD_FIELDS)


def test_the_verdict_on_a_refused_photo_comes_first_in_its_line(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("GARMENTS_RUNS")  # the network that ships, which refuses what is no garment
    garments.out_of_scope(1).save(tmp_path / "mug.png")
    garments.sample("Tshirts").save(tmp_path / "shirt.png")
    assert main(["predict", str(tmp_path), "--top-k", "2"]) == 0
    shown = capsys.readouterr()
    mug, shirt = shown.out.splitlines()
    assert re.fullmatch(
        r".*mug\.png: Out of scope; (looks like [\w ]+ [\d.]+%; )?closest: [\w ]+ [\d.]+%, [\w ]+ [\d.]+%", mug
    )
    assert re.fullmatch(r".*shirt\.png: Tshirts [\d.]+%, [\w ]+ [\d.]+%(; [\w ·'-]+)?", shirt)
    assert shown.err == "2 photos: 1 classified, 1 out of scope, 0 unreadable.\n"


def test_a_name_is_told_once_where_a_photo_cannot_be_read(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(["predict", "b.jpg", "nothere"]) == 1
    text, missing = capsys.readouterr().out.splitlines()
    assert text.startswith("b.jpg is a text file, not a photo") and text.count("b.jpg") == 1
    assert missing == "nothere cannot be read (No such file or directory)."


def test_the_end_says_what_became_of_the_photos_and_where_it_stands(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    words = ["predict", "a.png", "b.jpg", "c.webp", "--csv", "out.csv", "--parquet", "out.parquet"]
    assert main(words) == 0
    summary = "3 photos: 2 classified, 0 out of scope, 1 unreadable; written to out.csv, out.parquet."
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [summary] and not shown.out  # the photos stand in the files


def test_json_lines_are_all_of_standard_output(folder, capsys):
    assert main(["predict", str(folder), "--json"]) == 0
    shown = capsys.readouterr()
    assert len([json.loads(line) for line in shown.out.splitlines()]) == 3 and shown.err.startswith("3 photos: ")


def test_top_k_lists_that_many_classes_and_starts_with_the_label(folder, capsys):
    main(["predict", str(folder / "a.png"), "--json", "--top-k", "15"])
    (record,) = records(capsys)
    assert len(record["top_k"]) == 15 and sum(record["top_k"].values()) == pytest.approx(1)
    assert next(iter(record["top_k"].items())) == (record["label"], record["probability"])


@pytest.mark.parametrize("group", ["tops", "bottoms"])
def test_the_group_filter_answers_only_that_group(folder, capsys, group):
    main(["predict", str(folder / "a.png"), "--json", "--group", group])
    assert records(capsys)[0]["group"].lower() == group


def test_a_zip_file_is_read_like_a_folder(folder, tmp_path, capsys):
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(folder / "a.png", "inside/a.png")
        file.write(folder / "c.webp", "inside/c.webp")
    main(["predict", str(archive), "--json"])
    zipped = records(capsys)
    main(["predict", str(folder / "a.png"), str(folder / "c.webp"), "--json"])
    assert [record["top_k"] for record in zipped] == [record["top_k"] for record in records(capsys)]


def test_the_csv_holds_the_same_records(folder, tmp_path, capsys):
    main(["predict", str(folder), "--json", "--csv", str(tmp_path / "out.csv")])
    printed = records(capsys)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [row["file"] for row in written] == [record["file"] for record in printed]
    assert [row["error"] for row in written] == [record["error"] for record in printed]
    assert float(written[0]["probability"]) == printed[0]["probability"]
    assert json.loads(written[0]["top_k"]) == printed[0]["top_k"]
    assert not list(tmp_path.glob("*.part"))


def test_a_region_is_classified_alone(folder, tmp_path, capsys):
    garments.sample("Tshirts").crop((100, 100, 400, 600)).save(tmp_path / "cropped.png")
    main(["predict", str(tmp_path / "cropped.png"), "--json"])
    main(["predict", str(folder / "a.png"), "--roi", "100,100,300,500", "--json"])
    cropped, region = records(capsys)
    assert region["label"] == cropped["label"] and region["probability"] == pytest.approx(
        cropped["probability"], abs=1e-3
    )


def test_every_photo_has_one_heat_map_of_its_proportions_however_often_it_is_classified(folder, tmp_path):
    (tmp_path / "other").mkdir()
    shutil.copy(folder / "a.png", tmp_path / "other" / "a.png")
    for _ in range(2):
        main(["predict", str(folder / "a.png"), str(tmp_path / "other"), "--heatmap", str(tmp_path / "maps")])
    maps = sorted((tmp_path / "maps").iterdir())
    photos = (folder / "a.png", tmp_path / "other" / "a.png")
    assert [path.name for path in maps] == sorted(
        f"a-{hashlib.sha256(str(photo).encode()).hexdigest()[:8]}.png" for photo in photos
    )
    with Image.open(maps[0]) as image:
        assert image.width / image.height == pytest.approx(480 / 640, abs=0.01)


def test_status_1_if_no_photo_can_be_read(folder, tmp_path):
    assert main(["predict", str(folder / "b.jpg"), str(tmp_path / "missing.png")]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "There is nothing to classify"),
        (["--top-k", "16"], "--top-k is 16; it must be from 1 to 15"),
        (["--group", "hats"], "--group is 'hats'; it must be one of all, tops, bottoms"),
        (["--upper-body-bias", "2"], "must be from 0 to 1"),
        (["--roi", "1,2,3"], "1,2,3"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_allowed(folder, capsys, arguments, message):
    paths = [str(folder)] if arguments else []
    with pytest.raises(SystemExit) as stopped:
        main(["predict", *paths, *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_missing_artifacts_are_named_with_the_way_to_get_them_back(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GARMENTS_RUNS", str(tmp_path / "nothing"))
    assert main(["predict", str(folder)]) == 1
    message = capsys.readouterr().err
    assert "current.json is missing" in message and "git checkout -- artifacts" in message


def test_many_photos_come_back_in_order(tmp_path, capsys):
    for number in range(70):
        Image.new("RGB", (30, 40), (number, 0, 0)).save(tmp_path / f"{number:03}.png")
    (tmp_path / "035.png").write_bytes(b"broken")
    main(["predict", str(tmp_path), "--json"])
    found = records(capsys)
    assert [Path(record["file"]).stem for record in found] == [f"{number:03}" for number in range(70)]
    assert [bool(record["error"]) for record in found] == [number == 35 for number in range(70)]


def test_folders_are_searched_for_photos_only(folder):
    assert [Path(file.name).name for file in find_photos([folder])] == ["a.png", "b.jpg", "c.webp"]


def test_a_list_of_paths_is_taken_after_the_arguments(folder, tmp_path, capsys):
    list_file = tmp_path / "list.txt"
    list_file.write_text(str(folder / "c.webp"))
    main(["predict", str(folder / "a.png"), "--list", str(list_file), "--json"])
    assert [Path(record["file"]).name for record in records(capsys)] == ["a.png", "c.webp"]


def test_a_list_that_is_not_there_is_wrong_usage(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["predict", "--list", str(tmp_path / "none.txt")])
    assert stopped.value.code == 2 and "none.txt" in capsys.readouterr().err


def test_a_disk_that_fills_up_says_so_and_the_same_command_continues(tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out.csv"
    photos.mkdir()
    for i in range(70):
        garments.sample("Jeans", i, (48, 64)).save(photos / f"{i:03}.png")
    command = [sys.executable, "-m", "core", "predict", str(photos), "--csv", str(out)]

    def files_are_small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (24_000, 24_000))

    full = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=files_are_small)
    assert full.returncode == 1
    assert f"Results cannot be written to {tmp_path}: File too large." in full.stderr
    assert "Traceback" not in full.stderr
    assert not out.exists() and not (tmp_path / "out.csv.tmp").exists()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0
    assert "holds 1 finished batches" in again.stderr
    with out.open(newline="") as file:
        assert [Path(row["file"]).name for row in csv.DictReader(file)] == [f"{i:03}.png" for i in range(70)]


def test_a_heat_map_that_a_full_disk_cuts_short_is_told_and_not_left_behind(tmp_path):
    photo, maps = tmp_path / "shirt.png", tmp_path / "maps"
    garments.sample("Shirts").save(photo)
    command = [sys.executable, "-m", "core", "predict", str(photo), "--heatmap", str(maps)]
    full = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)),
    )
    assert "The heat map could not be saved (File too large)." in full.stdout + full.stderr
    assert "Traceback" not in full.stderr
    assert list(maps.iterdir()) == []


def test_a_disk_that_is_read_only_says_so(folder, tmp_path, monkeypatch, capsys):
    def refused(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", refused)
    assert main(["predict", str(folder), "--csv", str(tmp_path / "out.csv")]) == 1
    assert f"Results cannot be written to {tmp_path}: Read-only file system." in capsys.readouterr().err


def test_other_products_are_named_among_all_types_and_as_what_a_refused_photo_looks_like(
    random_run, monkeypatch, tmp_path, capsys
):
    """A network whose outputs beyond the classes are two types of shoes, of which the second is certain."""
    folder = shutil.copytree(random_run.folder, tmp_path / "runs" / "shoes")
    state = load_file(folder / "model.safetensors")
    state["fc.weight"] = np.concatenate([state["fc.weight"], np.zeros((2, 2048), np.float16)])
    state["fc.bias"] = np.concatenate([state["fc.bias"], np.array([0, 6e4], np.float16)])
    save_file(state, folder / "model.safetensors")
    fields = {"background": ["Heels", "Flats"], "files": {"model.safetensors": sha256_of(folder / "model.safetensors")}}
    (folder / "manifest.json").write_text(json.dumps(random_run.manifest | fields))
    (folder.parent / "current.json").write_text('{"run_id": "shoes"}')
    monkeypatch.setenv("GARMENTS_RUNS", str(folder.parent))
    garments.sample("Tshirts").save(tmp_path / "shoe.png")
    photo = str(tmp_path / "shoe.png")
    assert main(["predict", photo, "--json"]) == 0
    [plain] = records(capsys)
    assert plain["label"] in random_run.labels.names and not plain["in_scope"]
    assert (plain["looks_like"], plain["looks_like_probability"]) == ("Flats", 1.0)
    assert main(["predict", photo, "--json", "--all-types", "--top-k", "17"]) == 0
    [among_all] = records(capsys)
    assert (among_all["label"], among_all["group"], among_all["probability"]) == ("Flats", "", 1.0)
    assert len(among_all["top_k"]) == 17 and among_all["in_scope"] is False
    assert main(["predict", photo, "--top-k", "1"]) == 0
    assert "shoe.png: Out of scope; looks like Flats 100.0%; closest: " in capsys.readouterr().out
    assert main(["predict", photo, "--all-types", "--top-k", "1"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("shoe.png: Flats 100.0%")


@pytest.mark.parametrize("option", [["--group", "tops"], ["--upper-body-bias", "0.6"], ["--heatmap", "maps"]])
def test_what_is_about_the_classes_cannot_be_asked_for_among_all_types(option, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(SystemExit):
        main(["predict", str(folder / "a.png"), "--all-types", *option])
    assert "cannot be used with --all-types" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--csv", "--parquet"])
def test_results_are_never_written_over_a_photo(folder, option, capsys):
    before = (folder / "a.png").read_bytes()
    for target in (folder / "a.png", folder / "new.jpg", folder / "photos.zip"):
        with pytest.raises(SystemExit) as stopped:
            main(["predict", option, str(target), str(folder / "c.webp")])
        assert stopped.value.code == 2
        assert f"{option} is {target}, which is no file for results" in capsys.readouterr().err
    assert (folder / "a.png").read_bytes() == before and not (folder / "new.jpg").exists()


def test_results_are_never_written_over_what_is_read(folder, capsys):
    (folder / "list.csv").write_text(f"{folder / 'a.png'}\n")
    with pytest.raises(SystemExit):
        main(["predict", "--list", str(folder / "list.csv"), "--csv", str(folder / "list.csv")])
    with pytest.raises(SystemExit):
        main(["predict", str(folder), "--csv", str(folder / "x"), "--parquet", str(folder / "x")])
    assert "Name two files" in capsys.readouterr().err
    assert (folder / "list.csv").read_text() == f"{folder / 'a.png'}\n"
