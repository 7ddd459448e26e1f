"""The snapshot shows the boxes where they are, and a bar for each class."""

import dataclasses

import numpy as np
from PIL import Image, ImageColor

from core.artifacts.labels import LabelSet
from core.images.region import Region
from core.inference.classifier import Answer
from core.plots.bars import FADED
from core.plots.palette import GROUP
from core.plots.snapshot import MARGIN, Card, snapshot
from tests.conftest import GROUPS

LABELS = LabelSet.from_json(GROUPS)
ANSWER = Answer([("Tshirts", 0.9), ("Jeans", 0.1)], "Tops", True, 5.0, ("Tshirts", 0.9), ("Jeans", 0.1))


def drawn(cards: list[Card]) -> np.ndarray:
    photo = Image.new("RGB", (300, 400), (0, 0, 0))
    return np.asarray(snapshot(photo, (600, 800), cards, LABELS, "footer"))


def test_a_box_stands_where_its_region_is():
    heat = Image.new("RGB", (20, 20))
    pixels = drawn([Card("Region 1", "#ff0000", Region(100, 200, 500, 700), ANSWER, heat)])
    rows, columns = np.nonzero((pixels[MARGIN : MARGIN + 400, MARGIN : MARGIN + 300] == (255, 0, 0)).all(axis=2))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (50, 100, 250, 350)


def test_bars_are_as_long_as_the_probabilities_and_coloured_by_group():
    pixels = drawn([Card("Whole photo", None, None, ANSWER, Image.new("RGB", (20, 20)))]).astype(int)
    tops, bottoms = (
        (np.abs(pixels - ImageColor.getrgb(GROUP[group])).sum(axis=2) == 0).any(axis=0).sum()
        for group in ("Tops", "Bottoms")
    )
    assert bottoms and abs(tops - 9 * bottoms) < 12


def test_the_bars_of_a_refused_photo_are_as_pale_as_on_the_page():
    refused = dataclasses.replace(ANSWER, in_scope=False)
    pixels = drawn([Card("Whole photo", None, None, refused, Image.new("RGB", (20, 20)))]).reshape(-1, 3)
    assert not (pixels == (0x3B, 0x7D, 0xD8)).all(axis=1).any()
    pale = [round(FADED * c + (1 - FADED) * 255) for c in (0x3B, 0x7D, 0xD8)]
    assert (pixels == pale).all(axis=1).sum() > 1000


def test_every_class_that_is_listed_has_a_bar():
    ranking = [(name, 1 / len(LABELS)) for name in LABELS.names]
    card = Card("Whole photo", None, None, dataclasses.replace(ANSWER, ranking=ranking), Image.new("RGB", (20, 20)))
    coloured = (np.abs(drawn([card]).astype(int) - ImageColor.getrgb(GROUP["Tops"])).sum(axis=2) == 0).any(axis=1)
    coloured |= (np.abs(drawn([card]).astype(int) - ImageColor.getrgb(GROUP["Bottoms"])).sum(axis=2) == 0).any(axis=1)
    assert (np.diff(coloured.astype(int)) == 1).sum() == len(LABELS)


def test_the_sheet_grows_with_the_cards():
    card = Card("Region 1", "#ff0000", None, ANSWER, Image.new("RGB", (20, 20)))
    assert len(drawn([card] * 5)) > len(drawn([card]))
