"""Files of predictions as people have them: every dialect ends in the same matrix, and what cannot be read is named with its line."""

import re

import numpy as np
import pandas as pd
import pytest

from core.artifacts import tables
from core.artifacts.labels import LabelSet
from core.artifacts.predictions import read_predictions
from core.artifacts.tables import read_table
from core.errors import InvalidData

LABELS = LabelSet({"Tops": ("Tshirts", "Jackets"), "Bottoms": ("Track Pants",)})
HEADER = "id,label,product,Tshirts,Jackets,Track Pants"
ROWS = ["1,Tshirts,Café shirt,0.9,0.1,0", "2,Jackets,Crème,0.625,0.25,0.125", "3,Track Pants,Plain,0.25,0.25,0.5"]
PLAIN = "\n".join([HEADER, *ROWS]) + "\n"
RIGHT = {"1": (0, 0), "2": (1, 0), "3": (2, 2)}


def read(content: bytes | str, name: str = "mine.csv"):
    return read_predictions(content.encode() if isinstance(content, str) else content, name, LABELS)


def cells(predictions) -> dict[str, tuple[int, int]]:
    """True and predicted class by id."""
    return dict(zip(predictions.table["id"], zip(predictions.true, predictions.predicted, strict=True), strict=True))


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        (PLAIN, ""),
        (PLAIN.encode("utf-8-sig"), ""),
        (PLAIN.replace("\n", "\r\n"), ""),
        (PLAIN.replace("\n", "\r"), ""),
        (PLAIN.rstrip("\n"), ""),
        (PLAIN.encode("cp1252"), "Line 2 is not in UTF-8, so the file was read as Windows-1252"),
        (PLAIN.replace(",", "\t").encode("utf-16"), "The file is in UTF-16. Columns are separated by tabs."),
        (PLAIN.replace(",", ";"), "separated by semicolons."),
        (PLAIN.replace(",", ";").replace(".", ","), "separated by semicolons, and numbers have decimal commas."),
        (PLAIN.replace(",", "|"), "separated by vertical bars."),
        ("sep=;\r\n" + PLAIN.replace(",", ";"), "separated by semicolons."),
        ("SEP=,\n" + PLAIN, ""),
        (PLAIN.replace(",", ", "), ""),
        (PLAIN.replace(",", " ,"), ""),
        (PLAIN.replace("id,label", "ID,Label").replace("Track Pants", "track pants"), ""),
        (PLAIN.replace("Tshirts", "T-shirts"), ""),
        (PLAIN.replace("\n", "\n\n"), ""),
        (PLAIN + ",,,,,\n,,,,,\n", ""),
        (PLAIN.replace("Plain", '"a ""quoted"" one,\nover two lines"'), ""),
        ("\n".join(f"{i},{line}" for i, line in zip(["", 0, 1, 2], PLAIN.splitlines(), strict=True)), ""),
        (re.sub(r"(?m)^(\d)", r"\1.0", PLAIN), "Ids are written as decimal numbers (1.0)"),
        (PLAIN.replace("0.9,0.1,0", "90,10,0").replace("0.625,0.25,0.125", "62.5,25,12.5").replace(
            "0.25,0.25,0.5", "25,25,50"), "Probabilities are percentages"),
    ],
)  # fmt: skip
def test_every_common_dialect_gives_the_same_matrix_and_says_how_it_was_read(content, notes):
    predictions = read(content)
    assert cells(predictions) == RIGHT
    assert notes in " ".join(predictions.notes) and bool(notes) == bool(predictions.notes)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_accents_survive_in_ids_and_names(encoding):
    content = "id,label,product,prediction\nphoto été 1.jpg,Jackets,Crème,Jackets\n"
    predictions = read(content.encode(encoding))
    assert predictions.table.loc[0, ["id", "product"]].tolist() == ["photo été 1.jpg", "Crème"]


def test_ids_are_text_as_they_stand_in_the_file():
    rows = "".join(f"{i},Jackets,Jackets\n" for i in ("00055", "55", "2986.0", "a b", "1e5", "NA"))
    assert set(read("id,label,prediction\n" + rows).table["id"]) == {"00055", "55", "2986.0", "a b", "1e5", "NA"}


def test_ids_of_a_parquet_file_are_text_too(tmp_path):
    frame = pd.DataFrame({"id": [7.0, 8.0], "label": "Jackets", "prediction": "Jackets"})
    frame.to_parquet(tmp_path / "p.parquet")
    assert set(read((tmp_path / "p.parquet").read_bytes(), "p.parquet").table["id"]) == {"7", "8"}


def test_columns_of_probabilities_may_stand_in_any_order():
    assert cells(read("Track Pants,label,Jackets,id,Tshirts\n0.2,Jackets,0.7,9,0.1\n")) == {"9": (1, 1)}


def test_a_predicted_class_instead_of_probabilities_gives_a_matrix_without_confidence():
    predictions = read("id,label,prediction\n1,jackets,T-Shirts\n2,Jackets,Jackets\n")
    assert cells(predictions) == {"1": (1, 0), "2": (1, 1)}
    assert not predictions.has_probabilities and read(PLAIN).has_probabilities


@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_rounded_probabilities_are_scaled_to_add_up_to_1_with_a_note(decimals):
    random = np.random.default_rng(0)
    names = [f"class {i}" for i in range(15)]
    shares = random.dirichlet(np.full(15, 0.6), 200)
    frame = pd.DataFrame(shares.round(decimals), columns=names).assign(id=range(200), label="class 0")
    off = np.abs(frame[names].sum(axis=1) - 1).max()
    predictions = read_predictions(frame.to_csv(index=False).encode(), "p.csv", LabelSet({"All": tuple(names)}))
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1)
    assert off > 1e-3 and "Each row was scaled to add up to 1" in predictions.notes[0]


def row(line: str) -> str:
    return f"{HEADER}\n{line}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PLAIN.replace("3,Track", "\n\n3,Track").replace("0.5", "oops"), "(“oops”) in 1 of 3 rows (line 6)"),
        (PLAIN.replace("Crème", '"a\nb\nc"').replace("0.5", "oops"), "(line 6)"),
        ("sep=,\n" + PLAIN.replace("0.5", "oops"), "(line 5)"),
        (PLAIN.replace("\n", "\r\n").replace("0.25,0.5", ",0.5"), "empty or infinite probabilities in 1 of 3 rows (line 4)"),
        (PLAIN.replace("2,Jackets", ",Jackets"), "has no id in 1 of 3 rows (line 3)"),
        (PLAIN.replace("2,Jackets", "2, "), "has no label in 1 of 3 rows (line 3)"),
        (PLAIN.replace("2,Jackets", "2,Sock Z"), "labels that are no class of this run: “Sock Z” (line 3). The classes are"),
        (PLAIN.replace("2,Jackets", "1,Jackets"), "more than one row for id “1” (lines 2, 3)"),
        (PLAIN.replace("Plain", "Plain,more"), "the header names 6 columns, line 4 has 7"),
        (PLAIN.replace("Plain", '"Plain'), "the header names 6 columns, line 4 has 3"),
        (PLAIN.replace("0.625", "6.25"), "below 0 or above 1 (turn logits into probabilities by softmax) in 1 of 3 rows (line 3)"),
        (PLAIN.replace("0.625", "0.1"), "do not add up to 1 in 1 of 3 rows (line 3)"),
        (PLAIN.replace("Jackets,Track", "Jackets,Jackets,Track"), "more than one column called Jackets"),
        (PLAIN.replace("id,", "photo,"), "lacks the column id. Its columns are photo, label, product, Tshirts, Jackets and 1 more"),
        ("1,Jackets,x,0\n", "lacks the column id and the column label"),
        ("id,label\n1,Jackets\n", "neither a column of probabilities for each class nor a column prediction"),
        ("id,label,Jackets\n1,Jackets,1\n", "lacks the columns Tshirts, Track Pants"),
        ("id,label,prediction\n1,Jackets,Sock\n", "predictions that are no class of this run: “Sock” (line 2)"),
        (HEADER + "\n", "has no rows"),
        ("", "it is empty"),
        (" \n\n", "it is empty"),
        (",\n\n,", "it names no column"),
        ("sep=;\n", "it names no column"),
        (b"PK\x03\x04rest", "an Excel workbook or a zip file. Save the sheet as CSV UTF-8"),
        (b"\x00\x01\x02", "it is not a text file"),
        (b"id,label\n1,\x81\n", "line 2 is neither in UTF-8 nor in Windows-1252"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_its_line(content, message):
    with pytest.raises(InvalidData, match=re.escape(message)) as caught:
        read(content)
    assert str(caught.value).startswith("mine.csv ")


def test_rows_of_a_parquet_file_are_numbered_as_rows(tmp_path):
    frame = pd.DataFrame({"id": ["a", None], "label": "Jackets", "prediction": "Jackets"})
    frame.to_parquet(tmp_path / "p.parquet")
    with pytest.raises(InvalidData, match=r"no id in 1 of 2 rows \(row 2\)"):
        read((tmp_path / "p.parquet").read_bytes(), "p.parquet")


def test_a_word_far_below_numbers_is_found_without_reading_all_as_text(monkeypatch):
    rows = "".join(f"{i},Jackets,x,0.5,0.5,0\n" for i in range(5000))
    with pytest.raises(
        InvalidData, match=re.escape("column Tshirts should have a number (“n/q”) in 1 of 5,001 rows (line 5002)")
    ):
        read(f"{HEADER}\n{rows}9999,Jackets,x,n/q,0.5,0.5\n")  # fmt: skip


def test_a_header_of_too_many_columns_is_refused_before_it_is_parsed():
    with pytest.raises(InvalidData, match="its header names more than 1,000 columns"):
        read("id,label" + ",x" * 520_000 + "\n1,Jackets" + ",0" * 520_000)


def test_too_many_rows_are_refused_before_they_are_parsed(monkeypatch):
    monkeypatch.setattr(tables, "MAX_ROWS", 2)
    with pytest.raises(InvalidData, match="more than 2 lines"):
        read(PLAIN)


def test_lines_are_the_files_own():
    table = read_table(
        (PLAIN.replace("\n2", "\n\n2").replace("Plain", '"x\ny"') + "4,Jackets,z,1,0,0\n").encode(), "p.csv"
    )
    assert table.lines.tolist() == [2, 4, 5, 7]
