"""The report of a training needs nothing else, fits its size, shows text as text, and holds the figures of the files."""

import re
from dataclasses import replace
from io import BytesIO

import msgspec
import pytest
from PIL import Image

from core.artifacts.data_report import DataReport
from core.artifacts.measures import Metrics
from core.artifacts.run import Run
from core.artifacts.training import Training, finished, read_training
from core.images.dataset import PhotoFiles
from core.plots.report import Chart, Heading, Photos, Table, html_report, report
from core.plots.report_pdf import pdf_report
from core.settings import RUNS_FOLDER
from tests.run_factory import write_live_run, write_run


@pytest.fixture(scope="module")
def published() -> Training:
    return finished(Run.load(RUNS_FOLDER / "published-reference"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Training:
    return finished(write_run(tmp_path_factory.mktemp("runs"), "measured"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> PhotoFiles:
    folder = tmp_path_factory.mktemp("photos")
    for photo in range(10_000, 10_300):
        Image.new("RGB", (60, 80), (photo % 256, 90, 40)).save(folder / f"{photo}.jpg")
    return PhotoFiles(folder, {str(photo): f"{photo}.jpg" for photo in range(10_000, 10_300)})


def texts(page: str) -> str:
    """What a reader sees, without charts."""
    return re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


def sections(blocks) -> list[str]:
    return [block.text for block in blocks if isinstance(block, Heading)]


def test_the_report_tells_the_story_first_and_the_settings_last(measured, published):
    assert sections(report(measured, published)) == [
        "Run measured",
        "Curves",
        "Gain per stage",
        "Confusion matrix",
        "Classes",
        "Most frequent mistakes",
        "Calibration",
        "Comparison with the published run",
        "Epochs",
        "Photos",
        "Settings",
    ]


def test_the_page_needs_no_network_and_is_small(measured, published, photos):
    page = html_report(report(measured, published, photos))
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?(?:https?:)?//", page)
    assert page.count("<svg") == 5 and len(page.encode()) < 2_000_000


def test_it_holds_the_figures_of_the_files(measured):
    page = texts(html_report(report(measured)))
    for value in measured.epochs["val_accuracy"]:
        assert f"<td>{value:.2%}</td>" in page
    assert "Test accuracy 90.00% on 300 test photos, 95% interval 87.00% to 92.00%." in page
    assert "3 of 5 custom photos" in page and "photo 60004 is damaged" in page


def test_the_report_of_a_lineage_tells_of_all_its_stages_and_epochs(measured, tmp_path):
    second = finished(write_run(tmp_path, "second", initial_weights="measured"))
    blocks = report(second, earlier=[measured])
    stages, epochs = (
        next(block for block in blocks if isinstance(block, Table) and block.headings[0] == first)
        for first in ("Run", "Epoch")
    )
    assert [row[:2] for row in stages.rows] == [
        [name, str(stage)]
        for name, numbers in (("Run measured", range(1, 5)), ("Run second", range(5, 9)))
        for stage in numbers
    ]
    assert [row[0] for row in epochs.rows] == [str(epoch) for epoch in range(1, 17)]
    assert "of 16" in html_report(blocks)


def test_every_class_has_its_number_of_photos(measured):
    classes = next(block for block in report(measured) if isinstance(block, Table) and block.headings[0] == "Class")
    assert classes.headings[1] == "n" and sum(int(row[1]) for row in classes.rows) == 300
    assert next(row[:2] for row in classes.rows if row[0] == "Swimwear") == ["Swimwear", "0"]


def test_the_worst_pairs_are_shown_with_their_photos_where_these_are_here(measured, photos):
    pairs = [block for block in report(measured, None, photos) if isinstance(block, Photos)]
    assert len(pairs) == 5 and all(len(pair.jpegs) == len(pair.captions) >= 1 for pair in pairs)
    assert Image.open(BytesIO(pairs[0].jpegs[0])).size[1] <= 128
    assert not [block for block in report(measured) if isinstance(block, Photos)]


def test_phone_photos_and_worn_garments_have_sections_where_they_were_measured(measured):
    share = {"n": 40, "value": 0.95, "low": 0.83, "high": 0.99}
    pants = {"label": "pants", "allowed": ["Jeans", "Trousers"]} | share
    coarse = {"test": {"photos": 40, "exact": share, "allowed_set": share, "labels": [pants]}}
    training = replace(measured, metrics=msgspec.convert({"phone": coarse, "worn": coarse}, Metrics))
    blocks = report(training)
    assert {"Phone photos", "Worn garments"} <= set(sections(blocks))
    assert "95.0% of 40 test photos are predicted as a class that their label allows" in html_report(blocks)
    assert ["pants", "Jeans, Trousers", "40", "95.0%"] in [
        row for b in blocks if isinstance(b, Table) for row in b.rows
    ]


def test_what_is_unknown_is_not_made_up(published):
    page = texts(html_report(report(published)))
    assert "Test accuracy about 90-91%, as published." in page
    assert "the 11 epochs with a known time sum to 4,584.8 s" in page
    assert "<td>–</td>" in page and "Training loss" not in page and "nan" not in page.lower()


def test_names_and_notes_are_shown_as_text(measured):
    notes = {"notes": ["<img src=x onerror=alert(1)>"]}
    data = DataReport(problems=("<u>photo</u>",), classes={"<s>": {"train": 1}})
    epochs = measured.epochs.assign(stage_name="<b>$x$")
    run = Run(measured.folder, measured.run.manifest | notes)
    hostile = Training(measured.folder, "<script>alert(1)</script>", epochs, {"<b>": "<i>"}, data, run, Metrics())
    blocks = report(hostile)
    page = html_report(blocks)
    assert "<script>alert" not in page
    assert not re.findall(r"<(?:img|u|s|b|i)\b", texts(page))
    assert pdf_report(blocks).startswith(b"%PDF")


def test_a_run_without_epochs_has_a_report(tmp_path):
    blocks = report(read_training(write_live_run(tmp_path, "begun")))
    page = html_report(blocks)
    assert "No epoch has been validated yet." in page and "Not tested yet." in page
    assert not [block for block in blocks if isinstance(block, Chart)]


def test_the_pdf_is_a4_and_small_and_no_table_is_wider_than_the_paper(measured, published, photos):
    file = pdf_report(report(measured, published, photos))
    assert file.startswith(b"%PDF") and len(file) < 2_000_000
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", file)
    assert boxes and all((round(float(w)), round(float(h))) == (595, 842) for w, h in boxes)
