"""The snapshot is the view in large: the photo with boxes, labels and heat map on it, and beside it what each box shows."""

import dataclasses

import numpy as np
from PIL import Image, ImageColor

from core.artifacts.labels import LabelSet
from core.images.region import Region
from core.inference.classifier import Answer
from core.plots.bars import FADED
from core.plots.palette import GROUP
from core.plots.snapshot import MARGIN, PANEL, PHOTO, Card, HeatView, snapshot
from tests.conftest import GROUPS

LABELS = LabelSet.from_json(GROUPS)
ANSWER = Answer([("Tshirts", 0.9), ("Jeans", 0.1)], "Tops", True, 5.0, ("Tshirts", 0.9), ("Jeans", 0.1))
WHOLE = Card("Whole photo", 0, None, None, ANSWER)
BOX = Card("Box 1", 1, "#ff0000", Region(100, 200, 500, 700), ANSWER)
SCALE = PHOTO[0] / 600


def drawn(cards: list[Card], heat: HeatView | None = None) -> np.ndarray:
    photo = Image.new("RGB", (300, 300), (0, 0, 0))
    sheet = snapshot(photo, (600, 600) if cards[-1] is WHOLE else (600, 800), cards, cards[-1], heat, LABELS, "footer")
    return np.asarray(sheet).astype(int)


def places(pixels: np.ndarray, colour: str) -> tuple[np.ndarray, np.ndarray]:
    return np.nonzero(np.abs(pixels - ImageColor.getrgb(colour)).sum(axis=2) == 0)


def test_most_of_it_is_the_photo():
    pixels = drawn([WHOLE])
    photo = (pixels[MARGIN : MARGIN + PHOTO[0], MARGIN : MARGIN + PHOTO[0]] == 0).all(axis=2)
    assert photo.all() and photo.size > 0.6 * pixels.shape[0] * pixels.shape[1]


def test_a_box_stands_where_its_region_is():
    pixels = drawn([WHOLE, BOX])
    scale = min(PHOTO[0] / 600, PHOTO[1] / 800)
    rows, columns = places(pixels[:, : MARGIN + round(600 * scale)], "#ff0000")
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(np.subtract(found, [MARGIN + side * scale for side in (100, 200, 500, 700)])).max() <= 3


def test_an_outline_is_drawn_in_place_of_its_box():
    outlined = dataclasses.replace(BOX, outline=((300, 200), (500, 450), (300, 700), (100, 450)))
    pixels, scale = drawn([WHOLE, outlined]), min(PHOTO[0] / 600, PHOTO[1] / 800)
    corner = (
        slice(MARGIN + round(690 * scale), MARGIN + round(704 * scale)),
        slice(MARGIN + round(96 * scale), MARGIN + round(110 * scale)),
    )
    assert not places(pixels[corner], "#ff0000")[0].size and places(pixels, "#ff0000")[0].size > 500


def test_the_heat_map_is_on_the_selected_box_alone():
    heat = HeatView(lambda size: np.ones(size[::-1], np.float32), "Tshirts", None, 1.0, False)
    pixels, scale = drawn([WHOLE, BOX], heat), min(PHOTO[0] / 600, PHOTO[1] / 800)
    inside = pixels[MARGIN + round(450 * scale), MARGIN + round(300 * scale)]
    outside = pixels[MARGIN + round(750 * scale), MARGIN + round(50 * scale)]
    assert tuple(inside) == (253, 231, 37) and tuple(outside) == (0, 0, 0)


def test_bars_are_as_long_as_the_probabilities_and_coloured_by_group():
    pixels = drawn([WHOLE])
    tops, bottoms = ((places(pixels, GROUP[group])[1]) for group in ("Tops", "Bottoms"))
    assert abs(np.ptp(tops) - 9 * np.ptp(bottoms)) < 12


def test_the_bars_of_a_refused_photo_are_as_pale_as_on_the_page():
    pixels = drawn([dataclasses.replace(WHOLE, answer=dataclasses.replace(ANSWER, in_scope=False))])
    colour = ImageColor.getrgb(GROUP["Tops"])
    pale = "#" + "".join(f"{round(FADED * c + (1 - FADED) * 255):02x}" for c in colour)
    assert not places(pixels, GROUP["Tops"])[0].size and places(pixels, pale)[0].size > 500


def test_every_class_that_is_listed_has_a_bar():
    ranking = [(name, 1 / len(LABELS)) for name in LABELS.names]
    pixels = drawn([dataclasses.replace(WHOLE, answer=dataclasses.replace(ANSWER, ranking=ranking))])
    bars = sum((np.abs(pixels - ImageColor.getrgb(GROUP[group])).sum(axis=2) == 0).any(axis=1) for group in GROUPS)
    assert (np.diff(bars.astype(bool).astype(int)) == 1).sum() == len(LABELS)


def test_thirty_boxes_are_all_listed():
    cards = [WHOLE, *(dataclasses.replace(BOX, name=f"Box {n}", number=n) for n in range(1, 31))]
    few, many = drawn(cards[:2]), drawn(cards)
    assert len(many) >= len(few)
    left = many.shape[1] - MARGIN - PANEL
    rows = (many[:, left : left + 15] == (255, 0, 0)).all(axis=2).any(axis=1)
    assert (np.diff(rows.astype(int)) == 1).sum() == 30
