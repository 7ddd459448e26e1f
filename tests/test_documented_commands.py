"""Every `python -m core` and `python -m train` of README and docs runs as it stands there.

Those of the trainer run with a small network, one short epoch a stage and small data sets. Elsewhere: `--smoke` in full in
tests/train/test_pipeline.py, torchrun in test_distributed.py, `download` in test_main.py, `find` in test_find.py.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.__main__ import main as core
from core.analysis import confusion
from core.artifacts.predictions import read_predictions
from core.artifacts.run import current_run
from core.errors import InvalidConfig
from core.feedback import Correction, store
from core.images.region import Region
from core.inference.detect import has_detector
from core.plots import confusion as figures_confusion
from core.samples.garments import sample
from tests.conftest import ROOT
from tests.run_factory import write_run
from tests.test_docs import MODULES, text_of
from tests.train_cases import (
    SmallNet,
    recipe_file,
    small_rows,
    use_small_network,
    write_catalogue,
    write_phone_photos,
    write_street_photos,
)
from train import __main__ as command
from train import initial_weights, targets
from train.config import Recipe, load_recipe
from train.loop import Trainer

CORE = [
    arguments
    for module, arguments in MODULES
    if module == "core" and arguments != "predict" and "--ray" not in arguments  # which has a test of its own
]
ELSEWHERE = ("", "--smoke", "download", "download --to data")
TRAIN = [
    arguments
    for module, arguments in MODULES
    if module == "train"
    and arguments not in ELSEWHERE
    and "footwear" not in arguments
    and not {"find", "head"} & set(arguments.split())
]


def zipped(folder: Path, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    shutil.make_archive(str(path.with_suffix("")), "zip", folder)


@pytest.fixture
def with_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the photos that the documents speak of."""
    monkeypatch.chdir(tmp_path)
    for name, path in (
        ("Shirts", Path("photo.jpg")),
        ("Skirts", Path("street.jpg")),
        ("Tops", Path("shoe.jpg")),
        ("Jeans", Path("folder/jeans.png")),
    ):
        path.parent.mkdir(exist_ok=True)
        sample(name).save(path)
    with zipfile.ZipFile("photos.zip", "w") as archive:
        archive.write("photo.jpg")
    Path("paths.txt").write_text("photo.jpg\nfolder/jeans.png\n")
    return tmp_path


@pytest.mark.usefixtures("with_photos")
@pytest.mark.parametrize("arguments", CORE)
def test_a_command_of_core_runs(arguments: str, capsys):
    words = shlex.split(arguments)
    if words[0] == "find" and not has_detector(current_run()):
        assert core(words) != 0 and "cannot find garments" in capsys.readouterr().err
        return
    assert core(words) == 0
    named = zip(words, words[1:], strict=False)
    written = [Path(file) for option, file in named if option in ("--csv", "--parquet", "--onnx", "--heatmap")]
    assert capsys.readouterr().out or written
    assert all(path.exists() for path in written)


def block(document: str, beginning: str) -> str:
    """The Python block of a document that begins so."""
    found = re.search(rf"```python\n({re.escape(beginning)}.*?)```", text_of(ROOT / document), re.DOTALL)
    assert found, f"{document} has no such block"
    return found[1]


def test_the_user_guides_lines_make_an_own_test_set_of_photos_sorted_by_class(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("Jeans", "Shirts"):
        (tmp_path / "folder" / name).mkdir(parents=True)
        sample(name).save(tmp_path / "folder" / name / "a.png")
    Path("folder/Jeans/broken.jpg").write_bytes(b"\xff\xd8")
    assert core(["predict", "folder/", "--top-k", "15", "--csv", "results.csv"]) == 0
    subprocess.run([sys.executable, "-c", block("docs/user-guide.md", "import json, pandas")], check=True)
    predictions = read_predictions(Path("my-predictions.csv"), "my-predictions.csv", current_run().labels)
    assert dict(zip(predictions.table["id"], predictions.true, strict=True)) == {
        f"folder/{name}/a.png": predictions.labels.index(name) for name in ("Jeans", "Shirts")
    }


def test_the_readmes_python_runs_in_the_repositorys_folder_and_anywhere_with_it_on_the_path(tmp_path):
    """It reads photo.jpg where it runs, so that it runs here elsewhere."""
    sample("Shirts").save(tmp_path / "photo.jpg")
    code = block("README.md", "from pathlib import Path\nfrom core import Classifier")
    for where, variables, photo in (
        (ROOT, {}, str(tmp_path / "photo.jpg")),
        (tmp_path, {"PYTHONPATH": str(ROOT)}, "photo.jpg"),
    ):
        program = [sys.executable, "-c", code.replace("photo.jpg", photo)]
        done = subprocess.run(
            program, cwd=where, env=os.environ | variables, capture_output=True, text=True, check=True
        )
        assert re.fullmatch(r"Shirts 0\.\d+ True\nRegion\([\w=, ]+\) Shirts \(\([\d., ()]+\)\n", done.stdout)


def in_short(name_or_path: str) -> Recipe:
    """The recipe with one epoch a stage, and few and small photos in each."""
    recipe = load_recipe(name_or_path)
    short = {"epochs": 1, "warmup_steps": 0, "height": 32, "width": 32}
    stages = [stage.model_copy(update=short) for stage in recipe.stages]
    shares = recipe.shares and recipe.shares.model_copy(update={"photos": 64})
    held_out = {"val_fraction": 0.2, "test_fraction": 0.2}  # of six photos a class
    return recipe.model_copy(update=held_out | {"stages": stages, "shares": shares, "detector": None})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory):
    """What the documents speak of: data sets, recipes, corrections, and runs of the small network, `whole` and `unfinished`."""
    folder = tmp_path_factory.mktemp("prepared")
    catalogue = write_catalogue(folder / "DATA", small_rows(others=30))
    for path in (folder / "fashion-product-images-small.zip", folder / "data" / "fashion-product-images-small.zip"):
        zipped(catalogue, path)
    zipped(write_phone_photos(folder / "phone", ["pants", "shirt", "t-shirt"] * 12), folder / "phone.zip")
    zipped(write_street_photos(folder / "street", [("jeans", "bag")] * 60), folder / "street.zip")
    for path in (folder / "my.toml", folder / "mine.toml"):
        recipe_file(path)
    photo = Image.effect_noise((80, 100), 90)
    correction = Correction("Skirts", "a" * 64, photo.size, Region(0, 0, 80, 100), "run", "Shorts", 0.5)
    store(folder / "feedback.sqlite3", correction, photo)
    with pytest.MonkeyPatch.context() as patched:
        use_small_network(patched)
        patched.setattr(initial_weights, "_imagenet", lambda: SmallNet(1000).state_dict())
        patched.setattr(command, "load_recipe", in_short)
        patched.setattr(command, "RUNS_FOLDER", Path("artifacts/runs"))
        patched.chdir(folder)
        start = ["--data", "DATA", "--recipe", "my.toml", "--init", "none", "--runs"]
        assert command.main(["pack", "--data", "DATA", "--to", "photos.parquet"]) == 0
        assert command.main([*start, "whole"]) == 0
        with pytest.MonkeyPatch.context() as interrupted:
            interrupted.setattr(Trainer, "_train", interrupt)
            assert command.main([*start, "unfinished"]) == 130
        yield folder


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def runs(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of runs of a working directory where all that lies, and a poor run ships."""
    for path in prepared.iterdir():
        if path.suffix != ".lock":  # never followed through a link
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GARMENTS_FEEDBACK", "feedback.sqlite3")
    runs = Path("artifacts/runs")
    write_run(runs, "shipped", weights=b"weights", validation=0.0)
    (runs / "current.json").write_text(json.dumps({"run_id": "shipped"}))
    return runs


@pytest.mark.parametrize("arguments", TRAIN)
def test_a_command_of_the_trainer_runs(arguments: str, runs: Path, capsys):
    (made,) = (path for path in Path("unfinished" if "--resume" in arguments else "whole").iterdir() if path.is_dir())
    run = shutil.copytree(made, runs / made.name)
    if arguments.startswith("ship"):
        (runs / "current.json").unlink()  # what ships was validated on other photos
    before = {*runs.iterdir(), runs / "current.json"}
    words = shlex.split(re.sub(r"(artifacts/runs/)?\bRUN\b", str(run), arguments))
    assert command.main(words) == 0, capsys.readouterr().err
    new = set(runs.iterdir()) - before
    trains = "--data" in words and not {"evaluate", "pack"} & set(words)
    assert len(new) == trains and all((folder / "manifest.json").exists() for folder in (run, *new))


def worked_example(name: str) -> str:
    """The code of a worked example of CONTRIBUTING.md; at most ten lines."""
    code = re.search(
        rf"^- \*\*{name}\*\*:.*?^  ```\w+\n(.*?)^  ```", text_of(ROOT / "CONTRIBUTING.md"), re.DOTALL | re.MULTILINE
    )
    assert code
    lines = textwrap.dedent(code[1]).strip()
    assert len([line for line in lines.splitlines() if line]) <= 10
    return lines


def test_the_worked_example_of_a_recipe_is_one_and_a_typo_in_it_is_reported(tmp_path: Path):
    script = worked_example("A recipe").replace("> mine.toml", f"> {tmp_path}/mine.toml")
    subprocess.run(["bash", "-ec", script], cwd=ROOT, check=True)
    mine, default = load_recipe(str(tmp_path / "mine.toml")), load_recipe("default")
    assert (mine.dropout, mine.stages[0].lr) == (0.4, 2e-3) != (default.dropout, default.stages[0].lr)
    typo = (tmp_path / "mine.toml").read_text().replace("dropout", "dropuot")
    (tmp_path / "typo.toml").write_text(typo)
    with pytest.raises(InvalidConfig, match="dropuot"):
        load_recipe(str(tmp_path / "typo.toml"))


def test_the_worked_example_of_a_page_draws(tmp_path: Path):
    (tmp_path / "5_Classes.py").write_text(worked_example("A page"))
    page = AppTest.from_file(str(tmp_path / "5_Classes.py"), default_timeout=60).run()
    assert not page.exception and not page.error and page.title[0].value == "Classes"
    assert [text.value.partition("**:")[0] for text in page.markdown] == ["**Tops", "**Bottoms"]


def test_the_worked_example_of_a_chart_draws_its_table():
    code = dict(vars(confusion)) | dict(vars(figures_confusion))
    exec(worked_example("A chart"), code)  # noqa: S102
    table = code["photos_by_class"](np.array([[1, 0], [2, 3]]), ("Shirts", "Jeans"))
    (bars,) = code["photos_figure"](table).data
    assert list(zip(bars.x, bars.y, strict=True)) == [("Jeans", 5), ("Shirts", 1)]


def test_the_worked_example_of_another_class_list_gives_a_network_that_serves_it(runs: Path, monkeypatch):
    """Its lines as they stand in CONTRIBUTING.md, in a copy of the files that they touch; every page shows the run."""
    *writing, training = worked_example("Another class list").splitlines()
    shutil.copytree(ROOT / "train", "train", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["bash", "-ec", "\n".join(writing)], check=True)
    kinds = ["Casual Shoes", "Sports Shoes", "Formal Shoes", "Sandals", "Flip Flops", "Heels"]
    Path("DATA").unlink()
    write_catalogue(Path("DATA"), [(2000 + i, kind) for i, kind in enumerate(kinds * 10 + ["Watches"] * 20)])
    monkeypatch.setattr(targets, "CLASS_LISTS", Path("train/classes"))
    before = set(runs.iterdir())
    assert command.main(shlex.split(training.partition("-m train ")[2])) == 0
    (made,) = set(runs.iterdir()) - before
    (runs / "current.json").write_text(json.dumps({"run_id": made.name}))
    monkeypatch.setenv("GARMENTS_RUNS", str(runs.resolve()))
    sample("Shirts").save("photo.png")
    assert core(["predict", "photo.png", "--csv", "answer.csv", "--group", "open", "--top-k", "3"]) == 0
    assert "Sandals" in Path("answer.csv").read_text()
    for page in (ROOT / "Home.py", *sorted((ROOT / "pages").glob("*.py"))):
        shown = AppTest.from_file(str(page), default_timeout=120).run()
        assert not shown.exception and not shown.error, (page.name, [error.value for error in shown.error])
