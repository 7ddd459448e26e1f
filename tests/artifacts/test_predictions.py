"""Files of predictions: what is accepted, in which order rows stand, what filters keep, and what a wrong file is told."""

import io
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.artifacts.facets import NOT_STATED
from core.artifacts.labels import LabelSet
from core.artifacts.predictions import predictions_from_table, read_predictions
from core.artifacts.tables import MAX_ROWS
from core.errors import InvalidData
from tests.prediction_tables import LABELS, NAMES, prediction_table


@pytest.fixture(scope="module")
def table():
    return prediction_table()


@pytest.fixture(scope="module")
def predictions(table):
    return predictions_from_table(table, "predictions.csv", LABELS)


def test_rows_stand_most_confident_first_and_keep_together(table, predictions):
    assert (np.diff(predictions.confidence) <= 0).all()
    by_id = table.set_index(table["id"].astype(str))
    for row in (0, 7, len(table) - 1):
        given = by_id.loc[predictions.table["id"][row]]
        assert NAMES[predictions.true[row]] == given["label"]
        assert predictions.probabilities[row].tolist() == given[list(NAMES)].tolist()
        assert predictions.table["product"][row] == given["product"]
        assert NAMES[predictions.predicted[row]] == given[list(NAMES)].astype(float).idxmax()


def test_csv_and_parquet_and_bytes_give_the_same(table, predictions, tmp_path):
    table.to_csv(tmp_path / "predictions.csv", index=False)
    table.to_parquet(tmp_path / "predictions.parquet", index=False)
    for source, name in (
        (tmp_path / "predictions.csv", "predictions.csv"),
        (tmp_path / "predictions.parquet", "predictions.parquet"),
        ((tmp_path / "predictions.csv").read_bytes(), "mine.CSV"),
    ):
        read = read_predictions(source, name, LABELS)
        np.testing.assert_array_equal(read.probabilities, predictions.probabilities)
        assert read.table["id"].tolist() == predictions.table["id"].tolist()


@pytest.mark.parametrize(
    ("chosen", "condition"),
    [
        ({"group": ["Tops"]}, lambda t: t["group"] == "Tops"),
        ({"colour": ["Red", "Blue"]}, lambda t: t["colour"].isin(["Red", "Blue"])),
        ({"usage": ["Sports"], "colour": ["Red"]}, lambda t: (t["usage"] == "Sports") & (t["colour"] == "Red")),
        ({"gender": ["Men"]}, lambda t: t["product"].str.contains(" Men ")),
        ({"gender": ["none"]}, lambda t: t["product"].str.contains(" plain ")),
        ({"duplicates": ["near-duplicate"]}, lambda t: t["duplicate_group"].duplicated(keep=False)),
        ({"colour": []}, lambda t: t["id"] > 0),
    ],
)
def test_a_filter_keeps_what_pandas_keeps(table, predictions, chosen, condition):
    kept = set(predictions.table["id"][predictions.mask(chosen)].astype(int))
    expected = set(table["id"][condition(table)])
    assert kept == expected and kept


def test_a_confidence_range_includes_both_its_ends(predictions):
    low, high = predictions.confidence[20], predictions.confidence[10]
    assert np.flatnonzero(predictions.mask({}, (low, high))).tolist() == list(range(10, 21))


@pytest.mark.parametrize(
    ("product", "word"),
    [
        ("Puma Men's Tshirt", "Men"),
        ("Women Red Top", "Women"),
        ("Mens Shirt", "none"),
        ("Unisex Men Cap", "Unisex"),
        (None, "none"),
    ],
)
def test_gender_word_is_the_first_whole_word_of_the_name(table, product, word):
    named = table.assign(product=[product, *table["product"][1:]])
    predictions = predictions_from_table(named, "p.csv", LABELS)
    row = np.flatnonzero(predictions.table["id"] == str(table["id"][0]))[0]
    assert predictions.facets["gender"][row] == word


def test_missing_details_are_left_out_and_empty_ones_named(table):
    short = predictions_from_table(table.drop(columns=["product", "usage", "duplicate_group"]), "p.csv", LABELS)
    assert list(short.facets) == ["group", "colour"]
    gaps = predictions_from_table(table.assign(colour=[None, *table["colour"][1:]]), "p.csv", LABELS)
    assert gaps.mask({"colour": [NOT_STATED]}).sum() == 1


def test_photos_without_a_duplicate_group_are_unique(table):
    predictions = predictions_from_table(table.assign(duplicate_group=None), "p.csv", LABELS)
    assert set(predictions.facets["duplicates"]) == {"unique"}


def wrong(table, **columns):
    return table.assign(**{name: [value, *table[name][1:]] for name, value in columns.items()})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns=["label", "Jeans"]), "lacks the column label. Its columns are id,"),
        (lambda t: t.iloc[:0], "has no rows"),
        (
            lambda t: wrong(t, label="Sockz"),
            "labels that are no class of this run: “Sockz” (line 2). The classes are Tshirts",
        ),
        (lambda t: wrong(t, label=None), "has no label in 1 of 300 rows (line 2)"),
        (lambda t: wrong(t, id=t["id"][1]), "more than one row for id"),
        (lambda t: wrong(t, Jeans=np.nan), "empty or infinite probabilities in 1 of 300 rows (line 2)"),
        (
            lambda t: wrong(t, Jeans="n/a"),
            "text where column Jeans should have a number (“n/a”) in 1 of 300 rows (line 2)",
        ),
        (lambda t: wrong(t, Jeans=-0.1), "below 0 or above 1"),
        (
            lambda t: t.assign(**{name: t[name] / 2 for name in NAMES}),
            "do not add up to 1 in 300 of 300 rows (lines 2, 3",
        ),
    ],
)
def test_a_wrong_file_is_told_what_is_wrong_and_where(table, spoil, message):
    with pytest.raises(InvalidData, match=re.escape(message)) as caught:
        predictions_from_table(spoil(table), "mine.csv", LABELS)
    assert str(caught.value).startswith("mine.csv")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\x00\x01", b"\xff\xfe\x00bad"])
@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_what_is_no_table_is_told_so(content, name):
    with pytest.raises(InvalidData, match=re.escape(name)):
        read_predictions(content, name, LABELS)


def packed(**columns: pa.Array) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, row_group_size=1 << 20)
    return file.getvalue()


def same(value: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), pa.array([value]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: packed(id=pa.array(np.zeros(MAX_ROWS + 1, np.int8))), "2,000,001 rows"),
        (lambda: packed(id=same("x" * 10_000, 200_000)), "the texts of id are 2,000,000,000 bytes"),
        (lambda: packed(id=pa.array([b"x"])), "the column id holds binary"),
        (lambda: packed(id=pa.array([[1], [2]])), "the column id holds list"),
    ],
)
def test_a_parquet_file_that_unpacks_to_gigabytes_is_refused_before_it_does(content, message):
    data = content()
    assert len(data) < 100_000
    with pytest.raises(InvalidData, match=message):
        read_predictions(data, "bomb.parquet", LABELS)


def test_a_file_of_one_class_can_be_read(table):
    only = predictions_from_table(table[table["label"] == "Jeans"], "p.csv", LABELS)
    assert set(only.true) == {LABELS.index("Jeans")}


def test_a_row_may_stray_from_1_by_rounding_only():
    two = LabelSet({"All": ("a", "b")})
    near = pd.DataFrame({"id": [1], "label": ["a"], "a": [0.995], "b": [0.0]})
    assert len(predictions_from_table(near, "p.csv", two)) == 1
    with pytest.raises(InvalidData, match="do not add up"):
        predictions_from_table(near.assign(a=0.98), "p.csv", two)


def test_a_detail_that_no_row_states_is_one_value():
    empty = prediction_table(20).assign(product=None, colour=None)
    for predictions in (
        predictions_from_table(empty, "p.csv", LABELS),
        read_predictions(empty.to_csv(index=False).encode(), "p.csv", LABELS),
    ):
        assert set(predictions.facets["colour"]) == {NOT_STATED} and set(predictions.facets["gender"]) == {"none"}


def test_a_table_in_several_chunks_is_read_whole():
    """Arrow reads large files in pieces."""
    table = prediction_table(40)
    chunked = pa.concat_tables([pa.Table.from_pandas(table.iloc[:15]), pa.Table.from_pandas(table.iloc[15:])])
    typed = chunked.to_pandas(types_mapper=pd.ArrowDtype)
    facets = predictions_from_table(typed, "p.parquet", LABELS).facets
    assert facets["colour"].value_counts().to_dict() == table["colour"].value_counts().to_dict()
    assert len(facets["gender"]) == 40


def test_a_million_rows_are_read_and_a_wrong_one_among_them_is_named():
    two = LabelSet({"All": ("a", "b")})
    share = np.linspace(0, 1, 1_000_000)
    million = pd.DataFrame({"id": np.arange(1_000_000), "label": "a", "a": share, "b": 1 - share})
    assert len(predictions_from_table(million, "p.csv", two)) == 1_000_000
    million.loc[999_999, "a"] = np.nan
    with pytest.raises(InvalidData, match=r"in 1 of 1,000,000 rows \(line 1000001\)"):
        predictions_from_table(million, "p.csv", two)
