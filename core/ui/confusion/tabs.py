"""The confusion page's tabs. Only the open one is computed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis import confusion, metrics
from core.analysis.comparison import compare, comparison_words, disagreements, photos_in_common
from core.analysis.glossary import TERMS
from core.artifacts.labels import LabelSet
from core.artifacts.predictions import Predictions, prediction_file, stage_files
from core.artifacts.run import Run, find_runs
from core.errors import GarmentError
from core.inference.verdict import class_name
from core.plots import confusion as figures
from core.plots.confusion import View
from core.ui import address, shell
from core.ui.choice import one_of
from core.ui.confusion import cell, cohorts, elsewhere, embedding, review, slicing
from core.ui.confusion.matrix import CHART_CONFIG, choose_cell, class_names, controls, grid, matrix
from core.ui.confusion.photos import PERCENT, photo_table
from core.ui.confusion.source import Selection, Source, names_of, run_predictions
from core.ui.markdown import literal, told

MEASURES = {"recall": "Recall", "precision": "Precision", "f1": "F1"}
WITH = "matrix_with"  # id of the run to compare with: key of the choice, and query parameter
TARGETS = (0.95, 0.98, 0.99)
COLUMNS = (9, 5)  # widths of a chart and of the photos beside it
NOTICEABLE = 0.001  # of the calibration error: below this, temperature changed nothing
BARS = {
    name: st.column_config.ProgressColumn(format=PERCENT, min_value=0, max_value=100, help=TERMS[name])
    for name in MEASURES.values()
}


@st.fragment
def analysis(source: Source, selection: Selection, counts: np.ndarray) -> None:
    """All below the headline, drawn anew by itself where a cell, a tab or what the cells show is chosen."""
    with shell.errors_shown():
        tabs(source, selection, counts, controls(source, counts))


def tabs(source: Source, selection: Selection, counts: np.ndarray, view: View) -> None:
    """All tabs; those that need probabilities, or another run's files, only where there are any."""
    drawn: dict[str, Callable[[], None]] = {
        "Matrix": lambda: matrix_and_photos(source, selection, counts, view),
        "Classes": lambda: classes(source, selection, counts, view),
        "Confused pairs": lambda: pairs(source, selection, counts, view),
        "Slices": lambda: slicing.tab(source, selection),
        "Map": lambda: embedding.tab(source, selection),
        "Phone and worn": lambda: elsewhere.tab(source, view.theme),
        "Threshold": lambda: threshold(source, selection),
        "Calibration": lambda: calibration(source, selection),
        "Review": lambda: review.tab(source, selection),
        "Cohorts": lambda: cohorts.tab(source, selection, view),
        "Stages": lambda: stages(source, selection, view),
        "Compare runs": lambda: comparison(source, selection, view),
    }
    if not source.predictions.has_probabilities:
        for name in ("Threshold", "Calibration", "Review"):
            del drawn[name]
    for tab, draw in zip(st.tabs(list(drawn), key="matrix_tab", bind="query-params"), drawn.values(), strict=True):
        if tab.open:
            with tab:
                draw()


def matrix_and_photos(source: Source, selection: Selection, counts: np.ndarray, view: View) -> None:
    """The matrix, and the photos of the chosen cell beside it."""
    left, right = st.columns(COLUMNS, gap="medium")
    with left:
        matrix(counts, source, view)
    with right:
        cell.photos_of_cell(source, selection, counts, view)


def threshold(source: Source, selection: Selection) -> None:
    """The risk-coverage curve, and the thresholds that reach round accuracies."""
    curve = _risk_coverage(source.predictions, source.key, selection.chosen.tobytes())
    coverage = selection.answered.sum() / selection.chosen.sum()
    accuracy = source.predictions.correct[selection.answered].mean()
    left, right = st.columns([3, 2], gap="large")
    with left:
        figure = figures.risk_coverage_figure(confusion.thinned(curve), float(coverage), float(accuracy))
        st.plotly_chart(figure, key="matrix_risk", config=CHART_CONFIG, alt="Accuracy against coverage")
    with right:
        st.markdown("The point is the confidence threshold set in the sidebar. Thresholds for a target accuracy:")
        st.dataframe(
            confusion.thresholds_for(curve, TARGETS) * [100, 1, 100],
            hide_index=True,
            column_config={
                "accuracy": st.column_config.NumberColumn("Accuracy", format="%.0f%%"),
                "threshold": st.column_config.NumberColumn("Confidence threshold", format="%.3f"),
                "coverage": st.column_config.NumberColumn("Coverage", format=PERCENT),
            },
        )


@st.cache_data(max_entries=8, show_spinner=False)
def _risk_coverage(_predictions: Predictions, key: str, chosen: bytes) -> pd.DataFrame:
    mask = np.frombuffer(chosen, bool)
    return metrics.risk_coverage(_predictions.confidence[mask], _predictions.correct[mask])


def classes(source: Source, selection: Selection, counts: np.ndarray, view: View) -> None:
    """Precision, recall and F1 of every class, and the precision-recall curve of one."""
    labels = source.predictions.labels
    table = metrics.classification_table_from_counts(counts, labels.names)
    few_last = np.argsort(table["support"] < figures.FEW, kind="stable")
    shown = _readable(table).assign(**elsewhere.class_columns(source)).iloc[few_last]
    st.dataframe(shown, hide_index=True, column_config=BARS)
    if table["support"].between(1, figures.FEW - 1).any():
        st.caption(
            f"Classes with fewer than {figures.FEW} photos are last, and hatched in the chart: their rates are mostly chance."
        )
    left, right = st.columns(2, gap="large")
    with left:
        measure = one_of(
            "Measure",
            list(MEASURES),
            "recall",
            "matrix_measure",
            format_func=MEASURES.__getitem__,
            help="\n\n".join(TERMS[name] for name in MEASURES.values()),
        )
        figure = figures.class_bars_figure(table, measure, labels, view.theme)
        st.plotly_chart(figure, key="matrix_bars", config=CHART_CONFIG, alt="Bars of one measure, a class each")
    with right:
        _precision_recall(source, selection)


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    def interval(measure: str) -> list[str]:
        ends = zip(table[f"{measure}_low"], table[f"{measure}_high"], strict=True)
        return ["" if np.isnan(low) else f"{100 * low:.1f}–{high:.1%}" for low, high in ends]

    return pd.DataFrame(
        {
            "Class": table["class"].map(class_name),
            "Photos": table["support"],
            "Recall": 100 * table["recall"],
            "Recall, 95% CI": interval("recall"),
            "Precision": 100 * table["precision"],
            "Precision, 95% CI": interval("precision"),
            "F1": 100 * table["f1"],
            "Predicted": table["predicted"],
        }
    )


def _class_choice(labels: LabelSet, key: str) -> int:
    name = st.selectbox("Class", labels.names, format_func=class_name, key=key, bind="query-params")
    return labels.index(name)


def _precision_recall(source: Source, selection: Selection) -> None:
    index = _class_choice(source.predictions.labels, "matrix_class")
    curve, average = confusion.class_precision_recall(source.predictions, selection.chosen, index)
    name = literal(class_names(source.predictions.labels)[index])
    if np.isnan(average) or not source.predictions.has_probabilities:
        st.caption(f"No {name} (n = 0)." if np.isnan(average) else "A precision-recall curve needs probabilities.")
        return
    st.markdown(f"Average precision of {name}: **{average:.3f}**", help=TERMS["Average precision"])
    figure = figures.precision_recall_figure(confusion.thinned(curve))
    st.plotly_chart(figure, key="matrix_pr", config=CHART_CONFIG, alt="Precision against recall of one class")


def pairs(source: Source, selection: Selection, counts: np.ndarray, view: View) -> None:
    """All mistakes ranked, the photos of the chosen one, and both sides of one class."""
    labels = source.predictions.labels
    table = confusion.confused_pairs(counts, labels.names)
    left, right = st.columns(COLUMNS, gap="medium")
    with left:
        st.caption("Choose a row to see its photos.")
        st.dataframe(
            pd.DataFrame(
                {
                    "True class": [class_name(labels.names[i]) for i in table["true"]],
                    "Predicted class": [class_name(labels.names[i]) for i in table["predicted"]],
                    "Photos": table["count"],
                    "Of the class": 100 * table["rate"],
                    "95% CI": [f"{100 * row['low']:.1f}–{row['high']:.1%}" for row in table.to_dict("records")],
                }
            ),
            hide_index=True,
            column_config={"Of the class": st.column_config.NumberColumn(format=PERCENT)},
            key="matrix_pairs",
            on_select=lambda: _choose_pair(table, labels),
            selection_mode="single-row",
        )
        _both_ways(counts, labels)
    with right:
        cell.photos_of_cell(source, selection, counts, view)


def _both_ways(counts: np.ndarray, labels: LabelSet) -> None:
    index = _class_choice(labels, "matrix_sides")
    sides = confusion.mistaken_both_ways(counts, labels.names, index)
    name = class_name(labels.names[index])
    if sides.empty:
        st.caption(f"{literal(name)} are confused with no other class here.")
    else:
        alt = f"What {name} are predicted as, and what is predicted as {name}"
        st.plotly_chart(figures.two_sided_figure(sides, name), key="matrix_two_sided", config=CHART_CONFIG, alt=alt)


def _choose_pair(table: pd.DataFrame, labels: LabelSet) -> None:
    rows = st.session_state["matrix_pairs"].selection.rows
    if rows:
        pair = table.iloc[rows[0]]
        choose_cell(labels.names[pair["true"]], labels.names[pair["predicted"]])


def calibration(source: Source, selection: Selection) -> None:
    """Top-k accuracy and calibration. Filters apply, the threshold does not."""
    predictions, chosen = source.predictions, selection.chosen
    correct, confidence = predictions.correct[chosen], predictions.confidence[chosen]
    confidences = {"calibrated": confidence}
    temperature = source.run.facts.temperature if source.run else None
    if temperature:
        before = _uncalibrated(predictions, source.key, temperature)[chosen]
        confidences = {"before temperature scaling": before, **confidences}
    errors = [metrics.expected_calibration_error(values, correct) for values in confidences.values()]
    _top_k(predictions.true_rank[chosen], errors)
    if len(errors) > 1 and abs(errors[0] - errors[1]) < NOTICEABLE:
        del confidences["before temperature scaling"]
    st.markdown("**Accuracy by confidence**", help=TERMS["Calibration"])
    figure = figures.reliability_figure(
        {name: confusion.calibration_bins(values, correct) for name, values in confidences.items()}
    )
    st.plotly_chart(figure, key="matrix_reliability", config=CHART_CONFIG, alt="Accuracy against confidence")
    note = "Bins with fewer than 10 photos are merged with their neighbours."
    if temperature:
        changed = "" if len(confidences) > 1 else ", which changes the calibration error by less than 0.1 points"
        note += f" Temperature {temperature:.3f}{changed}."
    st.caption(note, help=TERMS["Temperature"] if temperature else None)


def _top_k(rank: np.ndarray, errors: list[float]) -> None:
    columns = st.columns(4)
    for k, column in zip((1, 2, 3), columns, strict=False):
        right = int((rank < k).sum())
        column.metric("Accuracy" if k == 1 else f"Top-{k} accuracy", f"{right / len(rank):.1%}", border=True)
        column.caption(confusion.interval_words(*metrics.wilson_interval(right, len(rank))))
    columns[3].metric("Calibration error", f"{errors[-1]:.1%}", border=True, help=TERMS["Calibration error"])
    if len(errors) > 1:
        columns[3].caption(f"{errors[0]:.1%} before temperature scaling")


@st.cache_resource(max_entries=8, show_spinner=False)
def _uncalibrated(_predictions: Predictions, key: str, temperature: float) -> np.ndarray:
    return confusion.uncalibrated_confidence(_predictions.probabilities, temperature)


def stages(source: Source, selection: Selection, view: View) -> None:
    """The matrix of the validation photos after each stage of training, or what changed since the first."""
    files = stage_files(source.run) if source.run else {}
    if not files or source.run is None:
        st.caption("This run has no validation predictions of its stages.")
        return
    run = source.run
    numbers = list(files)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        stage = numbers[0]
        if len(numbers) > 1:
            stage = st.select_slider(
                "Stage",
                numbers,
                value=numbers[-1],
                format_func=lambda k: stage_name(run, k),
                key="matrix_stage",
                bind="query-params",
            )
    with right:
        change = st.toggle(f"Change since stage {numbers[0]}", key="matrix_change", bind="query-params")
    first, now = (_stage_counts(run, files[k], selection) for k in (numbers[0], stage))
    if not now.any() or not first.any():
        st.caption("No validation photo passes these filters.")
        return
    labels = run.labels
    st.markdown(
        f"After {literal(stage_name(run, stage))}: {literal(confusion.accuracy_words(now, int(now.sum()), 0))}. "
        f"{literal(confusion.detail_words(now, class_names(labels), int(now.sum())))}"
    )
    st.caption("Validation photos, at the end of the stage (not at its best epoch), in floating point.")
    if change:
        st.caption("Change of recall in percentage points. Blue: better, orange: worse.")
        figure = figures.difference_figure(first, now, labels, view, (f"stage {numbers[0]}", f"stage {stage}"))
    else:
        figure = figures.matrix_figure(now, labels, view)
    grid(figure, labels, view, "matrix_stage_chart", "Confusion matrix of the validation photos", sizes=now.sum(axis=1))


def stage_name(run: Run, number: int) -> str:
    """Such as "stage 2, layer4"."""
    known = run.facts.stages
    return f"stage {number}, {known[number - 1].name}" if number <= len(known) else f"stage {number}"


def _stage_counts(run: Run, file: str, selection: Selection) -> np.ndarray:
    predictions = run_predictions(run, file)
    return confusion.counts_of(predictions, predictions.mask(selection.values, selection.confidence))


def comparison(source: Source, selection: Selection, view: View) -> None:
    """The chosen run against another: difference of the matrices, McNemar's test, and the photos on which they part."""
    runs = find_runs()[0]
    called = names_of(runs)
    others, refused = _comparable(source, [run for run in runs if prediction_file(run) and run != source.run])
    if refused:
        reasons = " ".join(f"{literal(called[run_id])}: {literal(reason)}" for run_id, reason in refused.items())
        st.caption(f"Not comparable: {reasons}")
    if not others:
        st.caption("There is no other run with predictions to compare with.")
        return
    other = _compared_with({run_id: called[run_id] for run_id in others})
    second = others[other]
    names = (called[source.run.run_id] if source.run else source.name, called[other])
    try:
        compared = compare(source.predictions, second, selection.chosen)
    except GarmentError as error:
        st.info(told(error))
        return
    in_common = len(compared.rows_a)
    st.markdown(
        f"{in_common:,} photo{'' if in_common == 1 else 's'} in common. {literal(comparison_words(compared, *names))}"
    )
    labels = source.predictions.labels
    a, b = source.predictions, second
    before = metrics.confusion_counts(a.true[compared.rows_a], a.predicted[compared.rows_a], len(labels))
    after = metrics.confusion_counts(b.true[compared.rows_b], b.predicted[compared.rows_b], len(labels))
    st.caption(
        f"Recall of {literal(names[1])} minus {literal(names[0])}, in percentage points. Blue: {literal(names[1])} is better."
    )
    figure = figures.difference_figure(before, after, labels, view, names)
    grid(figure, labels, view, "matrix_difference", "Difference of two confusion matrices", sizes=before.sum(axis=1))
    which = st.segmented_control(
        "Correct only in", [0, 1], format_func=lambda i: names[i], default=0, required=True, key="matrix_which"
    )
    titles = {
        "label": "True class",
        "first": names[0],
        "p_first": "Confidence",
        "second": names[1],
        "p_second": "Confidence ",
    }
    photo_table(disagreements(compared, a, b, first_right=which == 0), source, titles)


def _compared_with(names: dict[str, str]) -> str:
    """The run chosen to compare with, by its id, which the address carries."""
    asked = address.asked(WITH, arrived=WITH not in st.session_state)
    wanted = asked[WITH] if asked else st.session_state[WITH]
    st.session_state[WITH] = address.by_id_or_name(wanted, names) or next(iter(names))
    chosen = st.selectbox(
        "Compare with", list(names), format_func=names.__getitem__, key=WITH, on_change=address.chosen, args=(WITH,)
    )
    address.write({WITH: chosen})
    return chosen


def _comparable(source: Source, runs: list[Run]) -> tuple[dict[str, Predictions], dict[str, str]]:
    """Predictions by run id, those with most photos in common first; and why other runs cannot be compared with the source."""
    in_common: dict[str, int] = {}
    others, refused = {}, {}
    for run in runs:
        try:
            predictions = run_predictions(run, str(prediction_file(run)))
            in_common[run.run_id] = photos_in_common(source.predictions, predictions)
        except GarmentError as error:
            refused[run.run_id] = str(error)
        else:
            others[run.run_id] = predictions
    return {run_id: others[run_id] for run_id in sorted(others, key=lambda key: -in_common[key])}, refused
