"""What a network loses on photos taken otherwise: every condition changes what it says, and figures are of the photos given."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from PIL import Image

from core.analysis.model_card import robustness_table
from core.artifacts.measures import Robustness
from core.inference.engine import Activations
from train.catalogue import Source
from train.dataset import decoded_product
from train.robustness import AS_THEY_ARE, CONDITIONS, measure


class LightEngine:
    """Says class 0 of light photos and class 1 of dark ones, and is in scope only of the former."""

    height, width = 96, 72

    def run(self, pixels: np.ndarray) -> Activations:
        light = pixels.mean(axis=(1, 2, 3), dtype=float) > 128
        logits = np.where(light[:, None], [4.0, 0.0], [-9.0, -8.0]).astype(np.float32)
        return Activations(logits, np.zeros((len(pixels), 1, 3, 3), np.float32))


def garment(colour: tuple[int, int, int] = (200, 180, 190)) -> Image.Image:
    """A rectangle with a white patch on white."""
    image = Image.new("RGB", (60, 80), "white")
    image.paste(colour, (8, 8, 52, 72))
    image.paste((255, 255, 255), (25, 30, 35, 50))
    return image


def test_every_condition_changes_a_photo_but_the_first():
    photo = garment()
    changed = {name: change(photo) for name, change in CONDITIONS.items()}
    same = [name for name, image in changed.items() if image.size == photo.size and image.tobytes() == photo.tobytes()]
    assert same == [AS_THEY_ARE]
    assert all(image.mode == "RGB" for image in changed.values())


def test_padding_keeps_the_photo_in_the_middle():
    padded = CONDITIONS["padded with white 2 times"](garment())
    assert padded.size == (120, 160)
    assert padded.crop((30, 40, 90, 120)).tobytes() == garment().tobytes()


def test_only_the_white_around_a_garment_becomes_black():
    black = CONDITIONS["background made black"](garment())
    assert black.getpixel((0, 0)) == (0, 0, 0)
    assert black.getpixel((30, 40)) == (255, 255, 255)
    assert black.getpixel((10, 10)) == (200, 180, 190)


def test_shares_are_of_the_photos_and_the_worst_loss_names_its_condition():
    measured = measure(LightEngine(), [garment()] * 3 + [garment((10, 10, 10))], np.array([0, 0, 0, 1]), threshold=0.0)  # type: ignore[arg-type]
    first, *_ = measured["conditions"]
    assert measured["photos"] == 4 and len(measured["conditions"]) == len(CONDITIONS)
    assert (first["name"], first["accuracy"]["value"], first["in_scope"]["value"]) == (AS_THEY_ARE, 1.0, 0.75)
    assert first["accuracy"]["low"] < 1 == first["accuracy"]["high"]
    assert measured["worst_loss"]["accuracy"] == {"name": "light at 0.3", "value": 0.75}
    table = robustness_table(msgspec.convert(measured, Robustness))
    assert "75.0 points (light at 0.3)" in table and table.count("\n| ") == len(CONDITIONS) + 2


def test_a_run_without_these_figures_has_no_table():
    assert robustness_table(None) == ""


def test_a_product_comes_from_the_last_data_set_that_has_it_at_its_true_proportions(tmp_path):
    for name, size, ids in (("small", (60, 80), (1, 2)), ("sharp", (224, 224), (2,))):
        (tmp_path / name / "images").mkdir(parents=True)
        (tmp_path / name / "styles.csv").write_text("id,articleType\n")
        for photo_id in ids:
            garment().resize(size).save(tmp_path / name / "images" / f"{photo_id}.jpg")
    sources = [Source(tmp_path / name) for name in ("small", "sharp")]
    assert decoded_product(sources, 1).size == (60, 80)
    assert decoded_product(sources, 2).size == (168, 224)
    with pytest.raises((KeyError, OSError)):
        decoded_product(sources, 3)
