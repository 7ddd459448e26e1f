"""The widgets of the training history page."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd
import streamlit as st

from core import figures_history as figures
from core import history
from core.history import Training
from core.report import html_report
from core.runs import runs_folder

CHART = {"displaylogo": False, "toImageButtonOptions": {"format": "svg", "filename": "training"}}
LIVE_EVERY = 3.0  # seconds


def trainings() -> tuple[list[Training], dict[str, str]]:
    """Every training and what is wrong with the others; read again only when a file has changed."""
    folder = runs_folder()
    return _trainings(folder, _state_of_files(folder))


def _state_of_files(folder: Path) -> tuple:
    """Names and modification times of what `core.history` reads: a key that changes with them."""
    names = ("manifest.json", "history.csv", "progress.json")
    files = [path for child in folder.glob("*") for path in (child / name for name in names)]
    return tuple((str(path), path.stat().st_mtime_ns) for path in sorted(files) if path.is_file())


@st.cache_resource(max_entries=4, show_spinner="Reading runs…")
def _trainings(folder: Path, state: tuple) -> tuple[list[Training], dict[str, str]]:
    return history.find_trainings(folder)


def choose(found: list[Training], shipped: str) -> list[Training]:
    """The trainings to look at, by the page's address or the visitor's choice; the shipped one at first."""
    by_id = {training.run_id: training for training in found}
    start = shipped if shipped in by_id else found[0].run_id
    chosen = st.multiselect(
        "Runs",
        list(by_id),
        default=[start],
        key="runs",
        bind="query-params",
        help="One run shows its stages; several are laid over each other.",
    )
    return [by_id[run_id] for run_id in chosen]


def overview(found: list[Training], broken: dict[str, str]) -> None:
    """All runs in a table, and what is wrong with folders that are none."""
    st.dataframe(
        history.runs_table(found).drop(columns="run_id"),
        hide_index=True,
        column_config={
            "run": "Run",
            "made": "Made",
            "recipe": "Recipe",
            "input": "Input",
            "initial_weights": "Initial weights",
            "best_validation": st.column_config.NumberColumn("Best validation", format="percent"),
            "best_epoch": "at epoch",
            "test_accuracy": st.column_config.NumberColumn(
                "Test", format="percent", help="Empty where it was not measured."
            ),
            "test_low": st.column_config.NumberColumn(
                "from", format="percent", help="95% interval; for the published run as published."
            ),
            "test_high": st.column_config.NumberColumn("to", format="percent"),
            "images_per_second": st.column_config.NumberColumn("Images/s", format="%.0f"),
            "hours": st.column_config.NumberColumn("Hours", format="%.1f"),
            "device": "Device",
        },
    )
    for name, message in broken.items():
        st.warning(f"{name}: {message}", icon=":material/folder_off:")


def live(training: Training) -> None:
    """How far a training in progress is; the page follows it while its trainer is alive."""

    @st.fragment(run_every=timedelta(seconds=LIVE_EVERY))
    def follow() -> None:
        now = next((other for other in trainings()[0] if other.run_id == training.run_id), None)
        if now is None or not now.progress:
            st.rerun()
        assert now is not None
        _show_progress(now)
        if len(now.epochs) != len(training.epochs):
            st.rerun()

    follow()


def _show_progress(training: Training) -> None:
    told, state = training.progress, history.state_of(training.progress)
    resume = f"`python -m train --resume artifacts/runs/{training.run_id}`"
    if state != "training":
        reason = told.get("message") or "it gives no sign of life any more"
        st.error(
            f"The trainer of {training.run_id} stopped: {reason} Continue with {resume}.",
            icon=":material/heart_broken:",
        )
        return
    if "epoch" not in told:
        st.info(f"{training.run_id} is getting ready.", icon=":material/hourglass_top:")
        return
    done = (told["epoch"] - 1 + told["step"] / max(1, told["steps"])) / told["epochs"]
    left = f"{told['seconds_left'] / 60:.0f} minutes left" if told.get("seconds_left") else ""
    where = f"stage {told['stage']} of {told['stages']}, epoch {told['epoch']} of {told['epochs']}"
    st.progress(
        min(done, 1.0), f"{training.run_id}: {told['state']}, {where}, {told['images_per_second']:.0f} images/s, {left}"
    )


def summary(training: Training) -> None:
    """The training in one sentence and four figures."""
    st.markdown(history.headline(training))
    best, test = training.best, training.metrics.get("accuracy", {})
    if best is None:
        return
    shown = f"{test['value']:.1%}" if "value" in test else test.get("as_published", "not yet")
    stages = history.stage_table(training)
    columns = st.columns(4)
    columns[0].metric("Best validation accuracy", f"{best['val_accuracy']:.2%}")
    columns[1].metric("Test accuracy", shown, help="Of photos never used in training; see the confusion page.")
    columns[2].metric(
        "Gain of the last stage",
        _points(stages["gain"].iloc[-1]),
        help="Best validation accuracy over all stages before.",
    )
    columns[3].metric("Images a second", f"{training.epochs['images_per_second'].mean():.0f}")
    if training.manifest.get("notes"):
        st.caption(" ".join(training.manifest["notes"]))
    st.download_button(
        "Report",
        lambda: html_report(training),
        f"{training.run_id}.html",
        "text/html",
        icon=":material/print:",
        on_click="ignore",
        help="One HTML file that works offline and prints well.",
    )


def _points(value: float) -> str:
    return "not known" if pd.isna(value) else f"{100 * value:+.2f} points"


def curves(chosen: list[Training]) -> None:
    """The curves, with their controls and their data."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = st.pills(
            "Curves",
            list(figures.CURVES),
            default=["Accuracy", "Loss"],
            selection_mode="multi",
            key="curves",
            bind="query-params",
        )
        axis = st.segmented_control(
            "By", list(figures.AXES), default="Epoch", required=True, key="axis", bind="query-params"
        )
        smoothing = st.slider("Smoothing", 0.0, 0.9, 0.0, 0.1, key="smoothing", bind="query-params", width=160)
        log_scale = st.toggle("Log scale", False, key="log", bind="query-params", help="For loss and learning rate.")
    if not shown:
        st.info("Choose at least one curve.", icon=":material/show_chart:")
        return
    if axis != "Epoch" and any(training.epochs[figures.AXES[axis]].isna().all() for training in chosen):
        st.caption(
            "A run without known figures on this axis is left out; an epoch that was not published breaks the count."
        )
    known = [curve for curve in shown if figures.is_known(chosen, curve)]
    if len(known) < len(shown):
        st.caption(f"Not known of these runs: {', '.join(curve for curve in shown if curve not in known)}.")
    if not known:
        return
    figure = figures.curves_figure(chosen, known, axis or "Epoch", smoothing, log_scale)
    st.plotly_chart(figure, key="curves-chart", alt="Curves of training and validation by epoch", config=CHART)
    data = pd.concat([training.epochs.assign(run=training.run_id) for training in chosen])
    st.download_button(
        "Data as CSV", data.to_csv(index=False), "history.csv", "text/csv", icon=":material/table:", on_click="ignore"
    )


def gap(training: Training) -> None:
    """Training against validation accuracy, and what it says."""
    st.markdown(history.gap_in_words(training.epochs))
    st.plotly_chart(
        figures.gap_figure(training), key="gap-chart", alt="Training minus validation accuracy by epoch", config=CHART
    )


def stages(training: Training) -> None:
    """What each stage of unfreezing brought, and which blocks trained in it."""
    table = history.stage_table(training)
    if table.empty:
        st.info("No epoch is finished yet.", icon=":material/hourglass_top:")
        return
    names = dict(zip(table["stage"], table["stage"].astype(str) + ": " + table["name"], strict=True))
    chosen = st.segmented_control(
        "Stage",
        list(names),
        default=int(table["stage"].iloc[-1]),
        format_func=lambda stage: names[stage],
        required=True,
        key="stage",
    )
    blocks = history.unfrozen_blocks(training, int(chosen or 1))
    st.plotly_chart(
        figures.blocks_figure(blocks),
        key="blocks-chart",
        config={"displayModeBar": False},
        alt=f"Trainable: {', '.join(blocks)}",
    )
    st.plotly_chart(
        figures.stages_figure(table),
        key="stages-chart",
        alt="Best validation and final training accuracy by stage",
        config=CHART,
    )
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "stage": "Stage",
            "name": "Unfrozen",
            "epochs": "Epochs",
            "trainable_parameters": st.column_config.NumberColumn("Trainable parameters", format="localized"),
            "peak_lr": st.column_config.NumberColumn("Learning rate", format="scientific"),
            "best_validation": st.column_config.NumberColumn("Best validation", format="percent"),
            "final_train": st.column_config.NumberColumn("Final training", format="percent"),
            "final_validation": st.column_config.NumberColumn("Final validation", format="percent"),
            "minutes": st.column_config.NumberColumn("Minutes", format="%.0f"),
            "gain": st.column_config.NumberColumn(
                "Gain", format="percent", help="Best validation over that of the stages before."
            ),
        },
    )


def settings(chosen: list[Training]) -> None:
    """Settings side by side, those that differ first."""
    table = history.settings_table(chosen)
    names = {training.run_id: training.name for training in chosen}
    styled = table.style.apply(lambda row: ["font-weight: bold" if row["differs"] else ""] * len(row), axis=1)
    st.dataframe(
        styled,
        hide_index=True,
        column_config={**names, "setting": "Setting", "differs": "Differs" if len(chosen) > 1 else None},
    )


def data(training: Training) -> None:
    """What the run was trained on: classes, splits, failures, custom photos."""
    known = training.data
    if not known:
        st.info("Nothing is known of this run's data.", icon=":material/database_off:")
        return
    table = history.classes_table(training)
    if not table.empty:
        st.dataframe(
            table,
            hide_index=True,
            column_config={"class": "Class", "train": "Training", "val": "Validation", "test": "Test"},
        )
    duplicates = known.get("near_duplicates")
    if duplicates:
        st.markdown(
            f"{duplicates['photos']} photos are near-duplicates in {duplicates['groups']} groups; a group never straddles two splits."
        )
    custom = known.get("custom", {})
    if custom:
        of = f" of {custom['rows']}" if "rows" in custom else ""
        st.markdown(
            f"{custom.get('loaded', 0)}{of} custom photos (ids from {custom['ids_from']}) loaded; all of them are in training."
        )
    problems = known.get("problems", [])
    st.markdown(
        f"{len(problems)} problem{'' if len(problems) == 1 else 's'} while reading the data{':' if problems else '.'}"
    )
    if problems:
        st.dataframe(pd.DataFrame({"problem": problems}), hide_index=True)
