"""A prediction in words: one sentence each for a close call, a filter that leaves out the class, and a photo out of scope."""

import pytest

from core.inference.classifier import Answer
from core.inference.verdict import class_name, confidence, rounded, verdict


def answer(**changes) -> Answer:
    fields = {
        "ranking": [("Tshirts", 0.9), ("Shirts", 0.06), ("Jeans", 0.04)],
        "group": "Tops",
        "in_scope": True,
        "score": 5.0,
        "without_controls": ("Tshirts", 0.9),
        "runner_up": ("Shirts", 0.06),
        "allowed": 1.0,
    }
    return Answer(**fields | changes)


def test_a_clear_prediction_names_class_probability_and_confidence():
    words = verdict(answer(), 15)
    assert (words.headline, words.probability, words.confidence, words.note) == (
        "T-shirts",
        "90%",
        "High confidence",
        "",
    )
    assert words.short == "T-shirts 90%"


def test_a_close_call_names_both_classes():
    close = answer(
        ranking=[("Tops", 0.5), ("Tshirts", 0.4)], without_controls=("Tops", 0.5), runner_up=("Tshirts", 0.4)
    )
    assert verdict(close, 15).note == "Close call: Tops 50% or T-shirts 40%."


def test_a_photo_out_of_scope_names_no_class_in_its_headline():
    words = verdict(answer(in_scope=False), 15)
    assert words.headline == "Probably not one of the 15 classes" and not words.probability and not words.confidence
    assert words.note == "Closest: T-shirts, Shirts, Jeans."


def test_a_photo_out_of_scope_says_what_it_shows_instead_where_that_is_known():
    assert (
        verdict(answer(in_scope=False, looks_like=("Casual Shoes", 0.97)), 15).note == "Looks like Casual Shoes (97%)."
    )


def test_a_filter_that_leaves_out_the_class_is_what_the_headline_says():
    filtered = answer(
        ranking=[("Shorts", 0.26), ("Skirts", 0.2)], group="Bottoms", allowed=0.001, runner_up=("Skirts", 0.2)
    )
    words = verdict(filtered, 15, "bottoms")
    assert words.short == "Probably not bottomwear (0.1%)" and "Shorts" not in words.headline
    assert words.note == "Without filter and bias: T-shirts, 90%." and not words.confidence


def test_what_filter_and_bias_changed_is_said():
    changed = answer(without_controls=("Tshirts", 0.7))
    assert verdict(changed, 15).note == "Without filter and bias: T-shirts, 70%."


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (1.0, "over 99%"),
        (0.996, "over 99%"),
        (0.994, "99%"),
        (0.5, "50%"),
        (0.01, "1%"),
        (0.004, "0.4%"),
        (0.0, "under 0.1%"),
    ],
)
def test_no_percentage_calls_a_class_certain_or_impossible(probability, words):
    assert rounded(probability) == words


@pytest.mark.parametrize(("probability", "level"), [(0.8, "High"), (0.79, "Medium"), (0.5, "Medium"), (0.49, "Low")])
def test_confidence_is_high_medium_or_low(probability, level):
    assert confidence(probability) == f"{level} confidence"


def test_classes_are_named_as_people_write_them():
    assert class_name("Tshirts") == "T-shirts" and class_name("Track Pants") == "Track Pants"
