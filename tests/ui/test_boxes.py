"""The numbers of boxes: each has its own, whatever was typed on the canvas and however fast they were drawn."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("labels", "numbers"),
    [
        ([], []),
        (["1", "2"], [1, 2]),
        (["2", "1"], [2, 1]),
        (["1", "1"], [1, 2]),
        (["1", "1", "2"], [1, 3, 2]),
        (["3", "3", "3"], [3, 4, 5]),
        (["0"], [1]),
        (["Jeans", "7", ""], [8, 7, 9]),
        ([None, 2.5], [1, 2]),
        (["-1", "1e9", "9" * 5000, "²", "٣"], [1, 2, 3, 4, 5]),
        (["999", "x"], [999, 1000]),
    ],
)
def test_every_box_has_a_number_of_its_own(labels, numbers, random_runs):
    AppTest.from_file(
        str(ROOT / "pages" / "1_Classify.py"), default_timeout=60
    ).run()  # makes the canvas known to Streamlit
    from core.ui.classify.boxes import _numbers

    assert _numbers([{"label": label} for label in labels]) == numbers
