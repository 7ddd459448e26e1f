"""Predictions of a labelled test set: read, validate and filter them.

Rows are kept most confident first, so a filtered list is in its order already and a risk-coverage curve needs no sorting.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import ArrayLike

from core.artifacts.labels import LabelSet
from core.artifacts.run import Run
from core.errors import InvalidData

DETAILS = ("product", "colour", "usage", "duplicate_group")  # may be absent; whatever needs them is then left out
SUFFIXES = (".parquet", ".csv")
GENDER_WORD = r"\b(?P<word>Men|Women|Boys|Girls|Unisex)\b"
NOT_STATED = "not stated"
SUM_TOLERANCE = 0.01  # a row of probabilities adds up to 1, but for rounding in the file
EXAMPLES = 5
MAX_ROWS = 5_000_000
MAX_UNPACKED = 1 << 30  # bytes of a Parquet file's columns, and of a column's texts written out


@dataclass(frozen=True)
class Predictions:
    """What a network said about each photo of a test set, most confident first. Read-only, shared between visitors.

    Args:
        labels: the classes, in the order of the columns of `probabilities`.
        table: columns id and those of `DETAILS` that the file has, n rows.
        probabilities: float (n, n_classes), calibrated.
        true: int (n,), index of the true class.
    """

    labels: LabelSet
    table: pd.DataFrame
    probabilities: np.ndarray
    true: np.ndarray

    def __len__(self) -> int:
        return len(self.true)

    @cached_property
    def predicted(self) -> np.ndarray:
        """Index of the most probable class, int (n,); of equal ones the first."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def confidence(self) -> np.ndarray:
        """Probability of the predicted class, float (n,), falling."""
        return self.probabilities.max(axis=1)

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether each prediction is right, bool (n,)."""
        return self.true == self.predicted

    @cached_property
    def true_rank(self) -> np.ndarray:
        """How many classes come before the true one, int (n,): 0 where the prediction is right."""
        return true_class_rank(self.probabilities, self.true)

    @cached_property
    def facets(self) -> dict[str, pd.Categorical]:
        """What rows can be filtered by, name to one value a row: group and, where the file has them, colour, usage and so on."""
        facets = {"group": self._groups()}
        for column in ("colour", "usage"):
            if column in self.table:
                facets[column] = _categorical(self.table[column])
        if "product" in self.table:
            facets["gender"] = _gender_words(self.table["product"])
        if "duplicate_group" in self.table:
            facets["duplicates"] = _duplicate_status(self.table["duplicate_group"])
        return facets

    def _groups(self) -> pd.Categorical:
        groups = list(self.labels.groups)
        of_class = np.array([groups.index(self.labels.group_of(name)) for name in self.labels.names])
        return pd.Categorical.from_codes(of_class[self.true], groups)

    def mask(self, chosen: Mapping[str, Collection[str]], confidence: tuple[float, float] = (0, 1)) -> np.ndarray:
        """Rows that pass every filter, bool (n,).

        Args:
            chosen: facet name to the values to keep; no values keep every row.
            confidence: lowest and highest confidence to keep, both included.
        """
        keep = (self.confidence >= confidence[0]) & (self.confidence <= confidence[1])
        for name, values in chosen.items():
            if values:
                facet = self.facets[name]
                keep &= np.isin(facet.codes, facet.categories.get_indexer(list(values)))
        return keep


def _categorical(values: ArrayLike) -> pd.Categorical:
    return _sorted_categories(_texts(values).fill_null(NOT_STATED))


def _gender_words(products: ArrayLike) -> pd.Categorical:
    """The first word of a product's name that says whom it is for, or "none"."""
    words = pc.call_function("extract_regex", [_texts(products)], pc.ExtractRegexOptions(GENDER_WORD)).flatten()[0]
    return _sorted_categories(words.fill_null("none"))


def _texts(values: ArrayLike) -> pa.StringArray:
    """Arrow strings in one piece, null where a value is missing."""
    texts = pa.array(pd.Series(values).astype("str"), pa.string(), from_pandas=True)
    return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts


def _sorted_categories(texts: pa.StringArray) -> pd.Categorical:
    encoded = texts.dictionary_encode()
    categorical = pd.Categorical.from_codes(encoded.indices.to_numpy(), encoded.dictionary.to_pylist())
    return categorical.reorder_categories(sorted(categorical.categories))


def _duplicate_status(groups: ArrayLike) -> pd.Categorical:
    """Whether another photo of the file belongs to the same group of near-duplicates."""
    codes, _ = pd.factorize(np.asarray(groups))
    size = np.bincount(codes[codes >= 0], minlength=1)
    shared = (codes >= 0) & (size[codes] > 1)
    return pd.Categorical.from_codes(shared.astype(int), ["unique", "near-duplicate"])


def prediction_file(run: Run, stem: str = "predictions") -> str | None:
    """Name of a run's file of predictions, the columnar one where there are both; None if there is none."""
    names = [stem + suffix for suffix in SUFFIXES if run.has(stem + suffix)]
    return names[0] if names else None


def stage_files(run: Run) -> dict[int, str]:
    """Files of validation predictions, by the number of the stage after which they were made."""
    stages = {}
    for name in run.facts.files:
        if match := re.fullmatch(r"(validation_stage(\d+))\.(csv|parquet)", name):
            stages[int(match[2])] = prediction_file(run, match[1])
    return dict(sorted(stages.items()))


def read_predictions(source: Path | bytes, name: str, labels: LabelSet) -> Predictions:
    """Read a file of predictions in the format of `predictions.csv` (docs/architecture.md), as CSV or as Parquet.

    Args:
        source: path or content of the file.
        name: its name, for messages and for its format.
        labels: the classes it must have a column of probabilities for.

    Raises:
        InvalidData: it is no such file; the message says what is wrong and in which row.
    """
    file = BytesIO(source) if isinstance(source, bytes) else source
    try:
        columns = ("id", "label", *labels.names, *DETAILS)
        table = _parquet(file, columns) if name.lower().endswith(".parquet") else pd.read_csv(file, engine="pyarrow")
    except (ValueError, OSError, pa.ArrowException) as error:
        raise InvalidData(
            f"{name} is not a readable table ({error}). Give a CSV file in UTF-8 with a header line, or a Parquet file."
        ) from None
    return predictions_from_table(table, name, labels)


def _parquet(file: Path | BytesIO, columns: Collection[str]) -> pd.DataFrame:
    """Some columns of a Parquet file; repetition packs gigabytes into kilobytes, so what it would unpack to is looked at first.

    Raises:
        ValueError: it would unpack to more than is accepted, or a column is there twice or holds neither texts nor numbers.
    """
    with pq.ParquetFile(file) as parquet:
        rows, groups = parquet.metadata.num_rows, range(parquet.metadata.num_row_groups)
        unpacked = sum(parquet.metadata.row_group(group).total_byte_size for group in groups)
        if rows > MAX_ROWS or unpacked > MAX_UNPACKED:
            raise ValueError(
                f"{rows:,} rows of {unpacked:,} bytes; at most {MAX_ROWS:,} of {MAX_UNPACKED:,} are accepted"
            )
        fields = [field for field in parquet.schema_arrow if field.name in columns]
    texts = [field.name for field in fields if _is_text(field.type)]
    for field in fields:
        if not (field.name in texts or pa.types.is_primitive(field.type) or pa.types.is_null(field.type)):
            raise ValueError(f"the column {field.name} holds {field.type}")
    if len(set(names := [field.name for field in fields])) < len(names):
        raise ValueError("there is more than one column of a name")
    if isinstance(file, BytesIO):
        file.seek(0)
    table = pq.read_table(file, columns=names, read_dictionary=texts)
    for name in texts:
        written_out = sum(_written_out(chunk) for chunk in table[name].chunks)
        if written_out > MAX_UNPACKED:
            raise ValueError(f"the texts of {name} are {written_out:,} bytes; at most {MAX_UNPACKED:,} are accepted")
    return pa.table(
        {name: table[name].cast(pa.string()) if name in texts else table[name] for name in names}
    ).to_pandas()


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if isinstance(kind, pa.DictionaryType) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _written_out(texts: pa.DictionaryArray) -> int:
    """Bytes of the texts, each as often as it stands there."""
    lengths = pc.call_function("binary_length", [texts.dictionary]).take(texts.indices)
    return pc.call_function("sum", [lengths.cast(pa.int64())]).as_py() or 0


def predictions_from_table(table: pd.DataFrame, name: str, labels: LabelSet) -> Predictions:
    """Validate a table of predictions and bring it into order; arguments and errors as for `read_predictions`."""
    _check_columns(table, name, labels)
    _check_ids(table, name)
    true = _true_classes(table, name, labels)
    probabilities = _checked_probabilities(table, name, labels)
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    kept = table[["id", *(column for column in DETAILS if column in table)]].iloc[order].reset_index(drop=True)
    return Predictions(labels, kept, probabilities[order], true[order])


def _check_columns(table: pd.DataFrame, name: str, labels: LabelSet) -> None:
    missing = [column for column in ("id", "label", *labels.names) if column not in table]
    if missing:
        raise InvalidData(
            f"{name} lacks {_listed(missing)}. It needs the columns id and label, and one of probabilities for each class."
        )
    repeated = list(table.columns[table.columns.duplicated()])
    if repeated:
        raise InvalidData(f"{name} has more than one column called {_listed(repeated)}. Keep one of each.")
    if table.empty:
        raise InvalidData(f"{name} has no rows, so there is nothing to show. Give at least one labelled photo.")


def _check_ids(table: pd.DataFrame, name: str) -> None:
    _refuse(pd.isna(table["id"]), f"{name} has no id")
    ids = pd.Index(table["id"])
    if not ids.is_unique:
        repeated = list(ids[ids.duplicated()].unique())
        raise InvalidData(f"{name} has more than one row for id {_listed(repeated)}. Keep one row a photo.")


def _true_classes(table: pd.DataFrame, name: str, labels: LabelSet) -> np.ndarray:
    """Class index of each label, int (n,)."""
    _refuse(pd.isna(table["label"]), f"{name} has no label")
    texts = _texts(table["label"])
    found = pc.call_function("index_in", [texts], pc.SetLookupOptions(pa.array(labels.names)))
    unknown = sorted(texts.filter(found.is_null()).unique().to_pylist())
    if unknown:
        raise InvalidData(
            f"{name} has labels that are no class of this run: {_listed(unknown)}. Known are {', '.join(labels.names)}."
        )
    return found.to_numpy()


def _checked_probabilities(table: pd.DataFrame, name: str, labels: LabelSet) -> np.ndarray:
    """Float (n, n_classes), each in [0, 1], each row adding up to 1."""
    probabilities = np.column_stack([_numbers(table, column, name) for column in labels.names])
    if not (probabilities.min() >= 0 and probabilities.max() <= 1):  # nor is it where there are NaNs
        _refuse(~np.isfinite(probabilities).all(axis=1), f"{name} has empty or infinite probabilities")
        outside = ((probabilities < 0) | (probabilities > 1)).any(axis=1)
        _refuse(outside, f"{name} has probabilities below 0 or above 1 (logits and percentages must be converted)")
    off = np.abs(probabilities.sum(axis=1) - 1) > SUM_TOLERANCE
    _refuse(off, f"{name} has probabilities that do not add up to 1")
    return probabilities


def _numbers(table: pd.DataFrame, column: str, name: str) -> np.ndarray:
    """A column as float (n,), empty cells as NaN."""
    values = pd.Series(table[column])
    if not pd.api.types.is_numeric_dtype(values):
        parsed = pd.Series(pd.to_numeric(values, errors="coerce"))
        _refuse(parsed.isna() & values.notna(), f"{name} has text where column {column} should have a number")
        values = parsed
    return values.to_numpy(float, na_value=np.nan)


def _refuse(bad: ArrayLike, what: str) -> None:
    """Raise if any row is bad; rows are numbered as an editor numbers lines, the header being line 1."""
    bad = np.asarray(bad)
    lines = list(np.flatnonzero(bad) + 2)
    if lines:
        raise InvalidData(
            f"{what} in {len(lines):,} of {len(bad):,} rows (line {_listed(lines)}). Correct or remove them."
        )


def _listed(values: Sequence[object]) -> str:
    """The first few values, and how many more there are."""
    shown = ", ".join(str(value)[:60] for value in values[:EXAMPLES])
    more = len(values) - EXAMPLES
    return f"{shown} and {more:,} more" if more > 0 else shown


def true_class_rank(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the true one, int (n,), 0 where the prediction is right; ties go to the first class.

    Args:
        probabilities: (n, n_classes).
        labels: int (n,).
    """
    true = np.take_along_axis(probabilities, labels[:, None], axis=1)  # (n, 1)
    earlier = np.arange(probabilities.shape[1]) < labels[:, None]  # (n, n_classes)
    return ((probabilities > true) | ((probabilities == true) & earlier)).sum(axis=1)
