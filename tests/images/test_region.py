"""Regions survive the way to the canvas and back, stay inside their photo, and say what is wrong with them."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from core.errors import InvalidRegion
from core.images.decode import decode_photo
from core.images.region import MIN_SIDE, STRAY_SIDE, Region, clamp, contained, parse_roi, regions_from_canvas
from tests.images.test_decode import UNDO, tagged

CANVAS, PHOTO = (600, 800), (3000, 4000)
sizes = st.tuples(st.integers(1, 9000), st.integers(1, 9000))


@st.composite
def regions(draw, photo_size):
    left, top = draw(st.integers(0, photo_size[0] - 1)), draw(st.integers(0, photo_size[1] - 1))
    return Region(left, top, draw(st.integers(left + 1, photo_size[0])), draw(st.integers(top + 1, photo_size[1])))


def rect(**changes):
    """A rectangle as the canvas gives it after drawing from (100, 200) to (300, 600)."""
    drawn = {
        "type": "Rect", "originX": "left", "originY": "top", "left": 100, "top": 200, "width": 200, "height": 400,
        "scaleX": 1, "scaleY": 1, "angle": 0, "strokeWidth": 2,
    }  # fmt: skip
    return drawn | changes


def on_canvas(region, canvas_size, photo_size):
    """A region as the canvas would tell of it."""
    x, y = canvas_size[0] / photo_size[0], canvas_size[1] / photo_size[1]
    return rect(left=region.left * x, top=region.top * y, width=region.width * x, height=region.height * y)


def read(**changes):
    return regions_from_canvas([rect(**changes)], CANVAS, PHOTO)


@given(data=st.data(), canvas_size=sizes, photo_size=sizes)
def test_photo_to_canvas_and_back_is_exact_at_any_scale(data, canvas_size, photo_size):
    region = data.draw(regions(photo_size))
    drawn = on_canvas(region, canvas_size, photo_size)
    assume(max(drawn["width"], drawn["height"]) > STRAY_SIDE)
    assert regions_from_canvas([drawn], canvas_size, photo_size) == [region]


@given(data=st.data(), canvas_size=sizes, photo_size=sizes)
def test_canvas_to_photo_and_back_moves_no_edge_by_more_than_a_pixel_of_either(data, canvas_size, photo_size):
    left, top = data.draw(st.floats(-50, canvas_size[0])), data.draw(st.floats(-50, canvas_size[1]))
    width, height = data.draw(st.floats(STRAY_SIDE + 1, 9000)), data.draw(st.floats(STRAY_SIDE + 1, 9000))
    drawn = rect(left=left, top=top, width=width, height=height)
    (region,) = regions_from_canvas([drawn], canvas_size, photo_size)
    back = on_canvas(region, canvas_size, photo_size)
    for start, length, axis in (("left", "width", 0), ("top", "height", 1)):
        pixel = max(1.0, canvas_size[axis] / photo_size[axis])
        assert abs(back[start] - drawn[start]) <= pixel
        assert abs(back[start] + back[length] - drawn[start] - drawn[length]) <= pixel


@given(
    data=st.data(), orientation=st.sampled_from(sorted(UNDO)), width=st.integers(2, 24), height=st.integers(2, 24),
    scale=st.floats(0.5, 40),
)  # fmt: skip
def test_a_box_round_some_pixels_on_the_canvas_cuts_out_these_pixels_however_the_photo_was_held(
    data, orientation, width, height, scale
):
    upright = Image.fromarray(np.arange(3 * width * height, dtype=np.uint16).astype(np.uint8).reshape(height, width, 3))
    photo = decode_photo(tagged(upright, orientation))
    canvas_size = max(1, round(width * scale)), max(1, round(height * scale))
    region = data.draw(regions(upright.size))
    drawn = on_canvas(region, canvas_size, upright.size)
    assume(max(drawn["width"], drawn["height"]) > STRAY_SIDE)
    (found,) = regions_from_canvas([drawn], canvas_size, photo.size)
    box = found.box_in(photo.image.size, photo.size)
    assert photo.image.crop(box).tobytes() == upright.crop(region.box).tobytes()


@given(
    left=st.integers(-10**6, 10**6), top=st.integers(-10**6, 10**6), width=st.integers(0, 10**6),
    height=st.integers(0, 10**6), photo_size=sizes,
)  # fmt: skip
def test_a_clamped_region_lies_inside_its_photo_or_is_refused(left, top, width, height, photo_size):
    try:
        region = clamp(Region(left, top, left + width, top + height), *photo_size)
    except InvalidRegion:
        return
    assert 0 <= region.left < region.right <= photo_size[0]
    assert 0 <= region.top < region.bottom <= photo_size[1]
    assert region.width >= min(MIN_SIDE, photo_size[0])
    assert region.height >= min(MIN_SIDE, photo_size[1])


@given(data=st.data(), photo_size=sizes)
def test_clamping_leaves_a_region_inside_its_photo_as_it_is(data, photo_size):
    region = data.draw(regions(photo_size))
    assume(region.width >= MIN_SIDE and region.height >= MIN_SIDE)
    assert clamp(region, *photo_size) == region


@given(data=st.data(), photo_size=sizes, image_size=sizes)
def test_a_region_in_a_smaller_image_is_never_empty_and_inside(data, photo_size, image_size):
    left, top, right, bottom = data.draw(regions(photo_size)).box_in(image_size, photo_size)
    assert 0 <= left < right <= image_size[0]
    assert 0 <= top < bottom <= image_size[1]


def test_a_region_in_an_image_of_a_quarter_of_the_size():
    region = Region(400, 800, 1200, 1600)
    assert region.box_in((750, 1000), PHOTO) == (100, 200, 300, 400)
    assert region.box_in(PHOTO, PHOTO) == region.box


def test_a_drawn_rectangle_is_scaled_to_the_photo():
    assert read() == [Region(500, 1000, 1500, 3000)]


def test_a_resized_rectangle_has_its_size_in_the_scale_factors():
    assert read(scaleX=0.5, scaleY=1.5) == [Region(500, 1000, 1000, 4000)]


@pytest.mark.parametrize(("origin", "left", "top"), [("center", 200, 400), ("left", 100, 200)])
def test_left_and_top_place_the_rectangles_origin(origin, left, top):
    vertical = "top" if origin == "left" else "center"
    assert read(originX=origin, originY=vertical, left=left, top=top) == [Region(500, 1000, 1500, 3000)]


def test_a_turned_rectangle_gives_its_upright_bounds():
    assert read(left=500, angle=90) == [Region(500, 1000, 2500, 2000)]


def test_a_rectangle_dragged_outside_keeps_its_negative_corner_until_clamped():
    (region,) = read(left=-40, top=-10)
    assert (region.left, region.top) == (-200, -50)
    assert clamp(region, *PHOTO) == Region(0, 0, 800, 1950)


@pytest.mark.parametrize("side", [2, 4])
def test_a_click_leaves_no_region(side):
    assert read(width=side, height=side) == []


def test_only_rectangles_count_and_their_order_is_kept():
    objects = [rect(left=10), {"type": "Path", "left": 0, "top": 0}, rect(left=20), rect(type="Rect", width=None)]
    assert [region.left for region in regions_from_canvas(objects, CANVAS, PHOTO)] == [50, 100]


def test_a_region_outside_the_photo_is_refused_with_both_sizes():
    with pytest.raises(InvalidRegion, match=r"\(700, 0\) to \(800, 50\) lies outside the photo, which has 640 x 480"):
        clamp(Region(700, 0, 800, 50), 640, 480)


def test_a_region_too_small_is_refused_with_the_least_size():
    with pytest.raises(InvalidRegion, match=rf"7 x 100 pixels of the photo.*{MIN_SIDE} x {MIN_SIDE}"):
        clamp(Region(-50, 0, MIN_SIDE - 1, 100), 640, 480)


def test_the_least_size_is_accepted_and_a_tiny_photo_has_its_own():
    assert clamp(Region(0, 0, MIN_SIDE, MIN_SIDE), 640, 480).width == MIN_SIDE
    assert clamp(Region(0, 0, 9, 9), 3, 1) == Region(0, 0, 3, 1)


def test_the_command_lines_region():
    assert parse_roi("120,40,300,400") == Region(120, 40, 420, 440)
    assert parse_roi(" 1, 2,3 ,4") == Region(1, 2, 4, 6)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "1,2,0,4", "1,2,3,-4", "a,b,c,d", "1.5,2,3,4"])
def test_another_text_is_refused_with_an_example(text):
    with pytest.raises(InvalidRegion, match="such as 120,40,300,400. Found"):
        parse_roi(text)


@pytest.mark.parametrize(
    "box, expected", [((0, 0, 4, 4), 1), ((2, 2, 4, 4), 1), ((2, 0, 12, 4), 0.5), ((4, 0, 8, 4), 0), ((5, 5, 6, 6), 0)]
)
def test_what_a_region_contains_is_told_of_the_smaller(box, expected):
    assert contained(Region(0, 0, 4, 4), Region(*box)) == contained(Region(*box), Region(0, 0, 4, 4)) == expected
