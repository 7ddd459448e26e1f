"""Write records of a bulk classification as CSV or Parquet, row by row, the file taking its name only when it is whole."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.bulk.pipeline import RECORD_FIELDS
from core.files import replaced
from core.images.decode import spreadsheet_name

ROWS_AT_ONCE = 4096
KINDS = {
    "probability": pa.float64(), "in_scope": pa.bool_(), "in_scope_score": pa.float64(), "looks_like_probability": pa.float64(),
    "width": pa.int32(), "height": pa.int32(), "milliseconds": pa.float64(),
}  # fmt: skip
SCHEMA = pa.schema([(name, KINDS.get(name, pa.string())) for name in RECORD_FIELDS])

Record = dict[str, Any]


def save_csv(path: Path, records: Iterable[Record]) -> None:
    """One row a record; `top_k` as JSON, texts in quotes, one that a spreadsheet would run with an apostrophe before it. Raises OSError."""
    with replaced(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list[str](RECORD_FIELDS), quoting=csv.QUOTE_NONNUMERIC)
        writer.writeheader()
        writer.writerows(map(_harmless, map(_row, records)))


def save_parquet(path: Path, records: Iterable[Record]) -> None:
    """The columns of the CSV, with types. Raises OSError."""
    waiting = iter(records)
    with replaced(path) as partial, pq.ParquetWriter(partial, SCHEMA) as writer:
        while chunk := list(itertools.islice(waiting, ROWS_AT_ONCE)):
            writer.write_table(table_of(chunk))


def table_of(records: Iterable[Record]) -> pa.Table:
    """Records as a table with SCHEMA."""
    return pa.Table.from_pylist([*map(_row, records)], SCHEMA)


def _row(record: Record) -> Record:
    return record | {"top_k": json.dumps(record["top_k"])}


def _harmless(row: Record) -> Record:
    return row | {column: spreadsheet_name(row[column]) for column in ("file", "error")}
