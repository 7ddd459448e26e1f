"""Grad-CAM from the forward pass is exact: held against autograd and against the pytorch-grad-cam library."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from core.inference.cam import at_photo_size, class_maps, contrast, relative_head
from core.inference.postprocess import softmax
from core.plots.heatmap import (
    GAP,
    contour,
    contrast_contour,
    contrast_overlay,
    legend,
    muted,
    overlay,
    side_by_side,
)
from core.plots.heatmap import colours as colours_of_heat

WHOLE = (0, 0, 72, 96)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(2, 3, 96, 72, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def features(random_network, images) -> np.ndarray:
    with torch.no_grad():
        return random_network.features(images).numpy()


@pytest.fixture(scope="module")
def head(random_network) -> np.ndarray:
    return random_network.fc.weight.detach().numpy()


def grad_cam(features: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Grad-CAM's relu over the product's class maps."""
    return np.maximum(class_maps(features, head), 0)


def test_grad_cam_equals_its_definition_by_autograd(random_network, images, features, head):
    maps = random_network.features(images).detach().requires_grad_()
    logits = random_network.fc(maps.mean(dim=(2, 3)))
    ours = grad_cam(features[0], head)
    for class_index in range(15):
        (gradient,) = torch.autograd.grad(logits[0, class_index], maps, retain_graph=True)
        weights = gradient[0].mean(dim=(1, 2), keepdim=True)
        theirs = torch.relu((weights * maps[0].detach()).sum(dim=0)).numpy()
        np.testing.assert_allclose(ours[class_index], theirs, atol=1e-4)


@pytest.mark.parametrize("class_index", [0, 7, 14])
def test_grad_cam_equals_the_pytorch_grad_cam_library(random_network, images, features, head, class_index):
    layer, targets = random_network.layer4[-1], [ClassifierOutputTarget(class_index)] * 2
    with GradCAM(model=random_network, target_layers=[layer]) as library:
        library(input_tensor=images, targets=targets)
        seen = library.activations_and_grads
        maps, gradients = seen.activations[0].numpy(), seen.gradients[0].numpy()
        theirs = library.get_cam_image(images, layer, targets, maps, gradients)  # (2, 3, 3), before relu and scaling
    ours = np.stack([grad_cam(photo, head)[class_index] for photo in features])
    np.testing.assert_allclose(ours, np.maximum(theirs, 0), atol=1e-4)
    assert np.abs(theirs).max() > 1e-2


def test_the_class_maps_add_up_to_the_logits(random_network, images, features, head):
    with torch.no_grad():
        logits = random_network(images).numpy()
    totals = class_maps(features[0], head).sum(axis=(1, 2)) + random_network.fc.bias.detach().numpy()
    np.testing.assert_allclose(totals, logits[0], atol=1e-3)


def test_what_all_classes_share_is_no_evidence_for_any(features, head):
    """A head with one row added to all its rows gives the same probabilities, and so must give the same maps."""
    bias, shared = np.arange(15.0), features[0].mean(axis=(1, 2)) / 10
    weight, shifted = relative_head(head, bias), relative_head(head - shared, bias + 3)
    np.testing.assert_allclose(class_maps(features[0], shifted[0]), class_maps(features[0], weight[0]), atol=1e-3)
    np.testing.assert_allclose(shifted[1], weight[1])
    assert not grad_cam(features[0], head - 10 * shared).any(), (
        "the shift would have left every map of the bare logits blank"
    )


def test_the_relative_head_gives_the_same_probabilities(features, head):
    pooled, bias = features.mean(axis=(2, 3)), np.arange(15.0)
    weight, relative_bias = relative_head(head, bias)
    np.testing.assert_allclose(softmax(pooled @ weight.T + relative_bias), softmax(pooled @ head.T + bias), atol=1e-5)


def test_contrast_is_antisymmetric(features, head):
    maps = class_maps(features[0], head)
    np.testing.assert_array_equal(contrast(maps, 2, 5), -contrast(maps, 5, 2))


def test_a_stretched_map_peaks_where_the_cell_lies():
    heat = np.zeros((3, 3), np.float32)
    heat[0, 2] = 4
    stretched = at_photo_size(heat, WHOLE, (96, 72), (720, 960))
    row, column = np.unravel_index(stretched.argmax(), stretched.shape)
    assert stretched.max() == 1 and stretched.min() >= 0
    assert row < 320 and column >= 480


def test_the_letterbox_is_left_out_of_a_stretched_map():
    heat = np.zeros((3, 3), np.float32)
    heat[:, 0] = 1  # the left third of the input is padding here
    stretched = at_photo_size(heat, (24, 0, 72, 96), (96, 72), (480, 960))
    assert stretched[:, 240:].max() < 0.01


def test_a_map_without_evidence_stays_dark():
    assert not at_photo_size(np.zeros((3, 3)), WHOLE, (96, 72), (30, 40)).any()


def test_heat_covers_what_is_hot_and_leaves_what_is_cold():
    photo = Image.new("RGB", (2, 1), (10, 200, 30))
    heat = np.array([[0.0, 1.0]], np.float32)
    assert overlay(photo, heat, 0.0).tobytes() == photo.tobytes()
    cold, hot = np.asarray(overlay(photo, heat, 1.0))[0]
    assert tuple(cold) == (10, 200, 30)
    assert tuple(hot) == (253, 231, 37)  # the light end of Viridis


@pytest.mark.parametrize(
    "cloth",
    [(200, 20, 30), (120, 10, 20), (248, 248, 246), (22, 22, 26), (50, 80, 130), (60, 120, 60)],
    ids=["red", "dark red", "white", "black", "denim", "green"],
)
def test_heat_reads_on_any_cloth_for_colour_blind_people_as_well(cloth):
    """Where it is hot differs clearly from the cloth, also for eyes that cannot tell red from green."""
    photo = muted(Image.new("RGB", (2, 1), cloth))
    cold, hot = np.asarray(overlay(photo, np.array([[0.0, 1.0]], np.float32), 0.65))[0].astype(float)
    for seen in (lambda rgb: rgb, lambda rgb: np.array([rgb[:2].mean(), rgb[2]])):
        assert np.abs(seen(hot) - seen(cold)).max() > 40


def test_contrast_is_blue_for_the_one_and_red_for_the_other():
    photo = Image.new("RGB", (2, 1), (255, 255, 255))
    blended = np.asarray(contrast_overlay(photo, np.array([[1.0, -1.0]]), 1.0)).astype(int)
    (for_red, _, for_blue), (against_red, _, against_blue) = blended[0]
    assert for_blue > for_red and against_red > against_blue


def changed_columns(drawn: Image.Image, photo: Image.Image) -> list[int]:
    """Middles of the runs of columns in which a picture differs from the photo."""
    columns = np.flatnonzero((np.asarray(drawn) != np.asarray(photo)).any(axis=(0, 2)))
    return [round(run.mean()) for run in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)]


def test_contour_lines_run_where_the_heat_passes_a_level_and_nowhere_else():
    photo = Image.new("RGB", (201, 20), (10, 200, 30))
    heat = np.tile(np.linspace(0, 1, 201), (20, 1))
    assert np.abs(np.subtract(changed_columns(contour(photo, heat, 1.0), photo), [50, 100, 150])).max() <= 1
    assert contour(photo, heat, 0.0).tobytes() == photo.tobytes()
    assert contour(photo, np.full((20, 201), 0.6), 1.0).tobytes() == photo.tobytes()


@pytest.mark.parametrize("cloth", ["white", "black"])
def test_contour_lines_stand_out_on_white_and_on_black(cloth):
    photo = Image.new("RGB", (201, 20), cloth)
    drawn = contour(photo, np.tile(np.linspace(0, 1, 201), (20, 1)), 1.0).convert("L")
    away = np.abs(np.asarray(drawn)[10].astype(int) - np.asarray(photo.convert("L"))[10])
    assert all(away[level - 4 : level + 5].max() > 70 for level in (50, 100, 150))


def test_contour_lines_of_a_contrast_tell_the_two_sides_apart():
    photo = Image.new("RGB", (401, 40), "white")
    difference = np.tile(np.linspace(-1, 1, 401), (40, 1))
    drawn = contrast_contour(photo, difference, 1.0)
    assert np.abs(np.subtract(changed_columns(drawn, photo), [50, 100, 150, 250, 300, 350])).max() <= 1
    pixels = np.asarray(drawn).astype(int)[20]
    assert pixels[350, 2] > pixels[350, 0] and pixels[50, 0] > pixels[50, 2]


def test_pictures_stand_side_by_side_unaltered():
    left, right = Image.new("RGB", (30, 40), "red"), Image.new("RGB", (30, 40), "blue")
    both = side_by_side(left, right)
    assert both.size == (60 + GAP, 40)
    assert both.crop((0, 0, 30, 40)).tobytes() == left.tobytes()
    assert both.crop((30 + GAP, 0, 60 + GAP, 40)).tobytes() == right.tobytes()


@pytest.mark.parametrize("of_two", [False, True])
def test_the_legend_goes_through_the_colours_of_the_map_from_least_to_most(of_two):
    html = legend("<least>", "most", of_two)
    stops = [tuple(map(int, rgb)) for rgb in re.findall(r"rgb\((\d+) (\d+) (\d+)\)", html)]
    values = np.linspace(-1 if of_two else 0, 1, 256, dtype=np.float32)[None]
    white = Image.new("RGB", (256, 1), "white")
    shown = contrast_overlay(white, values, 1.0) if of_two else overlay(white, values, 1.0)
    assert shown.getpixel((255, 0)) == stops[-1]
    assert len(stops) == 16 and html.index("&lt;least&gt;") < html.index("most<")


def test_heat_grows_lighter_at_an_even_pace():
    colours = colours_of_heat()[::23].astype(float)
    luminance = (colours / 255) ** 2.2 @ (0.2126, 0.7152, 0.0722)
    lightness = 116 * np.cbrt(luminance) - 16  # CIE L*
    steps = np.diff(lightness)
    assert (steps > 0).all() and steps.max() < 2.5 * steps.mean()
