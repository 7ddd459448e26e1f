"""Files of records: what was put in comes out again, whatever a photo is called."""

import csv
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from core.bulk.writers import save_csv, save_parquet

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
    assert [row | {"top_k": json.loads(row["top_k"])} for row in rows] == [
        {name: value if name == "top_k" else str(value) for name, value in record.items()} for record in records
    ]
    assert [float(row["probability"]) for row in rows] == [record["probability"] for record in records]


@given(st.lists(RECORD, max_size=4))
def test_parquet_gives_back_every_record_with_its_types(records):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out.parquet"
        save_parquet(path, records)
        rows = pq.read_table(path).to_pylist()
    assert [row | {"top_k": json.loads(row["top_k"])} for row in rows] == records
