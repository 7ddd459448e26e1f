"""Photos with coarse labels: counted by label and prediction, correct where the label allows the class."""

import pandas as pd
import pytest

from core.analysis import coarse
from core.artifacts.labels import LabelSet
from core.artifacts.measures import Coarse, CoarseLabel, Share
from core.artifacts.tables import read_table
from core.errors import InvalidData

LABELS = LabelSet({"Tops": ("Tshirts", "Shirts"), "Bottoms": ("Jeans", "Trousers")})
CSV = """id,label,allowed,in_scope_score,Tshirts,Shirts,Jeans,Trousers
1,pants,Jeans|Trousers,5,0.1,0.1,0.7,0.1
2,pants,Jeans|Trousers,5,0.7,0.1,0.1,0.1
3,pants,Jeans|Trousers,-1,0.1,0.1,0.1,0.7
4,t-shirt,Tshirts,5,0.7,0.1,0.1,0.1
5,dress,,-1,0.7,0.1,0.1,0.1
6,dress,,5,0.7,0.1,0.1,0.1
"""


def photos(text: str = CSV, threshold: float | None = 0.0):
    return coarse.coarse_predictions(read_table(text.encode(), "phone.csv"), "phone.csv", LABELS, threshold)


def test_photos_are_counted_by_label_and_what_a_visitor_sees():
    matrix = coarse.coarse_matrix(photos())
    assert matrix.given == ("pants", "t-shirt", "dress")
    assert matrix.counts.tolist() == [[1, 0, 1, 0, 1], [1, 0, 0, 0, 0], [1, 0, 0, 0, 1]]
    assert matrix.allowed.astype(int).tolist() == [[0, 0, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]


def test_the_share_of_a_label_is_of_all_its_photos():
    table = coarse.label_table(coarse.coarse_matrix(photos())).set_index("label")
    assert table["share"].to_dict() == pytest.approx({"pants": 1 / 3, "t-shirt": 1, "dress": 1 / 2})


def test_without_a_threshold_every_photo_is_in_scope():
    assert coarse.coarse_matrix(photos(threshold=None)).counts[:, -1].sum() == 0


def test_the_recall_of_a_class_is_of_photos_whose_label_allows_it_alone():
    table = coarse.recall_by_class(photos())
    assert table["photos"].tolist() == [1, 0, 0, 0]
    assert table["share"][0] == 1 and table["share"][1:].isna().all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CSV.replace("Trousers,5,0.7", "Socks,5,0.7"), "allows “Socks”, which is no class \\(line 3\\)"),
        (CSV.replace("allowed", "sets"), "lacks the columns allowed"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(text, message):
    with pytest.raises(InvalidData, match=message):
        photos(text)


def test_rates_of_a_run_without_single_photos_come_from_its_measures():
    pants = CoarseLabel(label="pants", n=4, value=0.5, low=0.2, high=0.8)
    measured = Coarse(photos=4, exact=Share(), allowed_set=Share(), labels=(pants, CoarseLabel(label="x")))
    pd.testing.assert_frame_equal(
        coarse.measured_labels(measured),
        pd.DataFrame({"label": ["pants"], "photos": [4], "share": [0.5], "low": [0.2], "high": [0.8]}),
    )
