"""A table read apart is the table read here; one that lies costs an answer and not the server."""

import io
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.artifacts import tables_apart
from core.artifacts.tables import Table, read_table
from core.artifacts.tables_apart import answer, read_table_apart
from core.confinement.pool import Confined, Ended
from core.errors import InvalidData

CSV = b"id,label,product,Shirts,Jeans\n007,Shirts,,0.25,0.75\n\n008,Jeans,caf\xc3\xa9,1,0\n"


def parquet(**columns) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


TYPES = parquet(
    id=[1, 2], label=["Shirts", None], product=pa.array(["a", "b"]).dictionary_encode(), Shirts=pa.array([0.5, None]),
    half=pa.array([0.5, 1.0], pa.float16()), small=pa.array([1, 2], pa.int8()), truth=[True, False], maybe=pa.array([True, None]),
)  # fmt: skip


def same(one: Table, other: Table) -> bool:
    return (
        one.frame.equals(other.frame)
        and list(one.frame.dtypes) == list(other.frame.dtypes)
        and np.array_equal(one.lines, other.lines)
        and (one.notes, one.unit) == (other.notes, other.unit)
    )


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (CSV, "a.csv"),
        (CSV.decode().encode("cp1252"), "a.csv"),
        (CSV.decode().encode("utf-16"), "a.csv"),
        (CSV.replace(b",", b";"), "a.csv"),
        (b"id,label\n", "a.csv"),
        (b"\xef\xbb\xbfid\tlabel\n1\tShirts\n", "a.csv"),
        (parquet(id=["1", "2"], label=["Shirts", "Jeans"], Shirts=[0.5, 1.0]), "a.parquet"),
    ],
    ids=["CSV", "Windows", "UTF-16", "semicolons", "no rows", "tabs", "Parquet"],
)
def test_a_table_is_the_same_as_read_here(data, name):
    assert same(read_table_apart(data, name), read_table(data, name))


def test_numbers_of_every_type_arrive():
    apart, here = read_table_apart(TYPES, "a.parquet"), read_table(TYPES, "a.parquet")
    assert list(apart.frame) == list(here.frame)
    for name in set(here.frame) - {"maybe"}:
        assert apart.frame[name].astype(str).tolist() == here.frame[name].astype(str).tolist(), name
    assert apart.frame["maybe"][0] == "true" and pd.isna(apart.frame["maybe"][1])


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "a.csv"),
        (b"PAR1 is all there is", "a.parquet"),
        (b"id,label\n1\n", "a.csv"),
        (b",".join(b"c%d" % number for number in range(520_000)) + b"\n1", "wide.csv"),
        (b"id,label\n" + b"1,Shirts\n" * 2_000_001, "long.csv"),
    ],
    ids=["empty", "no Parquet", "ragged", "520,000 columns", "2,000,001 rows"],
)
def test_a_refusal_is_in_the_same_words(data, name):
    with pytest.raises(InvalidData) as here:
        read_table(data, name)
    with pytest.raises(InvalidData) as apart:
        read_table_apart(data, name)
    assert str(apart.value) == str(here.value)


@pytest.fixture
def small_memory(monkeypatch) -> Iterator[None]:
    made = Confined("core.artifacts.tables_apart:answer", 2, 900 * 2**20, 60, tables_apart.LARGEST)
    monkeypatch.setattr(tables_apart, "confined", made)
    yield
    for slot in made._turns._free:
        slot._end()


def test_a_table_that_takes_more_memory_than_allowed_is_refused_and_the_next_one_read(small_memory):
    large = (
        b"id,label,"
        + b",".join(b"c%d" % n for n in range(200))
        + b"\n"
        + (b"1,Shirts" + b",0.5" * 200 + b"\n") * 120_000
    )
    with pytest.raises(InvalidData, match="takes too much memory, or is damaged"):
        read_table_apart(large, "large.csv")
    assert len(read_table_apart(CSV, "a.csv").frame) == 2


@pytest.mark.parametrize("too_slow", [True, False])
def test_one_at_which_the_process_ends_is_refused(too_slow, monkeypatch):
    def ended(*_):
        raise Ended("x", too_slow)

    monkeypatch.setattr(tables_apart, "confined", ended)
    with pytest.raises(InvalidData, match=f"takes too much {'time' if too_slow else 'memory'}"):
        read_table_apart(CSV, "a.csv")


def lie(**changes) -> tuple[dict, bytes]:
    told, data = answer({"name": "a.csv"}, CSV)
    return told | changes, data


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 3},
        {"rows": -1},
        {"rows": 10**9},
        {"rows": "2"},
        {"columns": []},
        {"columns": [{"name": "id", "kind": "text", "sizes": [24, 5, 0]}]},
        {"columns": [{"name": "id", "kind": "text", "sizes": [24, 0, 1]}]},
        {"columns": [{"name": "id", "kind": "text", "sizes": [1, 2]}]},
        {"columns": [{"name": "id", "kind": "O", "sizes": [16]}]},
        {"columns": [{"name": "id", "kind": "f8", "sizes": [-8]}]},
        {"columns": [{}]},
        {"columns": None},
        {"notes": None},
    ],
)
def test_a_process_that_lies_about_its_table_is_not_believed(changes, monkeypatch):
    told, data = lie(**changes)
    monkeypatch.setattr(tables_apart, "confined", lambda *_: (told, bytearray(data)))
    with pytest.raises(InvalidData, match="it is damaged"):
        read_table_apart(CSV, "a.csv")


def test_text_that_is_no_text_is_not_believed(monkeypatch):
    told, data = lie()
    monkeypatch.setattr(tables_apart, "confined", lambda *_: (told, bytearray(data.replace(b"Shirts", b"\xff" * 6))))
    with pytest.raises(InvalidData, match="it is damaged"):
        read_table_apart(CSV, "a.csv")


def test_missing_text_stays_missing():
    frame = read_table_apart(CSV, "a.csv").frame
    assert pd.isna(frame["product"][0]) and frame["product"][1] == "café" and frame["id"][0] == "007"
