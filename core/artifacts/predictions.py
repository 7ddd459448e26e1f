"""Predictions of a labelled test set: read, validate and filter them.

Rows are kept most confident first, so a filtered list is in its order already and a risk-coverage curve needs no sorting.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import ArrayLike

from core.artifacts.facets import DETAILS, FACETS, GROUP, texts
from core.artifacts.labels import LabelSet
from core.artifacts.run import Run
from core.artifacts.tables import TEXT_COLUMNS, Table, listed, read_table
from core.errors import InvalidData

SUFFIXES = (".parquet", ".csv")
VALIDATION_FILE = "predictions_validation.csv"  # of the network as it is served; `stage_files` are of earlier ones
NO_ROUNDING = 1e-3  # a row's sum this close to 1 is left as it is
SUM_TOLERANCE = 0.01  # a row of probabilities adds up to 1, but for rounding in the file
MOST_ROUNDING = 0.02  # of one probability


@dataclass(frozen=True)
class Predictions:
    """What a network said about each photo of a test set, most confident first. Read-only, shared between visitors.

    Args:
        labels: the classes, in the order of the columns of `probabilities`.
        table: columns id and those of `DETAILS` that the file has, n rows.
        probabilities: float (n, n_classes), calibrated.
        true: int (n,), index of the true class.
        has_probabilities: whether the file gave probabilities; without, the predicted class has 1 and the others 0.
        notes: what had to be understood in the file, in sentences.
    """

    labels: LabelSet
    table: pd.DataFrame
    probabilities: np.ndarray
    true: np.ndarray
    has_probabilities: bool = True
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.true)

    @property
    def memory(self) -> int:
        """Bytes in memory, but for what is computed from them."""
        return int(self.table.memory_usage(deep=True).sum()) + self.probabilities.nbytes + self.true.nbytes

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
        facets = {GROUP: self._groups()}
        for facet in FACETS:
            if facet.column in self.table:
                facets[facet.name] = facet.values(self.table[facet.column])
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
        labels: the classes that its labels and columns of probabilities name.

    Raises:
        InvalidData: it is no such file; the message says what is wrong and in which line.
    """
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise InvalidData(f"{name} cannot be read ({error.strerror}).") from None
    return predictions_of(read_table(data, name), name, labels)


def predictions_from_table(frame: pd.DataFrame, name: str, labels: LabelSet) -> Predictions:
    """As `predictions_of`, from a table made in memory."""
    return predictions_of(Table.of_frame(frame), name, labels)


def predictions_of(table: Table, name: str, labels: LabelSet) -> Predictions:
    """Validate a table of predictions and bring it into order; arguments and errors as for `read_predictions`.

    Each photo has an id, a label, and either a probability for each class or a predicted class.
    """
    rows = _Rows(table, name, labels)
    columns = rows.columns()
    rows.check_ids()
    true = rows.classes("label")
    notes = list(table.notes)
    probabilities = rows.probabilities(columns, notes) if columns else np.eye(len(labels))[rows.classes("prediction")]
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    kept = table.frame[["id", *(column for column in DETAILS if column in table.frame)]]
    return Predictions(
        labels, kept.iloc[order].reset_index(drop=True), probabilities[order], true[order], bool(columns), tuple(notes)
    )


@dataclass(frozen=True)
class _Rows:
    """A table on its way to being predictions."""

    table: Table
    name: str
    labels: LabelSet

    def columns(self) -> list[str]:
        """The table's column of probabilities for each class; none where it has a column of predicted classes instead."""
        frame, name = self.table.frame, self.name
        missing = [column for column in ("id", "label") if column not in frame]
        if missing:
            found = f"Its columns are {listed(list(frame.columns))}." if len(frame.columns) else "It has no columns."
            raise InvalidData(f"{name} lacks the column {' and the column '.join(missing)}. {found}")
        if frame.empty:
            raise InvalidData(f"{name} has no rows. Give at least one labelled photo.")
        others = {_key(column): column for column in reversed(frame.columns) if column not in TEXT_COLUMNS}
        columns = {label: label if label in frame else others.get(_key(label)) for label in self.labels.names}
        lacking = [label for label, column in columns.items() if column is None]
        if not lacking:
            return [str(column) for column in columns.values()]
        if "prediction" in frame or "predicted" in frame:
            return []
        if len(lacking) == len(columns):
            raise InvalidData(f"{name} has neither a column of probabilities for each class nor a column prediction.")
        raise InvalidData(f"{name} lacks the columns {listed(lacking)}. It needs one of probabilities for each class.")

    def check_ids(self) -> None:
        """Raise InvalidData unless every row has an id of its own."""
        ids = pd.Series(self.table.frame["id"])
        self._refuse(ids.isna(), "no id")
        if pc.call_function("count_distinct", [texts(ids)]).as_py() < len(ids):
            repeated = ids[ids.duplicated()].unique()  # pyright: ignore[reportAttributeAccessIssue]
            example, count = repeated[0], len(repeated)
            where = self._places(np.asarray(ids == example))
            which = f"id “{example}”" if count == 1 else f"each of {count:,} ids, such as “{example}”"
            raise InvalidData(f"{self.name} has more than one row for {which} ({where}). Keep one row for each photo.")

    def classes(self, column: str) -> np.ndarray:
        """Class index of each row's label or prediction, int (n,); upper and lower case and hyphens do not matter."""
        frame = self.table.frame
        column = column if column in frame else "predicted"
        self._refuse(frame[column].isna(), f"no {column}")
        encoded = texts(frame[column]).dictionary_encode()
        names = encoded.dictionary.to_pylist()
        index = {_key(label): i for i, label in reversed(list(enumerate(self.labels.names)))}
        exact = {label: i for i, label in enumerate(self.labels.names)}
        of_name = np.array([exact.get(name, index.get(_key(name), -1)) for name in names], int)
        found = of_name[encoded.indices.to_numpy()]
        if (found < 0).any():
            unknown = sorted(name for name, i in zip(names, of_name, strict=True) if i < 0)
            raise InvalidData(
                f"{self.name} has {column}s that are no class of this run: {listed([f'“{value}”' for value in unknown])} "
                f"({self._places(found < 0)}). The classes are {', '.join(self.labels.names)}."
            )
        return found

    def probabilities(self, columns: Sequence[str], notes: list[str]) -> np.ndarray:
        """Float (n, n_classes), each in [0, 1], each row adding up to 1; what was done to the file's numbers goes to `notes`."""
        values = np.column_stack([self._numbers(column) for column in columns])
        if not (values.min() >= 0 and values.max() <= 1):  # nor is it where there are NaNs
            self._refuse(~np.isfinite(values).all(axis=1), "empty or infinite probabilities")
            if values.min() >= 0 and (np.abs(values.sum(axis=1) - 100) <= 100 * _tolerance(values)).all():
                values = values / 100
                notes.append("Probabilities are percentages; they were divided by 100.")
            outside = ((values < 0) | (values > 1)).any(axis=1)
            self._refuse(outside, "probabilities below 0 or above 1 (turn logits into probabilities by softmax)")
        sums = values.sum(axis=1)
        if np.abs(sums - 1).max() <= NO_ROUNDING:
            return values
        self._refuse(np.abs(sums - 1) > _tolerance(values), "probabilities that do not add up to 1")
        notes.append(
            f"Probabilities are rounded: rows add up to {sums.min():.2f} to {sums.max():.2f}. Each row was scaled to add up to 1."
        )
        return values / sums[:, None]

    def _numbers(self, column: str) -> np.ndarray:
        """A column as float (n,), empty cells as NaN."""
        values = pd.Series(self.table.frame[column])
        if not pd.api.types.is_numeric_dtype(values):
            parsed = pd.Series(pd.to_numeric(values, errors="coerce"))
            text = np.asarray(parsed.isna() & values.notna())
            example = f" (“{str(values.to_numpy()[text][0])[:30]}”)" if text.any() else ""
            self._refuse(text, f"text where column {column} should have a number{example}")
            values = parsed
        return values.to_numpy(float, na_value=np.nan)

    def _refuse(self, bad: ArrayLike, what: str) -> None:
        """Raise InvalidData if any row is bad."""
        bad = np.asarray(bad)
        if bad.any():
            raise InvalidData(
                f"{self.name} has {what} in {bad.sum():,} of {len(bad):,} rows ({self._places(bad)}). Correct or remove them."
            )

    def _places(self, rows: np.ndarray) -> str:
        """Such as "line 4" or "lines 4, 9 and 12 more"."""
        lines = self.table.lines[np.flatnonzero(rows)].tolist()
        return f"{self.table.unit}{'' if len(lines) == 1 else 's'} {listed(lines)}"


def _key(name: object) -> str:
    """What is left of a name without case, spaces and hyphens: "T-shirts" and "Tshirts" are one."""
    return re.sub(r"[\W_]+", "", str(name).casefold())


def _tolerance(probabilities: np.ndarray) -> float:
    """How far rows may stray from 1 by rounding: half a unit of the last decimal for each class, at most 0.02, in all at least 0.01."""
    shares = probabilities / (100 if probabilities.max() > 1 else 1)
    decimals = next((d for d in range(1, 6) if np.allclose(shares, shares.round(d), atol=1e-9)), 6)
    return max(SUM_TOLERANCE, min(0.5 * 10.0**-decimals, MOST_ROUNDING) * shares.shape[1] + 1e-9)


def true_class_rank(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the true one, int (n,), 0 where the prediction is right; ties go to the first class.

    Args:
        probabilities: (n, n_classes).
        labels: int (n,).
    """
    true = np.take_along_axis(probabilities, labels[:, None], axis=1)  # (n, 1)
    earlier = np.arange(probabilities.shape[1]) < labels[:, None]  # (n, n_classes)
    return ((probabilities > true) | ((probabilities == true) & earlier)).sum(axis=1)
