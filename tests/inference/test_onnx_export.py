"""An exported file is enough for a program that knows nothing of this product."""

import json
import subprocess
import sys

import onnx
import pytest

from core.__main__ import main
from core.artifacts.run import Run
from core.inference.classifier import Classifier
from core.inference.engine import Engine
from core.samples import garments
from tests.conftest import ROOT
from tests.run_factory import write_run

# Another program: ONNX Runtime, numpy and Pillow, what the file says of itself, and the rule that it names.
BARE = """
import json, sys
import numpy as np, onnxruntime
from PIL import Image

exec(open(sys.argv.pop(1)).read().replace("from __future__ import annotations", ""))  # the one file named for the border's rule
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
width, height = int(about["input_width"]), int(about["input_height"])
answers = []
for path in sys.argv[2:]:
    image = Image.open(path).convert("RGB")
    image = image.crop(framed(image))
    scale = min(width / image.width, height / image.height)
    size = round(image.width * scale), round(image.height * scale)
    small = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3)
    canvas = Image.new("RGB", (width, height), tuple(json.loads(about["background"])))
    canvas.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    (logits,) = session.run(["logits"], {"pixels": np.asarray(canvas)[None]})
    odds = np.exp(logits[0] / float(about["temperature"]))
    in_scope = bool(np.log(np.exp(logits[0].astype(float)).sum()) >= float(about["in_scope_threshold"]))
    best = int(odds.argmax())
    answers.append([json.loads(about["labels"])[best], float(odds[best] / odds.sum()), in_scope])
print(json.dumps([about["run_id"], answers, sorted(name for name in sys.modules if name.startswith("core"))]))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The shipped network as a file, written by the command."""
    path = tmp_path_factory.mktemp("export") / "garments.onnx"
    assert main(["export", "--onnx", str(path)]) == 0
    return path


def test_a_bare_program_gives_the_answers_of_the_product_in_float32(exported, tmp_path):
    images = [garments.sample(name) for name in garments.SAMPLE_NAMES]
    for number, image in enumerate(images):
        image.save(tmp_path / f"{number}.png")
    command = [
        sys.executable,
        "-I",
        "-c",
        BARE,
        str(ROOT / "core" / "images" / "framing.py"),
        str(exported),
        *(str(tmp_path / f"{n}.png") for n in range(len(images))),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    run_id, answers, ours = json.loads(done.stdout)
    classifier = Classifier.load()
    classifier.engine = Engine(classifier.run, quantised=False)
    expected = classifier.predict(images)
    assert run_id == classifier.run.run_id and ours == []
    assert [answer[0] for answer in answers] == [answer.label for answer in expected]
    assert [answer[1] for answer in answers] == pytest.approx([answer.probability for answer in expected], abs=1e-5)
    assert [answer[2] for answer in answers] == [answer.in_scope for answer in expected]


def test_the_file_says_what_it_is(exported):
    model = onnx.load(exported)
    onnx.checker.check_model(model)
    about = {entry.key: entry.value for entry in model.metadata_props}
    manifest = Classifier.load().run.manifest
    assert json.loads(about["groups"]) == manifest["groups"]
    assert float(about["temperature"]) == manifest["temperature"]
    assert json.loads(about["mean"]) == manifest["input"]["mean"]
    assert "do not apply them" in about["preprocessing"]
    assert not list(exported.parent.glob("*.tmp"))


def test_a_run_can_be_chosen(random_run: Run, tmp_path):
    path = tmp_path / "random.onnx"
    assert main(["export", "--onnx", str(path), "--run", str(random_run.folder)]) == 0
    about = {entry.key: entry.value for entry in onnx.load(path, load_external_data=False).metadata_props}
    assert about["run_id"] == "random"


def test_a_run_without_a_network_is_named(tmp_path, capsys):
    run = write_run(tmp_path / "runs", "published")
    assert main(["export", "--onnx", str(tmp_path / "x.onnx"), "--run", str(run.folder)]) == 1
    assert "The run published has no model.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "x.onnx").exists()


def test_a_folder_that_is_not_there_is_named(random_runs, tmp_path, capsys):
    assert main(["export", "--onnx", str(tmp_path / "none" / "x.onnx")]) == 1
    assert "none" in capsys.readouterr().err
