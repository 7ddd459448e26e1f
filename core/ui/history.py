"""The widgets of the training history page."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st
from plotly.colors import hex_to_rgb

from core.analysis import history
from core.analysis import text as words
from core.analysis.glossary import TERMS
from core.artifacts.training import FILES, IN_TRAINING, Training, find_trainings, read_training, resume_command, status
from core.plots import history as figures
from core.plots.palette import WARN
from core.plots.report import html_report
from core.settings import runs_folder
from core.ui.markdown import literal, told
from core.ui.shell import errors_shown

FOLLOWED = "followed"  # ids of the runs that a button chose, for the next run of the page
LIVE_EVERY = timedelta(seconds=3)
PICTURES = {"SVG": {"format": "svg"}, "PNG": {"format": "png", "scale": 3}}
METRIC_WIDTH = 170  # pixels; two fit beside each other on a telephone
PERCENT = ("best_validation", "test_accuracy", "test_low", "test_high", "final_train", "final_validation", "gain")
NUMBERS = {
    "peak_lr": "scientific",
    "trainable_parameters": "localized",
    "images_per_second": "%.1f",
    "hours": "%.2f",
    "minutes": "%.1f",
}
COMPARED = [
    "run",
    "best_validation",
    "best_epoch",
    "epochs",
    "test_accuracy",
    "test_low",
    "test_high",
    "hours",
    "device",
]
HELP = {
    "test_low": "95% interval of the test accuracy; of a published run what was published.",
    "gain": "Best validation accuracy over that of all stages before.",
    "images_per_second": "Photos trained on over training time.",
}

Stamp = tuple[tuple[int, int], ...]  # modification time and size of each file of a run


def trainings() -> tuple[list[Training], dict[str, str]]:
    """Every training and what is wrong with the others; a finished one is read again only when its files have changed."""
    with st.spinner("Reading runs…"):
        return find_trainings(runs_folder(), _read)


def _read(folder: Path) -> Training:
    """A training; a finished one as it was read before unless a file of it has changed since."""
    stamp = _stamp(folder)
    if not stamp:
        return read_training(folder)
    known, training = _shelf().get(folder, ((), None))
    if training is None or known != stamp:
        training = read_training(folder)
        _shelf()[folder] = stamp, training
    return training


def _stamp(folder: Path) -> Stamp:
    """Modification times and sizes of a finished run's files; empty for one that is not finished."""
    try:
        stats = [path.stat() for path in (folder / name for name in FILES) if path.exists()]
    except OSError:  # it vanished meanwhile
        return ()
    finished = (folder / "manifest.json").exists()
    return tuple((stat.st_mtime_ns, stat.st_size) for stat in stats) if finished else ()


@st.cache_resource(show_spinner=False)
def _shelf() -> dict[Path, tuple[Stamp, Training]]:
    """Finished trainings as read, one shelf for all visitors."""
    return {}


def warn_of_dead_link(found: list[Training]) -> None:
    """Say which runs of the page's address are not here; to be called before `choose`, which drops them."""
    here = {training.run_id for training in found} | set(history.shown_names(found).values())
    unknown = [run_id for run_id in st.query_params.get_all("runs") if run_id and run_id not in here]
    if unknown:
        st.warning(f"Not among the runs here: {literal(', '.join(unknown))}.", icon=":material/link_off:")


def choose(found: list[Training], shipped: str) -> list[Training]:
    """The trainings to look at, by the page's address or the visitor's choice; at first the shipped one, else the newest whole one."""
    by_id = {training.run_id: training for training in found}
    names = history.shown_names(found)
    whole = [training.run_id for training in found if not training.progress]
    given = [run_id for run_id in st.session_state.pop(FOLLOWED, _ids_in_address()) if run_id in by_id]
    if given:
        st.session_state["runs"] = given
    chosen = st.multiselect(
        "Runs",
        list(by_id),
        # With a default beside a value given Streamlit would warn of it.
        default=None if given else [shipped if shipped in by_id else (whole or list(by_id))[0]],
        format_func=lambda run_id: str(names.get(run_id, run_id)),
        key="runs",
        bind="query-params",
        help="One run shows its stages; several are laid over each other. The first is described in detail.",
    )
    return [by_id[run_id] for run_id in chosen]


def _ids_in_address() -> list[str]:
    """The address a page is opened with may name runs by their ids; the page itself writes what they are called."""
    return [] if "runs" in st.session_state else st.query_params.get_all("runs")


def take_away(training: Training) -> None:
    """The report of a training, and the format in which charts are saved."""
    with st.popover("Take away", icon=":material/download:"):
        st.download_button(
            "Printable report",
            lambda: html_report(training),
            f"{training.run_id}.html",
            "text/html",
            icon=":material/print:",
            on_click="ignore",
            help="One HTML file of the first run that works offline.",
        )
        _csv("All epochs", training.epochs, f"{training.run_id} epochs")
        st.segmented_control(
            "Charts are saved as",
            list(PICTURES),
            default="SVG",
            required=True,
            key="picture",
            bind="query-params",
            help="By the camera that appears in the corner of each chart.",
        )


def _chart(figure: Any, name: str, alt: str) -> None:
    picture = PICTURES[st.session_state.get("picture") or "SVG"]
    config = {"displaylogo": False, "toImageButtonOptions": {**picture, "filename": name}}
    st.plotly_chart(figure, key=f"{name}-chart", alt=alt, config=config)


def _csv(label: str, table: pd.DataFrame, name: str) -> None:
    st.download_button(
        label,
        lambda: table.to_csv(index=False),
        f"{name}.csv",
        "text/csv",
        key=f"{name}-csv",
        icon=":material/table:",
        on_click="ignore",
    )


def _table(table: pd.DataFrame | Any, columns: list[str], **more: Any) -> None:
    settings: dict[str, Any] = {name: words.HEADINGS.get(name, name) for name in columns}
    for name in columns:
        style = "percent" if name in PERCENT else NUMBERS.get(name)
        if style:
            settings[name] = st.column_config.NumberColumn(words.HEADINGS[name], format=style, help=HELP.get(name))
    st.dataframe(table, hide_index=True, column_order=columns, column_config=settings | more, placeholder="–")


def live(seen: list[Training], chosen: list[Training]) -> None:
    """How far trainings in progress are; the page follows by itself when one begins, finishes an epoch, or ends."""

    @st.fragment(run_every=LIVE_EVERY)
    @errors_shown()
    def follow() -> None:
        now, _ = trainings()
        if _news(now) != _news(seen):
            st.rerun()
        shown = {training.run_id for training in chosen}
        for training in now:
            if training.progress and (training.run_id in shown or status(training) == IN_TRAINING):
                _show_progress(training, training.run_id in shown)

    follow()


def _news(found: list[Training]) -> list[tuple[str, int, str]]:
    return [(training.run_id, len(training.epochs), status(training)) for training in found]


def _show_progress(training: Training, chosen: bool) -> None:
    state, told = status(training), training.progress
    if state != IN_TRAINING:
        reason = told.get("message") or "it gives no sign of life any more."
        st.error(
            f"The trainer of {literal(training.run_id)} {'stopped' if state == 'stopped' else 'died'}: {literal(reason)} "
            f"Go on with `{resume_command(training)}`.",
            icon=":material/heart_broken:",
        )
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(*_progress(training))
        if not chosen and st.button(
            "Follow", key=f"follow_{training.run_id}", on_click=_follow, args=(training.run_id,)
        ):
            st.rerun()


def _progress(training: Training) -> tuple[float, str]:
    told = training.progress
    if "step" not in told:
        return 0.0, f"{literal(training.run_id)} is getting ready."
    done = (told["epoch"] - 1 + told["step"] / max(1, told["steps"])) / max(1, told["epochs"])
    where = f"stage {told['stage']} of {told['stages']} ({literal(told['stage_name'])}), epoch {told['epoch']} of {told['epochs']}"
    left = f", {words.duration(told['seconds_left'])} left" if told.get("seconds_left") else ""
    now = f"{told['state']}, {where}: {told['images_per_second']:.0f} images/s{left}"
    return min(done, 1.0), f"{literal(training.run_id)}: {now}"


def _follow(run_id: str) -> None:
    st.session_state[FOLLOWED] = [run_id]


def summary(training: Training, found: list[Training]) -> None:
    """The training in one sentence and four figures, and what it went on from if that is among the trainings found."""
    st.subheader(literal(words.headline(training)), anchor=False)
    if went_on := words.went_on_from(training, found):
        st.markdown(literal(went_on))
    st.caption(literal(" ".join([words.circumstances(training), *training.manifest.get("notes", [])])))
    if training.best is None:
        return
    test = training.test_accuracy
    interval = f" 95% interval: {test['low']:.1%} to {test['high']:.1%}." if "value" in test else ""
    figures_shown = (
        ("Best validation", f"{training.best_accuracy:.2%}", "Of photos that only choose the best epoch."),
        (
            "Test accuracy",
            _test_accuracy(test),
            f"Of photos used neither for training nor for choosing an epoch.{interval} More on the confusion page.",
        ),
        (
            "Gained by unfreezing",
            _points(history.gain_by_unfreezing(training)),
            "Best validation accuracy of all stages over that of the first, in percentage points.",
        ),
        ("Training time", words.duration(training.seconds), "Sum over the epochs, or as published."),
    )
    with st.container(horizontal=True):
        for label, value, explanation in figures_shown:
            st.metric(label, value, help=explanation, width=METRIC_WIDTH)
    st.caption(literal(words.which_validation(training)))


def _test_accuracy(test: dict[str, Any]) -> str:
    if "value" in test:
        return f"{test['value']:.1%}"
    return f"≈ {100 * test['low']:.0f}–{test['high']:.0%}" if test else "not yet"  # as published


def _points(value: float) -> str:
    return "not known" if pd.isna(value) else f"{100 * value:+.1f} pts"


def compare(chosen: list[Training]) -> None:
    """Several trainings side by side: which is best, and its figures."""
    st.markdown(literal(words.comparison(chosen)))
    _table(history.runs_table(chosen), COMPARED)


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
            wrap=True,
            help=f"{TERMS['Loss']}\n\n{TERMS['Macro-F1']}",
        )
        axis = st.segmented_control(
            "By", list(figures.AXES), default="Epoch", required=True, key="axis", bind="query-params"
        )
        smoothing = st.slider(
            "Smoothing",
            0.0,
            0.9,
            0.0,
            0.1,
            key="smoothing",
            bind="query-params",
            width=160,
            help="Weight of the epochs before; the raw values stay behind. The learning rate is never smoothed.",
        )
        log_scale = st.toggle("Log scale", False, key="log", bind="query-params", help="For loss and learning rate.")
    known = [curve for curve in shown if figures.is_known(chosen, curve)]
    _say_what_is_left_out(chosen, shown, known, axis)
    if not known:
        return
    figure = figures.curves_figure(chosen, known, axis, smoothing, log_scale)
    if len(chosen) == 1 and "Loss" in known:
        st.caption(literal(words.losses_in_words(chosen[0])))
    _chart(figure, "curves", f"Training and validation by {axis.lower()}: {', '.join(known).lower()}")
    data = pd.concat([training.epochs.assign(run=training.run_id) for training in chosen])
    _csv("Data of the curves", data, "curves")


def _say_what_is_left_out(chosen: list[Training], shown: list[str], known: list[str], axis: str) -> None:
    if not shown:
        st.info("Choose at least one curve.", icon=":material/show_chart:")
    unknown = [curve for curve in shown if curve not in known]
    if unknown:
        st.caption(f"Not known of {_these(chosen)}: {', '.join(unknown).lower()}.")
    gaps = [training for training in chosen if any(training.column(figures.AXES[axis]).isna())]
    if gaps and known:
        names = ", ".join(literal(training.name) for training in gaps)
        st.caption(
            f"{axis} cannot be counted beyond an epoch without it, so curves of {names} end there or are missing."
        )


def _these(chosen: list[Training]) -> str:
    return "this run" if len(chosen) == 1 else "these runs"


def stages(training: Training) -> None:
    """What each stage of unfreezing brought, and which blocks trained in it."""
    table = history.stage_table(training)
    if table.empty:
        st.info("No epoch is finished yet.", icon=":material/hourglass_top:")
        return
    names = {f"{stage}: {name}": stage for stage, name in zip(table["stage"], table["name"], strict=True)}
    label = st.pills("Stage", list(names), default=list(names)[-1], required=True, key=f"stage-{training.run_id}")
    stage = names[label]
    blocks, before = (history.unfrozen_blocks(training, number) for number in (stage, stage - 1))
    if blocks:
        st.plotly_chart(
            figures.blocks_figure(blocks, [block for block in blocks if block not in before]),
            key="blocks-chart",
            config={"displayModeBar": False},
            alt=f"Blocks of ResNet50 that train in stage {stage}: {', '.join(blocks)}",
        )
    else:
        st.caption("Which blocks trained is not known.")
    _chart(figures.stages_figure(table), "stages", "Final training and best validation accuracy by stage")
    _table(table, list(table.columns))
    _csv("Data of the stages", table, "stages")


def gap(chosen: list[Training]) -> None:
    """Training against validation accuracy, and what it says."""
    names = history.shown_names(chosen)
    for training in chosen:
        of = f"**{literal(names[training.run_id])}**: " if len(chosen) > 1 else ""
        st.markdown(of + literal(words.gap_in_words(training.epochs)))
    _chart(figures.gap_figure(chosen), "gap", "Training minus validation accuracy by epoch")
    tables = [
        training.epochs[["epoch"]].assign(gap=history.gap(training.epochs), run=training.run_id) for training in chosen
    ]
    _csv("Data of the gap", pd.concat(tables), "gap")


def overview(found: list[Training], broken: dict[str, str]) -> None:
    """All runs in a table, and what is wrong with folders that are none."""
    if found:
        table = history.runs_table(found)
        _table(table, [*table.columns.drop("run_id"), "run_id"])
    for name, message in broken.items():
        st.warning(f"{literal(name)}: {told(message)}", icon=":material/folder_off:")


def settings(chosen: list[Training]) -> None:
    """Settings side by side, those that differ first and highlighted."""
    table, several = history.settings_table(chosen), len(chosen) > 1
    if several and st.toggle("Only what differs", key="differences", bind="query-params"):
        table = table[table["differs"]]
    shade = "background-color: rgba({}, {}, {}, 0.18)".format(*hex_to_rgb(WARN))
    styled = table.style.apply(lambda row: [shade if row["differs"] and several else ""] * len(row), axis=1)
    _table(styled, [name for name in table.columns if name != "differs"], **history.shown_names(chosen))


def data(training: Training) -> None:
    """What the run was trained on: classes, splits, failures, custom photos."""
    if not training.data:
        st.info("Nothing is known of this run's data.", icon=":material/database_off:")
        return
    for sentence in words.data_in_words(training.data):
        st.markdown(literal(sentence))
    problems = training.data.get("problems", [])
    if problems:
        st.dataframe(pd.DataFrame({f"Left out or noticed ({len(problems):,})": problems}), hide_index=True)
    else:
        st.markdown("Every row and photo could be read.")
    table = history.classes_table(training)
    if len(table):
        _table(table, list(table.columns))
    else:
        st.caption("Photos by class and split are not known.")
