"""The confusion page's tabs: when to answer, classes, pairs, trust, label errors, stages, comparison."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import streamlit as st

from core.analysis import confusion, metrics, slices
from core.analysis.comparison import compare, comparison_words, disagreements, photos_in_common
from core.analysis.glossary import TERMS
from core.artifacts.labels import LabelSet
from core.artifacts.predictions import Predictions, prediction_file, stage_files
from core.artifacts.run import Run, find_runs
from core.errors import GarmentError
from core.plots import confusion as figures
from core.plots.confusion import View
from core.ui.confusion.matrix import CHART_CONFIG, choose_cell, grid
from core.ui.confusion.source import FACETS, Selection, Source, names_of, run_predictions
from core.ui.markdown import literal, told
from core.ui.thumbnails import thumbnail_url

MEASURES = {"recall": "Recall", "precision": "Precision", "f1": "F1"}
TARGETS = (0.95, 0.98, 0.99)
LISTED = 200
PERCENT = "%.1f%%"
BARS = {
    name: st.column_config.ProgressColumn(format=PERCENT, min_value=0, max_value=100, help=TERMS[name])
    for name in MEASURES.values()
}
DETAILS_LAST = ("colour", "usage")


def tabs(source: Source, selection: Selection, counts: np.ndarray, view: View) -> None:
    """The tabs; only the open one is computed."""
    drawn: dict[str, Callable[[], None]] = {
        "When to answer": lambda: when_to_answer(source, selection),
        "Classes": lambda: classes(source, selection, counts, view),
        "Confused pairs": lambda: pairs(source, counts),
        "Trust": lambda: trust(source, selection),
        "Label errors": lambda: label_errors(source, selection),
        "Stages": lambda: stages(source, selection, view),
        "Compare runs": lambda: comparison(source, selection, view),
    }
    for tab, draw in zip(st.tabs(list(drawn), key="matrix_tab", bind="query-params"), drawn.values(), strict=True):
        if tab.open:
            with tab:
                draw()


def when_to_answer(source: Source, selection: Selection) -> None:
    """The risk-coverage curve, and the thresholds that reach round accuracies."""
    curve = _risk_coverage(source.predictions, source.key, selection.chosen.tobytes())
    coverage = selection.answered.sum() / selection.chosen.sum()
    accuracy = source.predictions.correct[selection.answered].mean()
    left, right = st.columns([3, 2], gap="large")
    with left:
        figure = figures.risk_coverage_figure(confusion.thinned(curve), float(coverage), float(accuracy))
        st.plotly_chart(
            figure, key="matrix_risk", config=CHART_CONFIG, alt="Accuracy against the share of photos answered"
        )
    with right:
        st.markdown("“Answer only above” in the sidebar moves the point. To be right at least this often:")
        st.dataframe(
            confusion.thresholds_for(curve, TARGETS) * [100, 1, 100],
            hide_index=True,
            column_config={
                "accuracy": st.column_config.NumberColumn("Right", format="%.0f%%"),
                "threshold": st.column_config.NumberColumn("Answer above", format="%.3f"),
                "coverage": st.column_config.NumberColumn("Photos answered", format=PERCENT),
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
    st.dataframe(_readable(table), hide_index=True, column_config=BARS)
    left, right = st.columns(2, gap="large")
    with left:
        measure = st.segmented_control(
            "Measure",
            list(MEASURES),
            format_func=MEASURES.__getitem__,
            default="recall",
            required=True,
            key="matrix_measure",
            bind="query-params",
            help="\n\n".join(TERMS[name] for name in MEASURES.values()),
        )
        figure = figures.class_bars_figure(table, measure, labels, view.theme)
        st.plotly_chart(figure, key="matrix_bars", config=CHART_CONFIG, alt="Bars of one measure, a class each")
    with right:
        _precision_recall(source, selection)


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    def interval(measure: str) -> list[str]:
        ends = zip(table[f"{measure}_low"], table[f"{measure}_high"], strict=True)
        return ["" if np.isnan(low) else f"{100 * low:.1f} to {high:.1%}" for low, high in ends]

    return pd.DataFrame(
        {
            "Class": table["class"],
            "Photos": table["support"],
            "Recall": 100 * table["recall"],
            "Recall, 95%": interval("recall"),
            "Precision": 100 * table["precision"],
            "Precision, 95%": interval("precision"),
            "F1": 100 * table["f1"],
            "Called so": table["predicted"],
        }
    )


def _class_choice(labels: LabelSet, key: str) -> int:
    name = st.selectbox("Class", labels.names, key=key, bind="query-params")
    return labels.index(name)


def _precision_recall(source: Source, selection: Selection) -> None:
    index = _class_choice(source.predictions.labels, "matrix_class")
    curve, average = confusion.class_precision_recall(source.predictions, selection.chosen, index)
    name = literal(source.predictions.labels.names[index])
    if np.isnan(average):
        st.markdown(f"There are no {name} among these photos (n=0).")
        return
    st.markdown(f"Average precision of {name}: **{average:.3f}**", help=TERMS["Average precision"])
    figure = figures.precision_recall_figure(confusion.thinned(curve))
    st.plotly_chart(figure, key="matrix_pr", config=CHART_CONFIG, alt="Precision against recall of one class")


def pairs(source: Source, counts: np.ndarray) -> None:
    """All mistakes ranked, and both sides of one class."""
    labels = source.predictions.labels
    table = confusion.confused_pairs(counts, labels.names)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("Choose a row to see its photos beside the matrix.")
        st.dataframe(
            pd.DataFrame(
                {
                    "They are": [labels.names[i] for i in table["true"]],
                    "They were called": [labels.names[i] for i in table["predicted"]],
                    "Photos": table["count"],
                    "Of the class": 100 * table["rate"],
                    "95% interval": [
                        f"{100 * row['low']:.1f} to {row['high']:.1%}" for row in table.to_dict("records")
                    ],
                }
            ),
            hide_index=True,
            column_config={"Of the class": st.column_config.NumberColumn(format=PERCENT)},
            key="matrix_pairs",
            on_select=lambda: _choose_pair(table, labels),
            selection_mode="single-row",
        )
    with right:
        index = _class_choice(labels, "matrix_sides")
        sides = confusion.mistaken_both_ways(counts, labels.names, index)
        name = labels.names[index]
        if sides.empty:
            st.markdown(f"{literal(name)} are confused with nothing here.")
        else:
            alt = f"What {name} are taken for, and what is mistaken for {name}"
            st.plotly_chart(figures.two_sided_figure(sides, name), key="matrix_two_sided", config=CHART_CONFIG, alt=alt)


def _choose_pair(table: pd.DataFrame, labels: LabelSet) -> None:
    rows = st.session_state["matrix_pairs"].selection.rows
    if rows:
        pair = table.iloc[rows[0]]
        choose_cell(labels.names[pair["true"]], labels.names[pair["predicted"]])


def trust(source: Source, selection: Selection) -> None:
    """Top-k accuracy, calibration, and the filter value on which the network does worst. Filters apply, the threshold does not."""
    predictions, chosen = source.predictions, selection.chosen
    rank, correct, confidence = (
        predictions.true_rank[chosen],
        predictions.correct[chosen],
        predictions.confidence[chosen],
    )
    confidences = {"calibrated": confidence}
    temperature = source.run.facts.temperature if source.run else None
    if temperature:
        confidences = {"before temperature": _uncalibrated(predictions, source.key, temperature)[chosen], **confidences}
    errors = [metrics.expected_calibration_error(values, correct) for values in confidences.values()]
    _top_k(rank, errors)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Is it as sure as it is right?**", help=TERMS["Calibration"])
        figure = figures.reliability_figure(
            {name: metrics.reliability_table(values, correct) for name, values in confidences.items()}
        )
        st.plotly_chart(figure, key="matrix_reliability", config=CHART_CONFIG, alt="Accuracy against confidence")
        if temperature:
            st.caption(f"Temperature {temperature:.3f}, fitted on the validation photos.", help=TERMS["Temperature"])
    with right:
        _worst(source, selection)


def _top_k(rank: np.ndarray, errors: list[float]) -> None:
    columns = st.columns(4)
    for k, column in zip((1, 2, 3), columns, strict=False):
        right = int((rank < k).sum())
        low, high = metrics.wilson_interval(right, len(rank))
        column.metric("Right" if k == 1 else f"Right among the first {k}", f"{right / len(rank):.1%}", border=True)
        column.caption(f"95% interval {100 * low:.1f} to {high:.1%}")
    columns[3].metric("Calibration error", f"{errors[-1]:.1%}", border=True, help=TERMS["Calibration error"])
    if len(errors) > 1:
        columns[3].caption(f"before temperature {errors[0]:.1%}")


@st.cache_resource(max_entries=8, show_spinner=False)
def _uncalibrated(_predictions: Predictions, key: str, temperature: float) -> np.ndarray:
    return confusion.uncalibrated_confidence(_predictions.probabilities, temperature)


def _worst(source: Source, selection: Selection) -> None:
    st.markdown("**On which photos does it do worst?**")
    table = slices.slices(source.predictions, selection.chosen)
    worst = slices.worst_slice(table)
    if worst is None:
        st.markdown(
            "No filter value is significantly less accurate than the rest, corrected for the number of values looked at."
        )
    else:
        st.markdown(
            f"{FACETS[worst['facet']]} “{literal(worst['value'])}”: {worst['accuracy']:.1%} right on {worst['n']:,} photos, the "
            f"rest {worst['rest']:.1%} (Fisher's exact test, corrected by Holm for {len(table)} looks: p = {worst['p_corrected']:.2g})."
        )
    if len(table):
        accuracy = float(source.predictions.correct[selection.chosen].mean())
        figure = figures.slices_figure(table.head(15), accuracy, FACETS)
        st.plotly_chart(
            figure, key="matrix_slices", config=CHART_CONFIG, alt="Accuracy of each filter value, the lowest on top"
        )


def label_errors(source: Source, selection: Selection) -> None:
    """Photos whose label may be wrong, for review."""
    predictions = source.predictions
    suspects = _suspects(predictions, source.key)
    suspects = suspects.iloc[np.flatnonzero(selection.chosen[suspects["row"]])]
    if suspects.empty:
        st.markdown("No label is suspect: no photo reaches another class's usual confidence.")
        return
    st.markdown(
        f"{len(suspects):,} photos are as confidently another class as that class's own photos usually are (confident learning, "
        "Northcutt et al. 2021). They may be labelled wrongly, or be hard: look before you change anything."
    )
    table = suspect_table(predictions, suspects)
    st.download_button(
        "All as CSV",
        lambda: table.to_csv(index=False),
        "suspected_label_errors.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    _photo_table(table, source, {"label": "labelled", "p_label": "sure of that", "p_suggested": "sure of this"})


def suspect_table(predictions: Predictions, suspects: pd.DataFrame) -> pd.DataFrame:
    """Rows of `core.analysis.slices.suspected_label_errors` with the photos' details and the classes' names."""
    rows = suspects["row"].to_numpy()
    names = np.array(predictions.labels.names, dtype=object)
    details = predictions.table.iloc[rows].reset_index(drop=True)
    return details.assign(
        label=names[suspects["label"]],
        p_label=suspects["p_label"].to_numpy(),
        suggested=names[suspects["suggested"]],
        p_suggested=suspects["p_suggested"].to_numpy(),
    )


@st.cache_data(max_entries=8, show_spinner="Looking for suspect labels…")
def _suspects(_predictions: Predictions, key: str) -> pd.DataFrame:
    return slices.suspected_label_errors(_predictions.probabilities, _predictions.true)


def _photo_table(table: pd.DataFrame, source: Source, titles: dict[str, str]) -> None:
    """The first photos of a table, with thumbnails where the photos are here; probabilities are columns that begin with p_."""
    shown = table.head(LISTED).drop(columns="duplicate_group", errors="ignore")
    shares = [name for name in shown if name.startswith("p_")]
    shown = shown.assign(**{name: 100 * shown[name] for name in shares})
    last = [name for name in DETAILS_LAST if name in shown]
    order = [*shown.columns.drop(last), *last]
    config = {name: st.column_config.NumberColumn(titles.get(name), format=PERCENT) for name in shares}
    config |= {name: st.column_config.Column(title) for name, title in titles.items() if name not in shares}
    if source.photos:
        found = source.photos.read(list(shown["id"]))
        shown = shown.assign(photo=[thumbnail_url(found.get(str(photo))) for photo in shown["id"]])
        order = ["photo", *order]
        config["photo"] = st.column_config.ImageColumn("", width="small")
    st.dataframe(
        shown, hide_index=True, column_order=order, column_config=config, row_height=64 if source.photos else None
    )
    if len(table) > LISTED:
        st.caption(f"The first {LISTED} of {len(table):,}.")


def stages(source: Source, selection: Selection, view: View) -> None:
    """The matrix of the validation photos after each stage of training, or what changed since the first."""
    files = stage_files(source.run) if source.run else {}
    if not files or source.run is None:
        st.markdown("No validation predictions were kept for the stages of this run.")
        return
    run = source.run
    numbers = list(files)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        stage = numbers[0]
        if len(numbers) > 1:
            stage = st.select_slider(
                "After stage",
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
        st.markdown("No validation photo passes these filters.")
        return
    labels = run.labels
    st.markdown(
        f"After {literal(stage_name(run, stage))}: {literal(confusion.accuracy_words(now, int(now.sum()), 0))}. "
        f"{literal(confusion.detail_words(now, labels.names, int(now.sum())))}"
    )
    st.caption("Validation, at the end of the stage (not at the best epoch), in floating point.")
    if change:
        st.caption("Points of percentage by true class. Blue is better than before, orange is worse.")
        figure = figures.difference_figure(first, now, labels, view, (f"stage {numbers[0]}", f"stage {stage}"))
    else:
        figure = figures.matrix_figure(now, labels, view)
    grid(figure, labels, "matrix_stage_chart", "Confusion matrix of the validation photos")


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
        st.caption(f"Not to be compared with this one. {reasons}")
    if not others:
        st.markdown("There is no other run with predictions to compare with.")
        return
    other = st.selectbox(
        "Compare with", list(others), format_func=called.__getitem__, key="matrix_with", bind="query-params"
    )
    second = others[other]
    names = (called[source.run.run_id] if source.run else source.name, called[other])
    try:
        compared = compare(source.predictions, second, selection.chosen)
    except GarmentError as error:
        st.info(told(error))
        return
    in_common = len(compared.rows_a)
    st.markdown(
        f"On {in_common:,} photo{'' if in_common == 1 else 's'} in common. {literal(comparison_words(compared, *names))}"
    )
    labels = source.predictions.labels
    a, b = source.predictions, second
    before = metrics.confusion_counts(a.true[compared.rows_a], a.predicted[compared.rows_a], len(labels))
    after = metrics.confusion_counts(b.true[compared.rows_b], b.predicted[compared.rows_b], len(labels))
    st.caption(
        f"{literal(names[1])} minus {literal(names[0])}, points of percentage by true class. Blue: {literal(names[1])} is better."
    )
    figure = figures.difference_figure(before, after, labels, view, names)
    grid(figure, labels, "matrix_difference", "Difference of two confusion matrices")
    which = st.segmented_control(
        "Photos right only in", [0, 1], format_func=lambda i: names[i], default=0, required=True, key="matrix_which"
    )
    titles = {"label": "in truth", "first": names[0], "p_first": "sure", "second": names[1], "p_second": "sure "}
    _photo_table(disagreements(compared, a, b, first_right=which == 0), source, titles)


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
