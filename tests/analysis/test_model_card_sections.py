"""The card's sections on all product types and on attributes."""

from pathlib import Path

from core.analysis.model_card import _all_types, _attributes
from core.artifacts.manifest import record_of
from core.artifacts.measures import AllTypes, Attributes

RATE = {"value": 0.9, "low": 0.85, "high": 0.93}


def test_all_types_are_listed_with_what_is_not_counted():
    measured = {
        "types": 104, "photos": 4500, "photos_of_types_without_output": 30, "accuracy": RATE, "other_products": RATE,
        "top3_accuracy": 0.97, "calibration_error": 0.02, "by_type": [{"type": "Watches", "n": 250, **RATE}],
    }  # fmt: skip

    def section(**changes) -> str:
        return _all_types(record_of(AllTypes, measured | changes, Path("metrics.json")))

    card = section()
    assert "outputs for 104 product types" in card and "30 test photos are of rarer types" in card
    assert "| Watches | 250 | 90.0% (85.0% to 93.0%) |" in card
    assert _all_types(None) == section(photos=0) == ""
    assert "other products alone" not in section(other_products=None)


def test_attributes_are_listed_beside_the_most_frequent_value_shown_or_not():
    head = {
        "photos": 400, "accuracy": RATE, "majority": {"value": "printed", "share": 0.4}, "given": 0.8, "calibration_error": 0.03,
        "values": [{"name": "striped", "n": 90, **RATE}], "shown": True,
    }  # fmt: skip
    heads = {"pattern": head, "collar": head | {"shown": False}, "section": {"photos": 0, "shown": False}}
    measured = {"margin": 0.05, "least_probability": 0.5, "heads": heads}
    card = _attributes(record_of(Attributes, measured, Path("metrics.json")))
    assert "| pattern | 400 | 90.0% (85.0% to 93.0%) | 40.0% (printed) | 80.0% | yes |" in card
    assert "| collar | 400 | 90.0% (85.0% to 93.0%) | 40.0% (printed) | 80.0% | no |" in card
    assert "| pattern: striped | 90 | 90.0% (85.0% to 93.0%) |" in card and "section |" not in card
    assert "5 points above" in card and "not a statement about a person" in card
    assert _attributes(None) == _attributes(record_of(Attributes, measured | {"heads": {}}, Path("metrics.json"))) == ""
