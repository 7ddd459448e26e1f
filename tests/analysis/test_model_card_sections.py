"""The card's sections on all product types and on attributes."""

from core.analysis.model_card import _all_types, _attributes

RATE = {"value": 0.9, "low": 0.85, "high": 0.93}


def test_all_types_are_listed_with_what_is_not_counted():
    measured = {
        "types": 104, "photos": 4500, "photos_of_types_without_output": 30, "accuracy": RATE, "other_products": RATE,
        "top3_accuracy": 0.97, "calibration_error": 0.02, "by_type": [{"type": "Watches", "n": 250, **RATE}],
    }  # fmt: skip
    card = _all_types({"all_types": measured})
    assert "outputs for 104 product types" in card and "30 test photos are of rarer types" in card
    assert "| Watches | 250 | 90.0% (85.0% to 93.0%) |" in card
    assert _all_types({}) == _all_types({"all_types": measured | {"photos": 0}}) == ""
    assert "other products alone" not in _all_types({"all_types": measured | {"other_products": None}})


def test_attributes_are_listed_beside_the_most_frequent_value_shown_or_not():
    head = {
        "photos": 400, "accuracy": RATE, "majority": {"value": "printed", "share": 0.4}, "given": 0.8, "calibration_error": 0.03,
        "values": [{"name": "striped", "n": 90, **RATE}], "shown": True,
    }  # fmt: skip
    heads = {"pattern": head, "collar": head | {"shown": False}, "section": {"photos": 0, "shown": False}}
    measured = {"margin": 0.05, "least_probability": 0.5, "heads": heads}
    card = _attributes({"attributes": measured})
    assert "| pattern | 400 | 90.0% (85.0% to 93.0%) | 40.0% (printed) | 80.0% | yes |" in card
    assert "| collar | 400 | 90.0% (85.0% to 93.0%) | 40.0% (printed) | 80.0% | no |" in card
    assert "| pattern: striped | 90 | 90.0% (85.0% to 93.0%) |" in card and "section |" not in card
    assert "5 points above" in card and "not a statement about a person" in card
    assert _attributes({}) == _attributes({"attributes": measured | {"heads": {}}}) == ""
