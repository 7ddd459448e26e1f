"""A head fitted again learns its corrections and says of everything else what it said before."""

import numpy as np
import pytest
from PIL import Image

from core.errors import InvalidData
from core.feedback import Correction, decide, store
from core.images.region import Region
from core.inference.postprocess import softmax
from train.head import Head, fit, read_decisions

RANDOM = np.random.default_rng(0)
OLD = Head(RANDOM.normal(0, 0.1, (4, 32)).astype(np.float32), np.zeros(4, np.float32))
REPLAYED = RANDOM.random((300, 32), np.float32)
TAUGHT = RANDOM.random((3, 32), np.float32)
MEMBERS = np.eye(4, dtype=bool)


def test_corrections_are_learned_and_the_rest_stays_nearly_as_it_was():
    goals = OLD.outputs(TAUGHT).argmin(axis=1)
    new = fit(OLD, REPLAYED, TAUGHT, goals, MEMBERS, strength=1.0)
    weak = fit(OLD, REPLAYED, TAUGHT, goals, MEMBERS, strength=0.03)

    def likelihood(head: Head) -> float:
        return float(softmax(head.outputs(TAUGHT))[np.arange(3), goals].mean())

    def moved(head: Head) -> float:
        return float(np.abs(softmax(head.outputs(REPLAYED)) - softmax(OLD.outputs(REPLAYED))).mean())

    assert likelihood(new) > likelihood(weak) > likelihood(OLD)
    assert moved(weak) < 0.03 and moved(new) < 0.1


def test_a_correction_that_the_head_knows_already_changes_nothing():
    sure = Head(OLD.weight * 0, np.array([20, 0, 0, 0], np.float32))
    new = fit(sure, REPLAYED, TAUGHT, np.zeros(3, int), MEMBERS, strength=1.0)
    np.testing.assert_allclose(new.outputs(REPLAYED), sure.outputs(REPLAYED), atol=1e-2)


def test_decisions_come_from_the_exported_table_or_the_file_of_corrections(tmp_path):
    table, file = tmp_path / "decisions.csv", tmp_path / "feedback.sqlite3"
    table.write_text("id,label,given\n7,Shirts,Tops\n8,,Tops\n")
    said = Correction("Tops", "a" * 64, (9, 9), Region(0, 0, 9, 9), "run", "Shirts", 0.5)
    store(file, said, Image.new("RGB", (9, 9)))
    with pytest.raises(InvalidData, match="holds no decisions"):
        read_decisions(file)
    for photo, label in (("7", "Shirts"), ("8", ""), ("own folder/9.jpg", "Tops")):
        decide(file, photo, label)
    assert read_decisions(table) == read_decisions(file) == {7: "Shirts", 8: ""}
