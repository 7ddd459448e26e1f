"""Outlines hold exactly the mask they were drawn round, joined into one polygon, with few corners."""

import numpy as np
import pytest
from scipy import ndimage

from core.images.outline import holds, mask_of, outline_of


def blob(seed: int) -> np.ndarray:
    """One connected part without holes."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(40, 30)), 3)
    parts, _ = ndimage.label(noise > 0)
    largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return ndimage.binary_fill_holes(largest)


@pytest.mark.parametrize("seed", range(5))
def test_an_exact_outline_holds_the_cells_of_the_mask_and_no_others(seed):
    mask = blob(seed)
    outline = outline_of(mask, tolerance=0)
    held = [[holds(outline, (x + 0.5, y + 0.5)) for x in range(mask.shape[1])] for y in range(mask.shape[0])]
    assert np.array_equal(held, mask)
    drawn = mask_of(outline, mask.shape[::-1])  # Pillow draws the border too
    assert drawn[mask].mean() > 0.98 and (drawn & ~mask).sum() <= len(outline_of(mask, 0)) * 2


def test_a_rectangle_has_four_corners():
    mask = np.zeros((9, 9), bool)
    mask[2:5, 3:8] = True
    assert outline_of(mask) == ((3, 2), (8, 2), (8, 5), (3, 5))


def test_a_tolerance_leaves_out_corners_and_keeps_the_shape():
    rows, columns = np.mgrid[:200, :200]
    disc = (rows - 100) ** 2 + (columns - 90) ** 2 < 70**2
    exact, coarse = outline_of(disc, 0), outline_of(disc, 2)
    assert len(coarse) < len(exact) / 5
    drawn = mask_of(coarse, (200, 200))
    assert (drawn & disc).sum() / (drawn | disc).sum() > 0.97


def test_two_parts_become_one_polygon_that_holds_both_and_nothing_between():
    mask = np.zeros((30, 30), bool)
    mask[2:12, 2:12] = mask[2:12, 18:28] = True
    outline = outline_of(mask)
    assert np.array_equal([[holds(outline, (x + 0.5, y + 0.5)) for x in range(30)] for y in range(30)], mask)


def test_specks_and_holes_are_left_out():
    mask = np.zeros((30, 30), bool)
    mask[5:25, 5:25] = True
    mask[10, 10] = False
    mask[0, 0] = True
    assert outline_of(mask) == ((5, 5), (25, 5), (25, 25), (5, 25))


def test_an_empty_mask_has_no_outline():
    assert outline_of(np.zeros((4, 4), bool)) == ()
    assert not mask_of((), (4, 4)).any() and not holds((), (1, 1))
