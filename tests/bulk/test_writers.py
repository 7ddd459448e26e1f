"""Files of records: what was put in comes out again, whatever a photo is called."""

import csv
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from core.bulk.writers import save_csv, save_parquet
from core.images.decode import spreadsheet_name

WORDS = st.text(
    st.characters(exclude_categories=["Cs"]), max_size=40
)  # no half of a surrogate pair: no file of UTF-8 can hold one
SHARES = st.floats(0, 1)
SIDES = st.integers(1, 100_000)
RECORD = st.fixed_dictionaries(
    {
        "file": WORDS,
        "label": WORDS,
        "probability": SHARES,
        "group": WORDS,
        "in_scope": st.booleans(),
        "in_scope_score": st.floats(-1e6, 1e6),
        "top_k": st.dictionaries(WORDS, SHARES, max_size=3),
        "looks_like": WORDS,
        "looks_like_probability": SHARES,
        "colour": WORDS,
        "pattern": WORDS,
        "collar": WORDS,
        "section": WORDS,
        "width": SIDES,
        "height": SIDES,
        "milliseconds": st.floats(0, 1e6),
        "error": WORDS,
    }
)


@given(st.lists(RECORD, max_size=4))
def test_a_csv_gives_back_every_record(records):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out.csv"
        save_csv(path, records)
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    escaped = [record | {name: spreadsheet_name(record[name]) for name in ("file", "error")} for record in records]
    assert [row | {"top_k": json.loads(row["top_k"])} for row in rows] == [
        {name: value if name == "top_k" else str(value) for name, value in record.items()} for record in escaped
    ]
    assert [float(row["probability"]) for row in rows] == [record["probability"] for record in records]


@given(st.lists(RECORD, max_size=4))
def test_parquet_gives_back_every_record_with_its_types(records):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out.parquet"
        save_parquet(path, records)
        rows = pq.read_table(path).to_pylist()
    assert [row | {"top_k": json.loads(row["top_k"])} for row in rows] == records


def test_no_text_of_a_csv_is_run_by_a_spreadsheet_however_it_separates_columns(tmp_path):
    names = ['=HYPERLINK("http://x").jpg', "x;=1+2;.jpg", "+1.jpg", "plain.jpg"]
    numbers = ("label", "probability", "group", "in_scope", "in_scope_score", "width", "height", "milliseconds")
    save_csv(
        tmp_path / "out.csv", [dict.fromkeys(numbers) | {"file": name, "top_k": {}, "error": name} for name in names]
    )
    rows = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [row.split(",")[0] for row in rows][1:] == ['"x;=1+2;.jpg"', '"\'+1.jpg"', '"plain.jpg"']
    assert rows[0].startswith("\"'=HYPERLINK(")
