"""The deletion curve hides the hottest places first, in one pass, and leaves the letterbox as it is."""

from types import SimpleNamespace

import numpy as np
import pytest

from core.images.decode import Photo
from core.inference.faithfulness import SHARES, DeletionCurve, deletion_curve
from core.inference.postprocess import softmax
from core.samples import garments


@pytest.fixture
def photo() -> Photo:
    image = garments.sample("Shirts")
    return Photo(image, "shirt.png", "PNG", "0" * 64, *image.size)


def asked(classifier, photo, index):
    """The deletion curve, and the inputs of the passes that it took."""
    reading, passes, run = classifier.read([(photo, None)])[0], [], classifier.engine.run
    classifier.engine.run = lambda pixels: passes.append(pixels) or run(pixels)
    try:
        return reading, deletion_curve(classifier, photo, None, reading, index), passes
    finally:
        classifier.engine.run = run


def test_each_point_hides_its_share_and_more_than_the_one_before_in_one_pass(random_classifier, photo):
    _, curve, (inputs,) = asked(random_classifier, photo, 3)
    seen = random_classifier.prepare(photo)
    left, top, right, bottom = seen.content
    hidden = [(pixels == 255).all(axis=2)[top:bottom, left:right] for pixels in inputs]
    plain = (seen.pixels == 255).all(axis=2)[top:bottom, left:right]
    assert curve.hidden == SHARES and len(inputs) == len(SHARES) - 1
    for share, before, after in zip(SHARES[1:], [plain, *hidden], hidden, strict=False):
        assert after.mean() >= share - 0.01 and (after | ~before).all(), "what was hidden stays hidden"
    assert hidden[-1].all()


def test_it_starts_at_the_probability_of_the_prediction(random_classifier, photo):
    reading, curve, _ = asked(random_classifier, photo, 3)
    assert curve.probabilities[0] == pytest.approx(softmax(reading.logits, random_classifier.temperature)[3])
    assert len(curve.probabilities) == len(SHARES) and all(0 <= p <= 1 for p in curve.probabilities)


def test_a_curve_that_falls_at_once_has_less_area_than_one_that_stays():
    falls = DeletionCurve((0.0, 0.1, 1.0), (1.0, 0.0, 0.0))
    stays = DeletionCurve((0.0, 0.1, 1.0), (1.0, 1.0, 0.0))
    assert falls.area == pytest.approx(0.05) and stays.area == pytest.approx(0.55)


def test_the_reading_stays_as_it_was(random_classifier, photo):
    reading, _, _ = asked(random_classifier, photo, 3)
    again = random_classifier.read([(photo, None)])[0]
    np.testing.assert_allclose(again.logits, reading.logits, atol=1e-4)


def test_the_area_has_its_percentile_among_the_test_photos_for_the_predicted_class_alone(
    random_classifier, photo, monkeypatch
):
    measured = SimpleNamespace(heat_maps=SimpleNamespace(percentiles=np.linspace(0, 0.5, 101)))
    monkeypatch.setattr(random_classifier, "run", SimpleNamespace(has=lambda _: True, metrics=measured))
    reading = random_classifier.read([(photo, None)])[0]
    predicted, *_, last = np.argsort(-reading.logits)
    curve = deletion_curve(random_classifier, photo, None, reading, int(predicted))
    assert curve.percentile == pytest.approx(min(200 * curve.area, 100))
    assert deletion_curve(random_classifier, photo, None, reading, int(last)).percentile is None
