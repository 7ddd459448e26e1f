"""The bars of an answer show its names as text, in order, with lengths in proportion."""

import re

import pytest

from core.artifacts.labels import LabelSet
from core.inference.verdict import rounded
from core.plots.bars import probability_bars
from core.plots.palette import GROUP
from tests.conftest import GROUPS

LABELS = LabelSet.from_json(GROUPS)
RANKING = [("Tshirts", 0.8), ("Jeans", 0.15), ("Track Pants", 0.05)]


def test_names_values_and_lengths_follow_the_ranking():
    html = probability_bars(RANKING, LABELS)
    assert re.findall(r'bar-name"[^>]*>([^<]+)<', html) == ["T-shirts", "Jeans", "Track Pants"]
    assert re.findall(r'bar-value">([^<]+)<', html) == ["80.0%", "15.0%", "5.0%"]
    assert [float(share) for share in re.findall(r"\* ([\d.]+)\)", html)] == [0.8, 0.15, 0.05]


def test_colours_are_the_groups():
    html = probability_bars(RANKING, LABELS)
    assert re.findall(r"background:(#\w+)", html) == [GROUP["Tops"], GROUP["Bottoms"], GROUP["Bottoms"]]


def test_a_legend_says_which_colour_is_which_group_where_there_are_several():
    legend = re.findall(r"color:(#\w+)\">■</span> (\w+)<", probability_bars(RANKING[:1], LABELS))
    assert legend == [(GROUP["Tops"], "Topwear"), (GROUP["Bottoms"], "Bottomwear")]
    assert "■" not in probability_bars([("a", 1.0)], LabelSet.from_json({"Shoes": ["a"]}))


def test_an_answer_out_of_scope_is_faded():
    assert "opacity:1" in probability_bars(RANKING, LABELS) and "opacity:0.4" in probability_bars(
        RANKING, LABELS, in_scope=False
    )


def test_a_class_named_in_html_is_shown_as_text():
    hostile = LabelSet.from_json({"Tops": ["<script>alert(1)</script>"]})
    assert "<script>" not in probability_bars([("<script>alert(1)</script>", 1.0)], hostile)


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(0.0, "under 0.1%"), (0.0005, "0.1%"), (0.01, "1%"), (0.994, "99%"), (0.995, "over 99%"), (1.0, "over 99%")],
)
def test_nothing_is_called_certain_or_impossible(probability, shown):
    assert rounded(probability) == shown
