"""The boxes of a photo: drawn, moved, deleted and undone, each with a number of its own, never more than a photo can have."""

import pytest
import streamlit as st

from core.errors import InvalidRegion
from core.images.region import Region
from core.ui.classify import boxes

SHA, SIZE, CANVAS = "photo", (1000, 2000), (500, 1000)
A, B = Region(100, 100, 400, 600), Region(500, 700, 900, 1500)


@pytest.fixture(autouse=True)
def state(monkeypatch) -> dict:
    state: dict = {}
    monkeypatch.setattr(st, "session_state", state)
    return state


def rectangle(region: Region) -> dict:
    """As the canvas of half the photo's size tells of it."""
    return {
        "type": "Rect", "originX": "left", "originY": "top", "left": region.left / 2, "top": region.top / 2,
        "width": region.width / 2, "height": region.height / 2, "scaleX": 1, "scaleY": 1, "angle": 0,
    }  # fmt: skip


def drawn(*regions: Region) -> None:
    boxes.take_drawn(SIZE, SHA, [rectangle(region) for region in regions], CANVAS)


def shown() -> list[tuple[int, Region | None]]:
    return [(mark.number, mark.region) for mark in boxes.boxes(SHA)]


def test_a_drawn_box_is_numbered_and_selected():
    drawn(A)
    assert shown() == [(1, A)] and boxes.selected(SHA).number == 1
    drawn(A, B)
    assert shown() == [(1, A), (2, B)] and boxes.selected(SHA).number == 2


def test_boxes_drawn_before_the_first_is_answered_are_all_taken():
    drawn(A, B)
    assert shown() == [(1, A), (2, B)]


def test_a_canvas_that_begins_afresh_gives_new_boxes():
    drawn(A, B)
    drawn(B)
    assert shown() == [(1, A), (2, B), (3, B)]


def test_what_was_deleted_can_be_drawn_again_at_the_same_place():
    drawn(A)
    boxes.remove(SHA, 1)
    drawn(A, A)
    assert shown() == [(1, A)]


def test_specks_of_stray_clicks_are_no_boxes():
    drawn(Region(10, 10, 14, 14), A)
    assert shown() == [(1, A)]


def test_others_keep_their_numbers_when_one_is_deleted():
    drawn(A, B)
    boxes.remove(SHA, 1)
    assert shown() == [(2, B)] and boxes.selected(SHA).number == 2
    drawn(A, B, A)
    assert [number for number, _ in shown()] == [2, 3]


def test_every_change_is_undone_in_turn():
    drawn(A)
    boxes.move(SIZE, SHA, 1, B)
    boxes.remove(SHA, 1)
    boxes.replace(SHA, [(A, None), (B, None)])
    steps = []
    while boxes.can_undo(SHA):
        boxes.undo(SHA)
        steps.append(shown())
    assert steps == [[], [(1, B)], [(1, A)], []]
    boxes.undo(SHA)
    assert shown() == []


def test_a_moved_box_loses_the_outline_of_its_old_place():
    boxes.replace(SHA, [(A, ((100, 100), (400, 100), (250, 600)))])
    assert boxes.boxes(SHA)[0].outline
    boxes.move(SIZE, SHA, 1, B)
    assert boxes.boxes(SHA)[0].outline is None


def test_a_box_over_the_edge_ends_there_and_one_outside_is_refused():
    boxes.add(SIZE, SHA, Region(-50, 1900, 300, 2300))
    assert shown() == [(1, Region(0, 1900, 300, 2000))]
    with pytest.raises(InvalidRegion, match="outside the photo"):
        boxes.add(SIZE, SHA, Region(1200, 0, 1400, 100))


def test_hundreds_of_boxes_in_one_message_are_bounded_and_said(state):
    drawn(*[Region(left, 0, left + 50, 60) for left in range(0, 900)])
    assert len(shown()) == boxes.MAX_BOXES
    assert f"{boxes.MAX_BOXES} boxes at most" in state["box_problem"]


def test_a_box_too_small_to_show_a_garment_is_said(state):
    drawn(Region(10, 10, 16, 400))
    assert shown() == [] and "too few" in state["box_problem"]


def test_a_closed_photo_leaves_nothing():
    drawn(A)
    boxes.forget(SHA)
    assert shown() == [] and not boxes.can_undo(SHA)
