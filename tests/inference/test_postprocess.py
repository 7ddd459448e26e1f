"""Controls keep probabilities a distribution, and do what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from core.artifacts.labels import LabelSet
from core.inference.postprocess import Controls, apply_controls, energy, top_k
from tests.conftest import GROUPS

LABELS = LabelSet.from_json(GROUPS)
TOPS, BOTTOMS = LABELS.mask("tops"), LABELS.mask("bottoms")
distributions = st.lists(st.floats(0.001, 1), min_size=15, max_size=15).map(
    lambda values: np.array(values) / sum(values)
)


@given(distributions, st.sampled_from(LABELS.group_choices), st.floats(0, 1))
def test_controls_keep_a_distribution(probability, group, bias):
    result = apply_controls(probability, LABELS, Controls(group, bias))
    assert result.min() >= 0 and result.sum() == pytest.approx(1)
    assert not result[~LABELS.mask(group)].any()


@given(distributions)
def test_no_control_changes_nothing(probability):
    np.testing.assert_allclose(apply_controls(probability, LABELS, Controls()), probability)


@given(distributions, st.floats(0.01, 1))
def test_the_bias_scales_bottoms_against_tops_by_its_factor(probability, bias):
    result = apply_controls(probability, LABELS, Controls("all", bias))
    before = probability[BOTTOMS].sum() / probability[TOPS].sum()
    assert result[BOTTOMS].sum() / result[TOPS].sum() == pytest.approx(before * bias)


@given(distributions)
def test_a_full_bias_leaves_no_bottoms_unless_only_bottoms_are_asked_for(probability):
    assert not apply_controls(probability, LABELS, Controls("all", 0.0))[BOTTOMS].any()
    only = apply_controls(probability, LABELS, Controls("bottoms", 0.0))
    np.testing.assert_allclose(only, apply_controls(probability, LABELS, Controls("bottoms")))


@pytest.mark.parametrize("bias", [-0.1, 1.1, float("nan")])
def test_an_impossible_bias_is_refused(bias):
    with pytest.raises(ValueError, match="upper_body_bias is .*; it must be from 0 to 1"):
        Controls("all", bias)


def test_energy_is_logsumexp():
    logits = np.random.default_rng(0).normal(size=(4, 15))
    np.testing.assert_allclose(energy(logits), logsumexp(logits, axis=1))


@given(distributions, st.integers(1, 15))
def test_top_k_is_sorted_and_of_length_k(probability, k):
    ranking = top_k(probability, LABELS, k)
    values = [value for _, value in ranking]
    assert len(ranking) == k and values == sorted(values, reverse=True) and values[0] == probability.max()


def test_classes_filtered_out_are_not_ranked():
    probability = apply_controls(np.full(15, 1 / 15), LABELS, Controls("tops"))
    assert {name for name, _ in top_k(probability, LABELS, 15)} == set(GROUPS["Tops"])
