"""Why a class is taken for another: what sets the photos of a cell apart, and what kind of mistake each of them is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from core.analysis.slices import SIGNIFICANCE, benjamini_hochberg
from core.artifacts.predictions import Predictions

IN_DOUBT, QUALITY, SECOND_GUESS, UNUSUAL = REASONS = (
    "Label in doubt",
    "Photo quality",
    "Second guess correct",
    "Out of the ordinary",
)
MOST_ROWS = 20_000  # of a class that are compared with a cell; of more, evenly spaced ones are taken
LEAST_PHOTOS = 3  # of a cell that share a word or value, below which it says nothing
WORD = re.compile(r"[^\W\d_]{3,}")


class Dossier(NamedTuple):
    """What is known of the photos of a cell.

    Args:
        reasons: one of REASONS a photo, (m,); none where the cell holds correct predictions.
        marks: columns facet, value, photos, share, share_of_others, p_corrected: what is significantly more frequent in the cell than
            in the rest of its class, most certain first.
    """

    reasons: np.ndarray
    marks: pd.DataFrame


def dossier(
    predictions: Predictions, rows: np.ndarray, class_rows: np.ndarray, suspected: np.ndarray, poor: np.ndarray
) -> Dossier:
    """Describe the photos of a cell.

    Args:
        predictions: of the test set.
        rows: int (m,), the photos of the cell.
        class_rows: int (k,), all photos of the true class.
        suspected: bool (n,), whether a photo's label is suspected to be wrong.
        poor: bool (n,), whether a photo is of poor quality.
    """
    mistakes = rows[~predictions.correct[rows]]
    return Dossier(_reasons(predictions, mistakes, suspected, poor), marks(predictions, rows, class_rows))


def _reasons(predictions: Predictions, rows: np.ndarray, suspected: np.ndarray, poor: np.ndarray) -> np.ndarray:
    """The first of REASONS that holds for each mistake; the last one holds for what is left."""
    holds = [suspected[rows], poor[rows], predictions.true_rank[rows] == 1]
    return np.select(holds, REASONS[:3], REASONS[3])


def marks(predictions: Predictions, rows: np.ndarray, class_rows: np.ndarray) -> pd.DataFrame:
    """Words of the name and values of facets that are more frequent in a cell than in the rest of its class.

    Fisher's exact test, one-sided, each value against the other photos of the class; the false discovery rate over all of them is
    controlled (Benjamini and Hochberg 1995). Columns as of `Dossier.marks`.
    """
    others = np.setdiff1d(class_rows, rows)
    others = others[np.linspace(0, len(others) - 1, min(len(others), MOST_ROWS)).round().astype(int)]
    cell = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).round().astype(int)]
    found = [
        {"facet": facet, "value": value, "photos": count, "others": in_others.get(value, 0)}
        for facet, in_cell, in_others in _counts(predictions, cell, others)
        for value, count in in_cell.items()
        if count >= LEAST_PHOTOS
    ]
    table = pd.DataFrame(found, columns=["facet", "value", "photos", "others"])
    total, drawn = len(cell) + len(others), len(cell)
    photos, with_value = table["photos"].to_numpy(int), (table["photos"] + table["others"]).to_numpy(int)
    p = hypergeom.sf(photos - 1, total, with_value, drawn) if len(table) else np.zeros(0)
    table = table.assign(
        share=photos / max(drawn, 1),
        share_of_others=table["others"].to_numpy(int) / max(len(others), 1),
        p_corrected=benjamini_hochberg(p),
    )
    table = table[(table["p_corrected"] < SIGNIFICANCE) & (len(others) > 0)].drop(columns="others")
    return table.sort_values("p_corrected", kind="stable").reset_index(drop=True)  # pyright: ignore[reportCallIssue]


def _counts(
    predictions: Predictions, cell: np.ndarray, others: np.ndarray
) -> Sequence[tuple[str, Mapping[str, int], Mapping[str, int]]]:
    """For each facet, and for the words of the name: how often each value is in the cell, and in the other photos."""
    counted: list[tuple[str, Mapping[str, int], Mapping[str, int]]] = [
        (name, _values(facet, cell), _values(facet, others))
        for name, facet in predictions.facets.items()
        if name not in ("group", "gender")  # the same for the whole class; a word of the name
    ]
    if "product" in predictions.table:
        products = predictions.table["product"]
        counted.append(("word", _words(products.iloc[cell]), _words(products.iloc[others])))
    return counted


def _values(facet: pd.Categorical, rows: np.ndarray) -> dict[str, int]:
    counts = np.bincount(facet.codes[rows] + 1, minlength=len(facet.categories) + 1)[1:]
    return dict(zip(map(str, facet.categories), counts.tolist(), strict=True))


def _words(products: pd.Series) -> Counter[str]:
    """In how many names each word is, whatever its case."""
    return Counter(word for name in products.dropna() for word in {match.lower() for match in WORD.findall(str(name))})


def nearest(places: np.ndarray, cell: np.ndarray, candidates: np.ndarray, count: int) -> np.ndarray:
    """Of the candidate rows, those nearest to any photo of the cell, nearest first.

    Args:
        places: (n, d), one place a row; NaN for rows that have none.
        cell: int (m,), rows of the cell.
        candidates: int (k,), rows to choose from.
        count: how many.
    """
    known = cell[~np.isnan(places[cell, 0])][:100]
    candidates = np.setdiff1d(candidates[~np.isnan(places[candidates, 0])], cell)
    if not len(known) or not len(candidates):
        return candidates[:0]
    best = np.full(len(candidates), np.inf)
    for row in known:
        best = np.minimum(best, np.square(places[candidates] - places[row]).sum(axis=1))
    return candidates[np.argsort(best, kind="stable")[:count]]


def dossier_words(found: Dossier, titles: Mapping[str, str]) -> str:
    """What the mistakes are, and what sets the photos apart most, in at most two sentences.

    Args:
        found: the dossier.
        titles: facet name to what it is called.
    """
    sentences: list[str] = []
    counts = Counter(found.reasons.tolist())
    kinds = [f"{reason.lower()} {counts[reason]:,}" for reason in REASONS if counts[reason]]
    if kinds:
        sentences.append(f"Mistakes by kind: {', '.join(kinds)}.")
    if len(found.marks):
        mark = found.marks.iloc[0]
        facet = "Word in the name" if mark["facet"] == "word" else titles.get(mark["facet"], mark["facet"])
        sentences.append(
            f"{facet} “{mark['value']}”: {mark['share']:.0%} of these photos, {mark['share_of_others']:.0%} of the rest of the class "
            f"(corrected p = {mark['p_corrected']:.1g})."
        )
    return " ".join(sentences)
