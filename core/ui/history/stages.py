"""What a stage of unfreezing taught: its blocks, and the validation photos that became correct or incorrect with it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.analysis import history
from core.analysis import stages as analysis
from core.analysis import text as words
from core.analysis.comparison import Comparison, compare
from core.artifacts.predictions import Predictions
from core.artifacts.training import Training
from core.errors import InvalidData
from core.images.dataset import PhotoFiles, catalogue_path
from core.plots import history as figures
from core.settings import DATA
from core.ui.handover import open_in_classify
from core.ui.history.predictions import predictions_on_test_photos, stage_predictions
from core.ui.history.widgets import table
from core.ui.markdown import literal, told
from core.ui.shell import HISTORY_PAGE
from core.ui.thumbnails import catalogue, thumbnail_url

MOST_PHOTOS = 50  # rows of a list of photos


def stage(training: Training) -> None:
    """A stage to choose: which blocks it unfroze, and what changed on the validation photos."""
    rows = history.stage_table(training)
    if rows.empty:
        st.info("No epoch is finished yet.", icon=":material/hourglass_top:")
        return
    names = {f"{number}: {name}": int(number) for number, name in zip(rows["stage"], rows["name"], strict=True)}
    label = st.pills("Stage", list(names), default=list(names)[-1], required=True, key=f"stage-{training.run_id}")
    number = names[label]
    _blocks(training, number)
    st.caption(literal(words.stage_in_words(rows.set_index("stage").loc[number].to_dict())))
    predictions = stage_predictions(training)
    change = analysis.stage_change(predictions, number)
    if change is None:
        st.caption("There is no stage before." if number == 1 else "This run has no validation predictions by stage.")
        return
    st.markdown(literal(words.change_in_words(change)))
    by_class = analysis.changes_by_class(change, predictions[number])
    left, right = st.columns([1, 2], gap="large")
    with left:
        table(by_class, list(by_class.columns))
    with right:
        changed_photos(change, predictions, number - 1, number, f"changes-{training.run_id}-{number}")


def _blocks(training: Training, number: int) -> None:
    blocks, before = (history.unfrozen_blocks(training, until) for until in (number, number - 1))
    if not blocks:
        st.caption("Which blocks trained is unknown.")
        return
    st.plotly_chart(
        figures.blocks_figure(blocks, [block for block in blocks if block not in before]),
        key="blocks-chart",
        config={"displayModeBar": False},
        alt=f"Blocks of ResNet50 that train in stage {number}: {', '.join(blocks)}",
    )


def changed_photos(change: Comparison, predictions: dict[int, Predictions], before: int, after: int, key: str) -> None:
    """Photos that became correct or incorrect between two of the predictions, each to be opened in Classify."""
    kinds = {f"Became correct ({change.only_b:,})": True, f"Became incorrect ({change.only_a:,})": False}
    kind = st.segmented_control("Photos", list(kinds), default=list(kinds)[0], required=True, key=f"{key}-kind")
    rows = analysis.changed_photos(change, predictions[before], predictions[after], kinds[kind]).head(MOST_PHOTOS)
    if rows.empty:
        st.caption("None.")
        return
    photos = _photos()
    found = photos.read(list(rows["id"])) if photos else {}
    probabilities = analysis.true_class_probabilities(predictions, list(rows["id"]))
    rows["photo"] = [thumbnail_url(found.get(str(photo))) for photo in rows["id"]]
    rows["probability"] = probabilities.astype(object).where(probabilities.notna(), None).values.tolist()
    columns = [
        *["photo"] * bool(found),
        "product" if any(rows["product"]) else "id",
        "label",
        "before",
        "after",
        "probability",
    ]
    event = table(
        rows,
        columns,
        photo=st.column_config.ImageColumn("Photo", width="small"),
        probability=st.column_config.LineChartColumn("Probability of the true class", y_min=0, y_max=1),
        options={
            "key": f"{key}-{kind}",
            "width": "stretch",
            "height": 360,
            "row_height": 64 if found else None,
            "on_select": "rerun",
            "selection_mode": "single-row",
        },
    )
    _open(event.selection.rows, rows, found, f"{key}-{kind}")


def _open(selected: list[int], rows: pd.DataFrame, found: dict[str, bytes], key: str) -> None:
    if not found:
        st.caption(f"To see the photos, set `{DATA}` to the data set's zip or folder.")
        return
    row: dict[str, Any] = rows.iloc[selected[0]].to_dict() if selected and selected[0] < len(rows) else {}
    data = found.get(str(row.get("id")))
    pressed = st.button(
        "Open in Classify",
        icon=":material/open_in_new:",
        disabled=data is None,
        key=f"{key}-open",
        help="Select a row first, at its left edge.",
    )
    if pressed and data:
        open_in_classify(f"{row['id']}.jpg", data, row["label"], HISTORY_PAGE)


def _photos() -> PhotoFiles | None:
    try:
        path = catalogue_path()
        return catalogue(path) if path else None
    except InvalidData as error:
        st.warning(told(error), icon=":material/image_not_supported:")
        return None


def earlier_runs(parts: list[Training]) -> None:
    """What changed between the runs of a lineage, what each gained, and which test photos it fixed and broke."""
    rows = history.parts_table(parts)
    table(rows, list(rows.columns))
    names = history.shown_names(parts)
    for before, after in zip(parts, parts[1:], strict=False):
        title = f"{names[before.run_id]} → {names[after.run_id]}"
        with st.expander(literal(title), expanded=len(parts) == 2):
            changed = history.changes(before, after)
            table(changed, list(changed.columns), before="Before", after="After")
            _test_photos(before, after, names)


def _test_photos(before: Training, after: Training, names: dict[str, str]) -> None:
    first, second = predictions_on_test_photos(before), predictions_on_test_photos(after)
    if first is None or second is None:
        st.caption("One of the two has no test predictions.")
        return
    try:
        change = compare(first, second, first.true >= 0)
    except InvalidData as error:
        st.caption(told(error))
        return
    st.markdown(literal(words.part_change_in_words(change, names[before.run_id], names[after.run_id])))
    changed_photos(change, {1: first, 2: second}, 1, 2, f"part-{after.run_id}")


def repeats(training: Training, found: list[Training], choose_all: Any) -> None:
    """What repeats of the recipe with other seeds say of its noise; nothing where there are none."""
    same = history.repeats(training, found)
    if len(same) < 2:
        return
    st.markdown(literal(words.repeats_in_words(same)))
    rows = history.repeats_table(same)
    table(rows, list(rows.columns))
    st.button(
        f"Show all {len(same)} runs of this recipe",
        icon=":material/stacked_line_chart:",
        on_click=choose_all,
        args=(same,),
    )
