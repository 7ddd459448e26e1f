"""What a stage of unfreezing taught: its blocks, and the validation photos that became correct or incorrect with it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st
from PIL import Image

from core.analysis import history
from core.analysis import stages as analysis
from core.analysis import text as words
from core.analysis.comparison import Comparison, compare
from core.artifacts.predictions import Predictions
from core.artifacts.run import Run
from core.artifacts.training import Training
from core.errors import GarmentError, InvalidData
from core.images.dataset import PhotoFiles, catalogue_path
from core.images.decode import decode_photo
from core.images.encode import data_url, jpeg
from core.inference.classifier import Classifier
from core.inference.verdict import class_name
from core.plots import history as figures
from core.plots.heatmap import overlay
from core.settings import DATA, DEFAULTS
from core.ui.handover import open_in_classify
from core.ui.history.predictions import predictions_on_test_photos, stage_predictions
from core.ui.history.widgets import table
from core.ui.markdown import literal, told
from core.ui.shell import HISTORY_PAGE
from core.ui.thumbnails import catalogue, thumbnail_url

MOST_PHOTOS = 50  # rows of a list of photos
HEAT_WIDTH = 180  # pixels of a photo with its heat map

Networks = tuple[Run | None, Run | None]  # before and after; None where the weights were not kept


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
        run = training.run
        networks = (run.after_stage(number - 1), run.after_stage(number)) if run else (None, None)
        changed_photos(change, predictions, (number - 1, number), networks, f"changes-{training.run_id}-{number}")


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


def changed_photos(
    change: Comparison, predictions: dict[int, Predictions], compared: tuple[int, int], networks: Networks, key: str
) -> None:
    """Photos that became correct or incorrect between two of the predictions, each to be opened in Classify."""
    before, after = compared
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
    _open(event.selection.rows, rows, found, networks, f"{key}-{kind}")


def _open(selected: list[int], rows: pd.DataFrame, found: dict[str, bytes], networks: Networks, key: str) -> None:
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
    if data:
        _heat_maps(data, networks, (row["before"], row["after"]))


def _heat_maps(data: bytes, networks: Networks, predicted: tuple[str, str]) -> None:
    """Why the networks before and after predicted what they did, where the weights of both were kept."""
    before, after = networks
    if before is None or after is None:
        return
    with st.container(horizontal=True):
        for when, run, label in zip(("Before", "After"), (before, after), predicted, strict=True):
            try:
                picture = _heat_map(run, run.facts.files[run.network], data, label)
            except GarmentError as error:
                st.warning(told(error), icon=":material/broken_image:")
                return
            with st.container(width=HEAT_WIDTH):
                st.image(data_url(picture), width=HEAT_WIDTH, alt=f"{when}: heat map of {label}")
                st.caption(f"{when}: predicted as {literal(class_name(label))}")


@st.cache_data(max_entries=64, show_spinner="Making heat maps…")
def _heat_map(_run: Run, sha256: str, data: bytes, label: str) -> bytes:
    """A photo with the heat map of a class, as JPEG. Raises BrokenRun or UnreadablePhoto."""
    classifier = _classifier(_run, sha256)
    photo = decode_photo(data, at_least=classifier.enough)
    image = photo.image.convert("RGB")
    size = (2 * HEAT_WIDTH, round(2 * HEAT_WIDTH * image.height / image.width))
    [reading] = classifier.read([(photo, None)])
    heat = reading.heat(classifier.labels.index(label), size)
    return jpeg(overlay(image.resize(size, Image.Resampling.LANCZOS), heat, DEFAULTS.opacity), 85)


@st.cache_resource(max_entries=2, show_spinner=False)
def _classifier(_run: Run, sha256: str) -> Classifier:
    return Classifier(_run, busy=True)


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
    networks = (_with_network(before), _with_network(after))
    changed_photos(change, {1: first, 2: second}, (1, 2), networks, f"part-{after.run_id}")


def _with_network(training: Training) -> Run | None:
    return training.run if training.run and training.run.has_network else None


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
