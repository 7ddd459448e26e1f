"""Uploads become photos within limits, and answers a table with the doubtful ones first."""

import base64
import codecs
import csv
import io
import json
import zipfile

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.artifacts.labels import OUT_OF_SCOPE
from core.bulk import table as table_module
from core.bulk.garments import Garments
from core.bulk.pipeline import RECORD_FIELDS, Result
from core.bulk.table import (
    BOX,
    NEEDS_REVIEW,
    Upload,
    answered,
    as_csv,
    attribute_values,
    boxes_of,
    garment_rows,
    matching,
    needs_review,
    out_of_scope,
    photos_of,
    row,
    table,
    verdicts,
)
from core.images.decode import MAX_NAME, Photo, display_name
from core.images.region import Region
from core.inference.classifier import Answer, Found


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def record(
    file: str, label: str = "", probability: float | None = None, in_scope: bool | None = None, error: str = "", **more
):
    values = {"file": file, "label": label, "probability": probability, "in_scope": in_scope, "error": error}
    return dict.fromkeys(RECORD_FIELDS, "") | values | {"top_k": {label: probability}, "thumbnail": None} | more


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


def test_of_a_folder_what_is_no_photo_is_passed_over_and_photos_keep_their_place_in_it():
    names = ["wardrobe/a.jpg", "wardrobe/tops/b.PNG", "wardrobe/notes.txt", "wardrobe/._a.jpg", "wardrobe/.DS_Store"]
    photos, problems = photos_of([Upload(name, name, b"") for name in names])
    assert [photo.name for photo in photos.values()] == names[:2] and not problems


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


def test_what_needs_review_comes_first_and_what_is_out_of_scope_last(answers):
    shown = answered(answers)
    assert shown["file"].tolist() == ["unsure.jpg", "sure.jpg", "bag.jpg", "shoe.jpg"]
    assert out_of_scope(shown).tolist() == [False, False, True, True]
    assert needs_review(shown).tolist() == [True, False, False, False]
    assert verdicts(shown)["status"].tolist() == [NEEDS_REVIEW, "", OUT_OF_SCOPE, OUT_OF_SCOPE]


def test_a_photo_out_of_scope_says_what_it_looks_like_and_has_no_bar():
    watch = record("watch.jpg", "Tops", 0.9, False, looks_like="Watches", looks_like_probability=0.8)
    shown = verdicts(answered(table([watch, record("bag.jpg", "Tshirts", 0.3, False)]))).set_index("file")
    assert shown["class"].to_dict() == {"watch.jpg": "Looks like Watches (80%)", "bag.jpg": "Closest: T-shirts"}
    assert shown["probability"].isna().all() and (shown["next"] == "").all()


def test_filters_keep_the_rows_of_their_classes_confidence_and_attributes(answers):
    answers["colour"] = ["blue", "", "", "", ""]
    good = answered(answers)
    assert attribute_values(good) == {"colour": ["blue"]}
    for kept, files in (
        (matching(good), ["unsure.jpg", "sure.jpg", "bag.jpg", "shoe.jpg"]),
        (matching(good, classes=["Jeans"]), ["unsure.jpg", "sure.jpg"]),
        (matching(good, confidence=(0.5, 1.0)), ["sure.jpg"]),
        (matching(good, attributes={"colour": ["blue"]}), ["sure.jpg"]),
        (matching(good, classes=["Skirts"]), []),
    ):
        assert kept["file"].tolist() == files


def found(box: tuple[int, int, int, int], label: str, in_scope: bool) -> Found:
    answer = Answer([(label, 0.7), ("Tops", 0.2)], "Tops", in_scope, 1.0, (label, 0.7), ("Tops", 0.2))
    return Found(Region(*box), ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0)), answer, "upper", 0.9, 0.2)


def test_garments_are_rows_with_boxes_and_open_with_those_of_their_photo_in_scope():
    photo = Photo(Image.new("RGB", (60, 80)), "street", "PNG", "a" * 64, 120, 160)
    boxes = [
        found((0, 0, 60, 80), "Shirts", True),
        found((10, 80, 70, 160), "Jeans", True),
        found((0, 0, 9, 9), "Tops", False),
    ]
    rows = garment_rows("photo", Garments("street.jpg", boxes, photo=photo))
    answers = table([row("other", Result(record("shirt.jpg", "Shirts", 0.9, True), None, None)), *rows])
    assert answers["file"].tolist() == ["shirt.jpg", *["street.jpg"] * 3]
    assert answers["label"].tolist()[1:] == ["Shirts", "Jeans", "Tops"]
    assert answers["thumbnail"].notna().tolist() == [False, True, True, True]
    regions = [Region(*one.region.box) for one in boxes]
    assert [[region for region, _ in boxes_of(answers, chosen)[0]] for chosen in range(4)] == [
        [], regions[:2], regions[:2], regions
    ]  # fmt: skip
    assert [boxes_of(answers, chosen)[1] for chosen in range(4)] == [0, 1, 2, 3]
    assert boxes_of(answers, 3)[0][2][1] is None  # no outline: it would count as in scope
    read = pd.read_csv(io.BytesIO(as_csv(answers)))
    assert list(read.columns) == [*RECORD_FIELDS, *BOX] and read["right"].tolist()[1:] == [60, 70, 9]


def test_an_accepted_photos_next_guess_is_its_second():
    two = record("a.jpg", "Jeans", 0.8, True) | {"top_k": {"Jeans": 0.8, "Shorts": 0.15, "Skirts": 0.05}}
    assert verdicts(answered(table([two])))["next"].tolist() == ["Shorts 15%"]


def test_nothing_readable_gives_empty_tables():
    answers = table([record("broken.jpg", error="broken")])
    assert answered(answers).empty and verdicts(answered(answers)).empty and matching(answered(answers)).empty


def test_the_csv_keeps_the_order_and_no_spreadsheet_runs_a_name(answers):
    answers.loc[0, "file"] = "=cmd|' /C calc'!A0.jpg"
    assert as_csv(answers).startswith(codecs.BOM_UTF8)  # else Excel shows umlauts as two characters
    read = pd.read_csv(io.BytesIO(as_csv(answers)))
    assert list(read.columns) == list(RECORD_FIELDS)
    assert read["file"].tolist() == ["'=cmd|' /C calc'!A0.jpg", "broken.jpg", "shoe.jpg", "unsure.jpg", "bag.jpg"]


@given(
    st.lists(
        st.tuples(st.text().map(display_name).filter(bool), st.floats(0, 1), st.booleans()), min_size=1, max_size=5
    )
)
def test_the_csv_gives_back_names_and_probabilities(answers):
    text = as_csv(
        table([record(name, "Jeans", probability, in_scope) for name, probability, in_scope in answers])
    ).decode("utf-8-sig")
    rows = [*csv.DictReader(io.StringIO(text, newline=""))]
    assert [row["file"] for row in rows] == [f"'{name}" if name[0] in "=+-@" else name for name, _, _ in answers]
    assert [(float(row["probability"]), row["in_scope"] == "True") for row in rows] == [
        answer[1:] for answer in answers
    ]
    assert [json.loads(row["top_k"]) for row in rows] == [{"Jeans": probability} for _, probability, _ in answers]


def test_a_thumbnail_is_a_jpeg_in_the_row():
    shown = row("1", Result({"file": "a"}, Image.new("RGB", (30, 40), "teal"), None))
    kind, _, data = shown["thumbnail"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (30, 40)
    assert row("1", Result({"file": "a"}, None, None))["thumbnail"] is None


def test_long_names_that_differ_in_the_middle_stay_apart():
    buffer = io.BytesIO()
    names = [f"{'a' * 100} {number} {'b' * 100}.jpg" for number in (1, 2)]
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"photo")
    photos, problems = photos_of([Upload("1", "long.zip", buffer.getvalue())])
    assert [photo.name for photo in photos.values()] == [f"long.zip/{name}" for name in names] and not problems
