"""Uploads become photos within limits, and answers a table with the doubtful ones first."""

import base64
import csv
import io
import json
import zipfile

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.artifacts.labels import OUT_OF_SCOPE, LabelSet
from core.bulk import table as table_module
from core.bulk.pipeline import RECORD_FIELDS, Result
from core.bulk.table import (
    Upload,
    answered,
    as_csv,
    class_counts,
    low_confidence,
    out_of_scope,
    photos_of,
    row,
    table,
    verdicts,
)
from core.images.decode import MAX_NAME, display_name
from tests.conftest import GROUPS

LABELS = LabelSet.from_json(GROUPS)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def record(file: str, label: str = "", probability: float | None = None, in_scope: bool | None = None, error: str = ""):
    values = {"file": file, "label": label, "probability": probability, "in_scope": in_scope, "error": error}
    return dict.fromkeys(RECORD_FIELDS) | values | {"top_k": {label: probability}, "thumbnail": None}


@pytest.fixture
def answers() -> pd.DataFrame:
    return table(
        [
            record("sure.jpg", "Jeans", 0.9, True),
            record("broken.jpg", error="broken.jpg is a damaged JPEG photo."),
            record("shoe.jpg", "Tops", 0.95, False),
            record("unsure.jpg", "Jeans", 0.4, True),
            record("bag.jpg", "Shirts", 0.3, False),
        ]
    )


def test_photos_and_the_photos_of_zips_come_in_order():
    uploads = [
        Upload("1", "b.jpg", b"b"),
        Upload("2", "x.ZIP", zipped(**{"d/c.png": b"c", "a.png": b"a", "n.txt": b""})),
    ]
    photos, problems = photos_of(uploads)
    assert [(photo.name, photo.read()) for photo in photos.values()] == [
        ("b.jpg", b"b"),
        ("x.ZIP/a.png", b"a"),
        ("x.ZIP/d/c.png", b"c"),
    ]
    assert problems == []


def test_photos_of_one_name_are_told_apart():
    photos, _ = photos_of([Upload("1", "image.jpg", b"one"), Upload("2", "image.jpg", b"two")])
    assert [photo.read() for photo in photos.values()] == [b"one", b"two"]


def test_hostile_names_are_made_fit_for_display():
    uploads = [
        Upload("1", "\u202egpj.exe\n.jpg", b""),
        Upload("2", "z.zip", zipped(**{"../\u202e" * 99 + "etc.png": b""})),
    ]
    photos, _ = photos_of(uploads)
    assert next(iter(photos.values())).name == "gpj.exe.jpg"
    assert "\u202e" not in "".join(photo.name for photo in photos.values())
    assert max(len(display_name(photo.name)) for photo in photos.values()) == MAX_NAME


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_MEMBERS", 2, r"many\.zip has 3 entries; at most 2 are accepted"),
        ("MAX_PHOTOS", 2, r"many\.zip is left out: at most 2 photos at once"),
        ("MAX_UNPACKED", 2**20, r"many\.zip unpacks to 0\.\d GB of photos; at most 0 GB"),
    ],
)
def test_a_zip_over_a_limit_is_left_out_and_the_others_go_on(monkeypatch, limit, value, message):
    monkeypatch.setattr(table_module, limit, value)
    bomb = zipped(**{f"{number}.png": bytes(2**25) for number in range(3)})
    photos, problems = photos_of([Upload("1", "many.zip", bomb), Upload("2", "a.jpg", b"a")])
    assert [photo.name for photo in photos.values()] == ["a.jpg"]
    assert pd.Series(problems).str.contains(message).tolist() == [True]


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"no zip", "bad.zip is no readable zip file"), (zipped(a=b"text"), "bad.zip has no photos in it")],
)
def test_a_zip_without_photos_is_named(data, message):
    photos, problems = photos_of([Upload("1", "bad.zip", data)])
    assert photos == {} and message in problems[0]


def test_out_of_scope_comes_first_then_the_least_probable(answers):
    shown = answered(answers)
    assert shown["file"].tolist() == ["bag.jpg", "shoe.jpg", "unsure.jpg", "sure.jpg"]
    assert out_of_scope(shown).tolist() == [True, True, False, False]
    assert low_confidence(shown).tolist() == [False, False, True, False]


def test_a_photo_out_of_scope_has_no_class_and_no_bar_and_its_label_is_the_next_class(answers):
    shown = verdicts(answered(answers)).set_index("file")
    assert shown["class"].to_dict() == {
        **{"bag.jpg": OUT_OF_SCOPE, "shoe.jpg": OUT_OF_SCOPE},
        **{"unsure.jpg": "Jeans", "sure.jpg": "Jeans"},
    }
    assert shown["probability"].isna().tolist() == [True, True, False, False]
    assert shown["next"].tolist() == ["Shirts 30%", "Tops 95%", "", ""]
    assert list(shown.columns)[:2] == ["thumbnail", "class"]


def test_an_accepted_photos_next_guess_is_its_second():
    two = record("a.jpg", "Jeans", 0.8, True) | {"top_k": {"Jeans": 0.8, "Shorts": 0.15, "Skirts": 0.05}}
    assert verdicts(answered(table([two])))["next"].tolist() == ["Shorts 15%"]


def test_counts_are_of_photos_in_scope_and_add_up(answers):
    counts = class_counts(answered(answers), LABELS).set_index("class")["photos"]
    assert counts["Jeans"] == 2 and counts["Tops"] == 0 and counts[OUT_OF_SCOPE] == 2
    assert counts.sum() == 4 and list(counts.index) == [*LABELS.names, OUT_OF_SCOPE]


def test_nothing_readable_gives_empty_tables():
    answers = table([record("broken.jpg", error="broken")])
    assert answered(answers).empty and class_counts(answered(answers), LABELS)["photos"].sum() == 0


def test_the_csv_keeps_the_order_and_no_spreadsheet_runs_a_name(answers):
    answers.loc[0, "file"] = "=cmd|' /C calc'!A0.jpg"
    read = pd.read_csv(io.StringIO(as_csv(answers)))
    assert list(read.columns) == list(RECORD_FIELDS)
    assert read["file"].tolist() == ["'=cmd|' /C calc'!A0.jpg", "broken.jpg", "shoe.jpg", "unsure.jpg", "bag.jpg"]


@given(
    st.lists(
        st.tuples(st.text().map(display_name).filter(bool), st.floats(0, 1), st.booleans()), min_size=1, max_size=5
    )
)
def test_the_csv_gives_back_names_and_probabilities(answers):
    text = as_csv(table([record(name, "Jeans", probability, in_scope) for name, probability, in_scope in answers]))
    rows = [*csv.DictReader(io.StringIO(text, newline=""))]
    assert [row["file"] for row in rows] == [f"'{name}" if name[0] in "=+-@" else name for name, _, _ in answers]
    assert [(float(row["probability"]), row["in_scope"] == "True") for row in rows] == [
        answer[1:] for answer in answers
    ]
    assert [json.loads(row["top_k"]) for row in rows] == [{"Jeans": probability} for _, probability, _ in answers]


def test_a_thumbnail_is_a_jpeg_in_the_row():
    shown = row(Result({"file": "a"}, Image.new("RGB", (30, 40), "teal"), None))
    kind, _, data = shown["thumbnail"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (30, 40)
    assert row(Result({"file": "a"}, None, None))["thumbnail"] is None


def test_long_names_that_differ_in_the_middle_stay_apart():
    buffer = io.BytesIO()
    names = [f"{'a' * 100} {number} {'b' * 100}.jpg" for number in (1, 2)]
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"photo")
    photos, problems = photos_of([Upload("1", "long.zip", buffer.getvalue())])
    assert [photo.name for photo in photos.values()] == [f"long.zip/{name}" for name in names] and not problems
