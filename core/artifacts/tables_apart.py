"""Read strangers' tables outside the server, each in a process of its own that the kernel confines (`core.confinement`).

What a table says of itself may be a lie: kilobytes that unpack to gigabytes, or numbers at which a reader fails. The process has limited
memory and time; the table comes back as plain bytes of its columns, which are checked before they are used.
"""

from __future__ import annotations

import codecs
import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.artifacts.tables import MAX_COLUMNS, MAX_ROWS, Table, read_table
from core.confinement.pool import Confined, Ended
from core.errors import InvalidData

PROCESSES = 2
MEMORY = 3 * 2**30  # bytes of addresses, libraries included
SECONDS = 60  # of processor time
LARGEST = 640 * 2**20  # bytes that a table's columns may have
NUMBERS = (
    "f8",
    "f4",
    "f2",
    "i8",
    "i4",
    "i2",
    "i1",
    "u8",
    "u4",
    "u2",
    "u1",
    "b1",
)  # NumPy's kinds of columns, little-endian
for encoding in ("cp1252", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
    codecs.lookup(encoding)  # nothing can be imported once a process is confined
confined = Confined("core.artifacts.tables_apart:answer", PROCESSES, MEMORY, SECONDS, LARGEST)


def start() -> None:
    """Let the processes start, so that they are ready when the first table comes."""
    confined.start()


def read_table_apart(data: bytes, name: str, visitor: str = "") -> Table:
    """`core.artifacts.tables.read_table` in another process.

    Args:
        data: as for read_table.
        name: as for read_table.
        visitor: whose table it is; visitors who take little come before those who take much.

    Raises:
        InvalidData: as read_table, and for a table that takes too much time or memory.
        Unconfined: the processes cannot be confined as the setting requires.
    """
    try:
        told, columns = confined({"name": name}, data, visitor)
        if "refused" in told:
            raise InvalidData(str(told["refused"]))
        return _unpacked(told, columns)
    except Ended as error:
        raise InvalidData(_too_much(name, "time" if error.too_slow else "memory")) from error
    except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise InvalidData(f"{name} cannot be read as a table: it is damaged.") from error


def _too_much(name: str, of: str) -> str:
    return f"{name} cannot be read as a table: it takes too much {of}, or is damaged. Give a smaller one."


def answer(asked: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """What a confined process does: read one table."""
    pa.enable_signal_handlers(False)  # which Arrow wants a pipe for
    try:
        table = read_table(data, str(asked["name"]))
    except InvalidData as error:
        too_large = isinstance(error.__context__, MemoryError)
        return {"refused": _too_much(str(asked["name"]), "memory") if too_large else str(error)}, b""
    columns, pieces = list[dict[str, Any]](), list[bytes]()
    for name, series in table.frame.items():
        column, parts = _packed(pd.Series(series))
        columns.append(column | {"name": str(name)})
        pieces += parts
    pieces.append(table.lines.astype("<i8").tobytes())
    if sum(map(len, pieces)) > LARGEST:
        return {"refused": f"{asked['name']} has more than {LARGEST >> 20} MB of values. Give a smaller table."}, b""
    told = {"columns": columns, "rows": len(table.frame), "notes": table.notes, "unit": table.unit}
    return told, b"".join(pieces)


def _packed(series: pd.Series) -> tuple[dict[str, Any], list[bytes]]:
    kind = np.dtype(series.dtype).newbyteorder("<").str[1:] if isinstance(series.dtype, np.dtype) else ""
    if kind in NUMBERS:
        piece = series.to_numpy().astype(f"<{kind}").tobytes()
        return {"kind": kind, "sizes": [len(piece)]}, [piece]
    texts = pa.array(series, from_pandas=True).cast(pa.large_string())  # what is neither text nor a number too
    if isinstance(texts, pa.ChunkedArray):
        texts = pa.concat_arrays(texts.chunks)
    known = texts.is_valid().to_numpy(zero_copy_only=False)
    filled = texts.fill_null("")
    offsets = np.frombuffer(filled.buffers()[1], np.int64)[filled.offset : filled.offset + len(filled) + 1]
    content = (filled.buffers()[2] or b"")[int(offsets[0]) : int(offsets[-1])]
    pieces = [(offsets - offsets[0]).tobytes(), bytes(content), np.packbits(known, bitorder="little").tobytes()]
    return {"kind": "text", "sizes": [len(piece) for piece in pieces]}, pieces


def _unpacked(told: dict[str, Any], data: bytearray) -> Table:
    """The table that a process says it read. Raises ValueError, KeyError, TypeError or an ArrowException if that makes no sense."""
    rows, columns = told["rows"], told["columns"]
    if not (isinstance(rows, int) and 0 <= rows <= MAX_ROWS and len(columns) <= MAX_COLUMNS):
        raise ValueError(f"{rows} rows of {len(columns)} columns")
    view, frame = memoryview(bytes(data)), dict[str, Any]()
    for column in columns:
        pieces = []
        for size in column["sizes"]:
            pieces.append(view[: int(size)])
            view = view[int(size) :]
        frame[str(column["name"])] = _column(str(column["kind"]), pieces, rows)
    lines = np.frombuffer(view, "<i8")
    if len(lines) != rows:
        raise ValueError(f"{len(lines)} lines of {rows} rows")
    notes = tuple(str(note) for note in told["notes"])
    return Table(
        pd.DataFrame(frame, index=pd.RangeIndex(rows)), lines, notes, "row" if told["unit"] == "row" else "line"
    )


def _column(kind: str, pieces: list[memoryview], rows: int) -> Any:
    if kind != "text":
        if kind not in NUMBERS:
            raise ValueError(f"values of the kind {kind}")
        values = np.frombuffer(pieces[0], f"<{kind}")
        if len(values) != rows:
            raise ValueError(f"{len(values)} values of {rows} rows")
        return values
    offsets, content, known = pieces
    if len(offsets) != 8 * (rows + 1) or len(known) != -(-rows // 8):
        raise ValueError("texts of other rows")
    buffers = [pa.py_buffer(part) for part in (known, offsets, content)]
    texts = pa.Array.from_buffers(pa.large_string(), rows, buffers)
    texts.validate(full=True)
    return texts.cast(pa.string()).to_pandas()


def _example() -> bytes:
    """A table as Parquet."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": ["1"], "label": ["Shirts"], "Shirts": [1.0]}), buffer)
    return buffer.getvalue()


EXAMPLES = (  # what a process reads before a table comes
    ({"name": "a.csv"}, b"id;label;Shirts\n1;Shirts;0,9\n"),
    ({"name": "a.csv"}, b"id,label\n1\n"),
    ({"name": "a.parquet"}, _example()),
)
