"""Which runs the training history page is about: found, chosen by address or by hand, followed while they train."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import streamlit as st

from core.analysis import history
from core.analysis import text as words
from core.artifacts.heartbeat import IN_TRAINING, STOPPED, Heartbeat
from core.artifacts.training import FILES, Training, find_trainings, read_training, resume_command, status
from core.settings import runs_folder
from core.ui.markdown import literal, told
from core.ui.shell import errors_shown

CHOSEN = "runs"  # key of the choice, and the query parameter that carries its ids
WRITTEN = "runs_written"  # ids that this session wrote into the address
UNKNOWN = "runs_unknown"  # ids of the address that are not here
LIVE_EVERY = timedelta(seconds=3)

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


def choose(found: list[Training], shipped: str) -> list[Training]:
    """The trainings to look at: those of the page's address, or the visitor's choice; at first the shipped one, else the newest whole one.

    The address always carries the ids of what is chosen. Ids that are not here stay in it until the visitor chooses anew.
    """
    by_id = {training.run_id: training for training in found}
    names = history.shown_names(found)
    _adopt_address(by_id, names)
    if CHOSEN not in st.session_state:
        whole = [training.run_id for training in found if not training.heartbeat]
        st.session_state[CHOSEN] = [shipped if shipped in by_id else (whole or list(by_id))[0]]
    elif vanished := [run_id for run_id in st.session_state[CHOSEN] if run_id not in by_id]:
        st.session_state[CHOSEN] = [run_id for run_id in st.session_state[CHOSEN] if run_id not in vanished]
    chosen = st.multiselect(
        "Runs",
        list(by_id),
        format_func=lambda run_id: str(names.get(run_id, run_id)),
        key=CHOSEN,
        on_change=_forget_unknown,
        help="The first run is described in detail; several are drawn over each other.",
    )
    _write_address([*chosen, *st.session_state.get(UNKNOWN, [])])
    return [by_id[run_id] for run_id in chosen]


def _adopt_address(by_id: dict[str, Training], names: dict[str, str]) -> None:
    """Take over the runs of an address that this session did not write: a link, a reload, or the browser's way back."""
    asked, arrived = [run_id for run_id in st.query_params.get_all(CHOSEN) if run_id], CHOSEN not in st.session_state
    if arrived:
        _forget_unknown()
    if not asked or (asked == st.session_state.get(WRITTEN) and not arrived):
        return
    ids = {name: run_id for run_id, name in names.items()} | {run_id: run_id for run_id in by_id}
    st.session_state[CHOSEN] = list(dict.fromkeys(ids[given] for given in asked if given in ids))
    st.session_state[UNKNOWN] = [given for given in asked if given not in ids]


def _write_address(ids: list[str]) -> None:
    if st.query_params.get_all(CHOSEN) != ids:
        st.query_params[CHOSEN] = ids
    st.session_state[WRITTEN] = ids


def _forget_unknown() -> None:
    st.session_state[UNKNOWN] = []


def warn_of_unknown() -> None:
    """Say which runs of the page's address are not here."""
    unknown = st.session_state.get(UNKNOWN, [])
    if unknown:
        st.warning(f"These runs are not here: {literal(', '.join(unknown))}.", icon=":material/link_off:")


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
            if training.heartbeat and (training.run_id in shown or status(training) == IN_TRAINING):
                _show_progress(training, training.run_id in shown)

    follow()


def _news(found: list[Training]) -> list[tuple[str, int, str]]:
    return [(training.run_id, len(training.epochs), status(training)) for training in found]


def _show_progress(training: Training, chosen: bool) -> None:
    state, told = status(training), training.heartbeat
    if not told or state != IN_TRAINING:
        reason = (told and told.message) or "no heartbeat."
        st.error(
            f"The trainer of {literal(training.run_id)} {'stopped' if state == STOPPED else 'died'}: {literal(reason)} "
            f"Continue with `{resume_command(training.folder)}`.",
            icon=":material/heart_broken:",
        )
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(*_progress(training.run_id, told))
        if not chosen and st.button("Follow", key=f"follow_{training.run_id}", on_click=choose_all, args=([training],)):
            st.rerun()


def _progress(run_id: str, told: Heartbeat) -> tuple[float, str]:
    if not told.steps:
        return 0.0, f"{literal(run_id)} is getting ready."
    done = (told.epoch - 1 + told.step / told.steps) / max(1, told.epochs)
    stage = f"stage {told.stage} of {told.stages} ({literal(told.stage_name)})"
    left = f", {words.duration(told.seconds_left)} left" if told.seconds_left else ""
    where = f"{stage}, epoch {told.epoch} of {told.epochs}: {told.images_per_second:.0f} images/s{left}"
    return min(done, 1.0), f"{literal(run_id)}: {literal(told.state)}, {where}"


def choose_all(wanted: list[Training]) -> None:
    """Choose trainings from the next run of the page on, as a button does."""
    st.session_state[CHOSEN] = [training.run_id for training in wanted]
    _forget_unknown()


def alarms(chosen: list[Training]) -> None:
    """What is going wrong in the chosen trainings, and what was left out when they were read."""
    names = history.shown_names(chosen)
    for training in chosen:
        of = f"{names[training.run_id]}: " if len(chosen) > 1 else ""
        for sentence in words.alarms(training):
            st.warning(literal(of + sentence), icon=":material/trending_down:")
        for remark in training.remarks:
            st.caption(literal(of + remark))


def broken(problems: dict[str, str]) -> None:
    """What is wrong with folders that are no runs."""
    for name, message in problems.items():
        st.warning(f"{literal(name)}: {told(message)}", icon=":material/folder_off:")
