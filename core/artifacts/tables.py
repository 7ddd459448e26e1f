"""Tables as people have them, CSV in any common dialect or Parquet, brought into one form: text, numbers and true line numbers."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from core.artifacts.facets import DETAILS
from core.errors import InvalidData

NAMES = ("id", "label", "prediction", "predicted")  # text even where the file has numbers
TEXT_COLUMNS = (*NAMES, "allowed", *DETAILS)
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
SAMPLED_ROWS = 100  # that tell numbers from text
MAX_ROWS = 2_000_000
MAX_COLUMNS = 1_000
MAX_UNPACKED = 1 << 30  # bytes of a Parquet file's columns, and of a column's texts written out
EXAMPLES = 5
SEP_LINE = re.compile(rb'\A"?sep=(.)"?\r?\n', re.IGNORECASE)
NUMBER = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?|nan|inf|NaN|NA|null", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")
WHOLE_WITH_POINT = r"^[0-9]+\.0+$"


class Table(NamedTuple):
    """A table that was read.

    Args:
        frame: columns by their names without spaces around them. Of `NAMES` and where there are words, values are text without
            spaces around it, missing where empty; other columns are numbers.
        lines: int (n,), the file's line on which each row begins; of Parquet, the row's number.
        notes: what had to be understood, in sentences for whoever brought the file.
        unit: what `lines` are, "line" or "row".
    """

    frame: pd.DataFrame
    lines: np.ndarray
    notes: tuple[str, ...] = ()
    unit: str = "line"

    @classmethod
    def of_frame(cls, frame: pd.DataFrame) -> Table:
        """A table made in memory: lines are counted as in a CSV file of it, the header being line 1."""
        named = [name for name in TEXT_COLUMNS if name in frame]
        textual = [name for name in named if name in NAMES or not pd.api.types.is_numeric_dtype(frame[name])]
        text = {name: _text(pa.array(frame[name], from_pandas=True)) for name in textual}
        return cls(frame.reset_index(drop=True).assign(**_as_pandas(text)), np.arange(2, len(frame) + 2))


def read_table(data: bytes, name: str) -> Table:
    """Read a CSV or Parquet file.

    CSV may be UTF-8, UTF-16 or Windows-1252; separated by commas, semicolons, tabs or vertical bars; with decimal commas, a line `sep=`,
    blank lines, and line breaks in quotes.

    Args:
        data: the file.
        name: its name, for messages and for its format.

    Raises:
        InvalidData: it is no such file; the message says what is wrong and, of a CSV file, in which line.
    """
    try:
        return _parquet(data) if name.lower().endswith(".parquet") else _csv(data)
    except (ValueError, OSError, MemoryError, csv.Error, pa.ArrowException) as error:
        raise InvalidData(f"{name} cannot be read as a table: {_sentence(error)}") from None


def _sentence(error: Exception) -> str:
    text = str(error).strip().rstrip(".")[:300] or "it takes too much memory"
    return f"{text}. Give a CSV file in UTF-8 with a header line, or a Parquet file."


def listed(values: Sequence[object]) -> str:
    """The first few values, and how many more there are."""
    shown = ", ".join(str(value)[:60] for value in values[:EXAMPLES])
    more = len(values) - EXAMPLES
    return f"{shown} and {more:,} more" if more > 0 else shown


def _csv(data: bytes) -> Table:
    content, notes = _as_utf8(data)
    content, separator, skipped = _without_sep_line(content)
    header, separator, lines_before = _header(content, separator)
    body = _after_lines(content, lines_before)
    first_line = skipped + lines_before + 1
    if body.count(b"\n") > MAX_ROWS:
        raise ValueError(f"it has more than {MAX_ROWS:,} lines")
    sample = list(itertools.islice(_records(body[: 1 << 20], separator), SAMPLED_ROWS))
    decimal_comma = separator != "," and _has_decimal_commas(header, sample)
    if separator != ",":
        comma = ", and numbers have decimal commas" if decimal_comma else ""
        notes.append(f"Columns are separated by {SEPARATORS.get(separator, repr(separator))}{comma}.")
    table = _parsed(body, separator, header, sample, decimal_comma, first_line)
    lines = _line_numbers(body, separator, table.num_rows, first_line)
    return _finished(table, header, lines, notes)


def _as_utf8(data: bytes) -> tuple[bytes, list[str]]:
    """The text in UTF-8 with line ends of one kind, and how it was encoded if not so."""
    notes: list[str] = []
    data = data.removeprefix(codecs.BOM_UTF8)
    if encoding := UTF_16.get(data[:2]):
        data = data[2:].decode(encoding).encode()
        notes.append("The file is in UTF-16.")
    if data.startswith(b"PK\x03\x04"):
        raise ValueError("it is an Excel workbook or a zip file. Save the sheet as CSV UTF-8")
    if b"\0" in data[: 1 << 16]:
        raise ValueError("it is not a text file")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        data = _from_windows_1252(data, line)
        notes.append(f"Line {line} is not in UTF-8, so the file was read as Windows-1252, as Excel saves “CSV”.")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data.strip():
        raise ValueError("it is empty")
    return data, notes


def _from_windows_1252(data: bytes, line: int) -> bytes:
    try:
        return data.decode("cp1252").encode()
    except UnicodeDecodeError:
        raise ValueError(f"line {line} is neither in UTF-8 nor in Windows-1252") from None


def _without_sep_line(content: bytes) -> tuple[bytes, str | None, int]:
    """The content after Excel's `sep=` line, the separator that it names, and the number of lines taken off."""
    if match := SEP_LINE.match(content):
        return content[match.end() :], match[1].decode(), 1
    return content, None, 0


def _header(content: bytes, separator: str | None) -> tuple[list[str], str, int]:
    """Column names, the separator, and on how many lines they stand, blank lines before them included."""
    first = next((line for line in content.split(b"\n") if line.strip()), b"").decode()
    if max(first.count(candidate) for candidate in SEPARATORS) >= MAX_COLUMNS:
        raise ValueError(f"its header names more than {MAX_COLUMNS:,} columns")
    candidates = [separator] if separator else list(SEPARATORS)

    def likely(candidate: str) -> tuple[int, int]:
        names = [_clean(name).casefold() for name in next(csv.reader([first], delimiter=candidate), [])]
        return len({"id", "label"} & set(names)), len(names)

    separator = max(candidates, key=likely)
    reader = csv.reader(_lines(content), delimiter=separator)
    record = next((record for record in reader if any(map(str.strip, record))), None)
    if record is None:
        raise ValueError("it names no column")
    return _column_names(record), separator, reader.line_num


def _column_names(given: Sequence[str]) -> list[str]:
    """Names without spaces around them, those of TEXT_COLUMNS in lower case. Raises ValueError if one is there twice."""
    cleaned = [_clean(name) for name in given]
    names = [name.casefold() if name.casefold() in TEXT_COLUMNS else name for name in cleaned]
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise ValueError(f"there is more than one column called {listed(repeated)}. Keep one of each")
    return names


def _clean(name: str) -> str:
    return name.strip().strip("\ufeff").strip()


def _lines(content: bytes) -> Iterator[str]:
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="\n")


def _after_lines(content: bytes, lines: int) -> bytes:
    """What stands after so many lines."""
    end = 0
    for _ in range(lines):
        end = content.find(b"\n", end) + 1 or len(content)
    return content[end:]


def _records(body: bytes, separator: str) -> Iterator[list[str]]:
    return (record for _, record in _numbered_records(body, separator, 1))


def _numbered_records(body: bytes, separator: str, first_line: int) -> Iterator[tuple[int, list[str]]]:
    """Records that are not blank, each with the line on which it begins."""
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(body), "utf-8", "ignore", newline="\n"), delimiter=separator)
    line = first_line
    for record in reader:
        if record:
            yield line, record
        line = first_line + reader.line_num


def _has_decimal_commas(header: Sequence[str], sample: Sequence[Sequence[str]]) -> bool:
    return any(
        DECIMAL_COMMA.fullmatch(value.strip())
        for record in sample
        for name, value in zip(header, record, strict=False)
        if name not in TEXT_COLUMNS
    )


def _parsed(
    body: bytes,
    separator: str,
    header: Sequence[str],
    sample: Sequence[Sequence[str]],
    decimal_comma: bool,
    first_line: int,
) -> pa.Table:
    """The columns by position, "0" and so on: numbers where the sample has numbers and all others are numbers too, else text."""
    numeric = [i for i, name in enumerate(header) if name not in TEXT_COLUMNS and _is_numeric(sample, i)]
    try:
        return _read(body, separator, len(header), numeric, decimal_comma)
    except pa.ArrowInvalid as error:
        _refuse_ragged(body, separator, len(header), first_line)
        if not numeric:
            raise ValueError(error) from None
    table = _read(body, separator, len(header), (), decimal_comma)
    for i in numeric if decimal_comma else ():
        table = table.set_column(i, str(i), pc.call_function("replace_substring", [table[i]], _comma_to_point()))
    return table


def _comma_to_point() -> pc.FunctionOptions:
    return pc.ReplaceSubstringOptions(",", ".")


def _is_numeric(sample: Sequence[Sequence[str]], column: int) -> bool:
    values = [record[column].strip() for record in sample if len(record) > column and record[column].strip()]
    return bool(values) and sum(bool(NUMBER.fullmatch(value)) for value in values) > len(values) / 2


def _read(body: bytes, separator: str, columns: int, numeric: Collection[int], decimal_comma: bool) -> pa.Table:
    types = {str(i): pa.float64() if i in numeric else pa.string() for i in range(columns)}
    if not body.strip():
        return pa.schema(types).empty_table()
    return pyarrow.csv.read_csv(
        pa.BufferReader(body),
        pyarrow.csv.ReadOptions(column_names=list(types), block_size=1 << 24),
        pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=b'"' in body),
        pyarrow.csv.ConvertOptions(column_types=types, decimal_point="," if decimal_comma else "."),
    )


def _refuse_ragged(body: bytes, separator: str, columns: int, first_line: int) -> None:
    """Raise ValueError if any row has another number of values than the header."""
    wrong = (
        (line, len(record)) for line, record in _numbered_records(body, separator, first_line) if len(record) != columns
    )
    found = list(itertools.islice(wrong, EXAMPLES + 1))
    if found:
        shown = ", ".join(f"line {line} has {values}" for line, values in found[:EXAMPLES])
        more = ", and more lines" if len(found) > EXAMPLES else ""
        raise ValueError(
            f"the header names {columns} columns, {shown}{more} (a quotation mark that is not closed joins lines)"
        )


def _line_numbers(body: bytes, separator: str, rows: int, first_line: int) -> np.ndarray:
    """The line on which each row begins, int (n,)."""
    if body.count(b"\n") + (not body.endswith(b"\n")) == rows:
        return np.arange(first_line, first_line + rows)
    lines = [line for line, _ in _numbered_records(body, separator, first_line)]
    return np.array(lines[:rows]) if len(lines) >= rows else np.arange(first_line, first_line + rows)


def _finished(table: pa.Table, header: Sequence[str], lines: np.ndarray, notes: list[str]) -> Table:
    """The table without columns that have no name and rows that have no value."""
    named = [(i, name) for i, name in enumerate(header) if name]
    columns = {name: _text(table[i]) if pa.types.is_string(table[i].type) else table[i] for i, name in named}
    if "id" in columns:
        columns["id"] = _without_point(columns["id"], notes)
    frame = pd.DataFrame(_as_pandas(columns))
    empty = frame.isna().all(axis=1).to_numpy() if len(frame) and frame.iloc[:, 0].isna().any() else None
    if empty is not None and empty.any():
        frame, lines = pd.DataFrame(frame[~empty]).reset_index(drop=True), lines[~empty]
    return Table(frame, lines, tuple(notes))


def _text(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Strings in one piece without spaces around them, null where empty; whole numbers without a point."""
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if isinstance(values, pa.DictionaryArray):
        return _text(values.dictionary).take(values.indices)
    if pa.types.is_integer(values.type):
        return values.cast(pa.string())
    if pa.types.is_floating(values.type):
        known = pc.call_function("drop_null", [values])
        if known.equals(pc.call_function("floor", [known])):
            return values.cast(pa.int64()).cast(pa.string())
    trimmed = pc.call_function("utf8_trim_whitespace", [values.cast(pa.string())])
    return pc.call_function("if_else", [pc.call_function("equal", [trimmed, ""]), None, trimmed])


def _without_point(ids: pa.Array, notes: list[str]) -> pa.Array:
    """Ids that were all saved as decimal numbers (2986.0) as the whole numbers that they were."""
    as_decimal = pc.call_function("match_substring_regex", [ids], pc.MatchSubstringOptions(WHOLE_WITH_POINT))
    if not len(ids) or not pc.call_function("all", [as_decimal]).as_py():
        return ids
    notes.append(f"Ids are written as decimal numbers ({ids[0]}); the part after the point was dropped.")
    return pc.call_function("replace_substring_regex", [ids], pc.ReplaceSubstringOptions(r"\.0+$", ""))


def _as_pandas(columns: dict[str, pa.Array | pa.ChunkedArray]) -> dict[str, pd.Series]:
    return {name: pd.Series(values.to_pandas()) for name, values in columns.items()}


def _parquet(data: bytes) -> Table:
    """Repetition packs gigabytes into kilobytes, so what a Parquet file would unpack to is looked at first.

    Raises:
        ValueError: it would unpack to more than is accepted, or a column that is needed holds neither text nor numbers.
    """
    with pq.ParquetFile(pa.BufferReader(data)) as parquet:
        rows, groups = parquet.metadata.num_rows, range(parquet.metadata.num_row_groups)
        unpacked = sum(parquet.metadata.row_group(group).total_byte_size for group in groups)
        if rows < 0 or unpacked < 0:
            raise ValueError(f"it is damaged, since its footer speaks of {rows:,} rows of {unpacked:,} bytes")
        if rows > MAX_ROWS or unpacked > MAX_UNPACKED:
            raise ValueError(
                f"it has {rows:,} rows of {unpacked:,} bytes; at most {MAX_ROWS:,} of {MAX_UNPACKED:,} are accepted"
            )
        if len(parquet.schema_arrow) > MAX_COLUMNS:
            raise ValueError(f"it has more than {MAX_COLUMNS:,} columns")
        fields = [field for field in parquet.schema_arrow if _is_usable(field)]
    texts = [field.name for field in fields if _is_text(field.type)]
    names = [field.name for field in fields]
    header = _column_names(names)
    table = pq.read_table(pa.BufferReader(data), columns=names, read_dictionary=texts)
    for name in texts:
        written_out = sum(_written_out(chunk) for chunk in table[name].chunks)
        if written_out > MAX_UNPACKED:
            raise ValueError(f"the texts of {name} are {written_out:,} bytes; at most {MAX_UNPACKED:,} are accepted")
    plain = [table[name].cast(pa.string()) if name in texts else _plain(table[name], name) for name in names]
    whole = pa.table({str(i): column for i, column in enumerate(plain)})
    return _finished(whole, header, np.arange(1, rows + 1), [])._replace(unit="row")


def _plain(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A column of numbers, as text if it holds names."""
    return pa.chunked_array([_text(column)]) if name.strip().casefold() in NAMES else column


def _is_usable(field: pa.Field) -> bool:
    """Whether a column holds text or numbers. Raises ValueError if one that is needed does not."""
    usable = _is_text(field.type) or pa.types.is_primitive(field.type) or pa.types.is_null(field.type)
    if not usable and field.name.strip().casefold() in TEXT_COLUMNS:
        raise ValueError(f"the column {field.name} holds {field.type}")
    return usable


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if isinstance(kind, pa.DictionaryType) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _written_out(texts: pa.DictionaryArray) -> int:
    """Bytes of the texts, each as often as it stands there."""
    lengths = pc.call_function("binary_length", [texts.dictionary]).take(texts.indices)
    return pc.call_function("sum", [lengths.cast(pa.int64())]).as_py() or 0
