"""What a photo is taught as: ordinary cross-entropy for one class, the sum of what a coarse label allows otherwise."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from core.errors import InvalidConfig
from train.targets import ANY_BACKGROUND, NO_TARGET, ClassList, Targets, allowed_set_cross_entropy, background_types

CLASSES = ClassList.load("garments15")
TARGETS = Targets.of(CLASSES, ("Watches", "Dresses"))
MEMBERS = torch.from_numpy(TARGETS.members)


def outputs(n: int) -> torch.Tensor:
    return torch.randn((n, 17), generator=torch.Generator().manual_seed(1), requires_grad=True)


def test_with_one_allowed_output_it_is_cross_entropy():
    goal = torch.arange(17)
    loss = allowed_set_cross_entropy(outputs(17), goal, MEMBERS, 0.1)
    assert loss.item() == pytest.approx(F.cross_entropy(outputs(17), goal, label_smoothing=0.1).item(), rel=1e-6)


def test_mixed_targets_are_soft_cross_entropy():
    goal = torch.zeros(4, len(TARGETS.names))
    goal[:, 0], goal[:, 5] = 0.3, 0.7
    loss = allowed_set_cross_entropy(outputs(4), goal, MEMBERS, 0.1)
    expected = F.cross_entropy(outputs(4), goal[:, :17], label_smoothing=0.1)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_coarse_label_asks_for_the_sum_of_what_it_allows():
    x = outputs(1)
    loss = allowed_set_cross_entropy(x, torch.tensor([TARGETS.names.index("pants")]), MEMBERS, 0.0)
    allowed = [TARGETS.names.index(name) for name in ("Jeans", "Trousers", "Track Pants", "Leggings")]
    p = x.softmax(1)[0]
    assert loss.item() == pytest.approx(-torch.log(p[allowed].sum()).item(), rel=1e-5)
    loss.backward()
    grad = x.grad[0]
    assert torch.isfinite(grad).all()
    assert (grad[allowed] < 0).all()
    assert grad[[i for i in range(17) if i not in allowed]].min() > 0


def test_sharper_a_coarse_label_asks_for_one_of_what_it_allows():
    pants = torch.tensor([TARGETS.names.index("pants")])
    allowed = [TARGETS.names.index(name) for name in ("Jeans", "Trousers", "Track Pants", "Leggings")]
    x = outputs(1)
    p = x.softmax(1)[0][allowed]
    losses = [allowed_set_cross_entropy(x, pants, MEMBERS, 0.0, sharpness).item() for sharpness in (1, 2, 1000)]
    assert losses[1] == pytest.approx(-torch.log((p**2).sum().sqrt()).item(), rel=1e-5)
    assert losses[2] == pytest.approx(-torch.log(p.max()).item(), rel=1e-2)
    assert losses == sorted(losses)
    whole = torch.zeros(1, 17)
    whole[0, allowed[0]] = 20.0
    for sharpness in (1, 2):
        assert allowed_set_cross_entropy(whole, pants, MEMBERS, 0.0, sharpness).item() == pytest.approx(0, abs=1e-6)


def test_each_label_allows_its_outputs():
    assert TARGETS.background == ("Watches", "Dresses")
    of = dict(zip(TARGETS.names, TARGETS.members, strict=True))
    assert of["t-shirt"].sum() == 1
    assert of["t-shirt"][0]
    assert np.flatnonzero(of["dress"]).tolist() == [16]
    assert np.flatnonzero(of[ANY_BACKGROUND]).tolist() == [15, 16]
    assert "hat" not in of  # neither caps nor hats have an output


def test_a_label_that_stands_for_no_article_type_allows_any_background():
    of = dict(zip(TARGETS.names, TARGETS.members, strict=True))
    for label in ("body", "worn bag", "worn background"):
        assert np.flatnonzero(of[label]).tolist() == [15, 16]
    assert "body" not in Targets.of(CLASSES).names  # without a background there is nothing to teach it as


def test_labels_that_say_too_little_are_untaught_and_have_no_target():
    assert CLASSES.untaught == {"not sure", "other"}
    assert not CLASSES.untaught & set(TARGETS.names)


def test_a_worn_garment_is_told_from_the_same_word_in_another_data_set():
    of = dict(zip(TARGETS.names, TARGETS.members, strict=True))
    assert of["pants"].sum() == 4
    assert [TARGETS.names[i] for i in np.flatnonzero(of["worn pants"])] == ["Trousers", "Track Pants"]
    assert CLASSES.classes_of("worn dress") == ()
    assert CLASSES.classes_of("worn jacket") == ("Jackets", "Blazers")


def test_without_a_background_nothing_else_is_taught():
    bare = Targets.of(CLASSES)
    assert ANY_BACKGROUND not in bare.names
    assert bare.background == ()
    labels = pd.Series(["Tshirts", "Watches", "pants", "dress"])
    taught = bare.of_labels(labels, np.array([False, False, True, True]))
    assert taught.tolist() == [0, NO_TARGET, bare.names.index("pants"), NO_TARGET]


def test_a_type_without_an_output_is_any_background():
    labels = pd.Series(["Watches", "Socks", "hat"])
    taught = TARGETS.of_labels(labels, np.array([False, False, True]))
    assert taught.tolist() == [15, TARGETS.names.index(ANY_BACKGROUND), NO_TARGET]


def test_frequent_types_get_outputs_in_a_fixed_order():
    labels = pd.Series(["b"] * 3 + ["c"] * 3 + ["a"] * 5 + ["d"])
    assert background_types(labels, 3) == ("a", "b", "c")
    assert background_types(labels, 0) == ()


@pytest.mark.parametrize("name", ["nothing", "../garments15"])
def test_an_unknown_class_list_says_which_there_are(name):
    with pytest.raises(InvalidConfig, match=r"no class list .* Known: garments15"):
        ClassList.load(name)


def test_every_article_type_of_the_list_stands_in_one_place():
    named = [name for types in CLASSES.other.values() for name in types]
    assert len(named) == len(set(named))
    assert not set(named) & set(CLASSES.labels.names)
