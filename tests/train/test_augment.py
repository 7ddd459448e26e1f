"""Augmentation on the device: nothing when off, seeded, in range, and each operation equal to torchvision's."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as oracle

from train.augment import Augment, mixing
from train.config import Augmentation

CPU = torch.device("cpu")
EVERYTHING = Augmentation(
    min_scale=0.3,
    max_aspect_change=1.5,
    flip=0.5,
    rotation=45.0,
    zoom_out=0.3,
    brightness=0.5,
    darkness=0.3,
    contrast=0.5,
    saturation=0.5,
    blur=0.5,
    background=0.5,
    erasing=0.5,
)


def photos(n: int = 4, height: int = 24, width: int = 24) -> Tensor:
    """Smooth photos on the catalogue's white, uint8 (n, height, width, 3)."""
    small = torch.randint(0, 256, (n, 3, 5, 5), generator=torch.Generator().manual_seed(0)).float()
    images = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 255)
    images[:, :, [0, 1, -2, -1]] = 255
    images[:, :, :, [0, 1, -2, -1]] = 255
    return images.byte().permute(0, 2, 3, 1).contiguous()


def floats(pixels: Tensor) -> Tensor:
    return pixels.permute(0, 3, 1, 2).float() / 255


def strongest(settings: Augmentation) -> Augment:
    """An augmentation that always draws the upper end of each range (and the middle of shifts)."""
    augment = Augment(settings, 0, CPU)
    augment._uniform = lambda n, low, high: torch.full((n,), 0.0 if low == -high == -1 else float(high))
    return augment


def test_switched_off_it_only_scales_to_one():
    assert torch.equal(Augment(Augmentation(), 0, CPU)(photos()), floats(photos()))


def test_the_seed_decides_every_change():
    first = Augment(EVERYTHING, 1, CPU)(photos())
    assert torch.equal(Augment(EVERYTHING, 1, CPU)(photos()), first)
    assert not torch.equal(Augment(EVERYTHING, 2, CPU)(photos()), first)


def test_every_photo_of_a_batch_is_changed_in_its_own_way():
    same = photos(1).expand(8, -1, -1, -1)
    changed = Augment(EVERYTHING, 0, CPU)(same)
    assert len({tuple(image.flatten().tolist()) for image in changed}) == 8


@pytest.mark.parametrize("seed", range(5))
def test_values_stay_between_black_and_white(seed):
    extremes = torch.stack([torch.zeros(24, 18, 3), torch.full((24, 18, 3), 255)]).byte()
    for pixels in (photos(height=24, width=18), extremes):
        changed = Augment(EVERYTHING, seed, CPU)(pixels)
        assert changed.shape == (len(pixels), 3, 24, 18)
        assert changed.min() >= 0
        assert changed.max() <= 1


def test_a_flip_is_torchvisions():
    changed = Augment(Augmentation(flip=1.0), 0, CPU)(photos())
    torch.testing.assert_close(changed, oracle.horizontal_flip(floats(photos())), atol=1e-6, rtol=0)


def test_flips_are_as_frequent_as_asked():
    pixels = photos(1).expand(400, -1, -1, -1)
    flipped = (Augment(Augmentation(flip=0.25), 0, CPU)(pixels) - floats(pixels)).abs().amax(dim=(1, 2, 3)) > 0.01
    assert flipped.float().mean().item() == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("kind", ["brightness", "contrast", "saturation"])
def test_colour_changes_are_torchvisions(kind):
    changed = strongest(Augmentation(**{kind: 0.4}))(photos())
    torch.testing.assert_close(changed, getattr(oracle, f"adjust_{kind}")(floats(photos()), 1.4), atol=1e-6, rtol=0)


@pytest.mark.parametrize("degrees", [10.0, 90.0])
def test_a_rotation_is_torchvisions_on_white(degrees):
    changed = strongest(Augmentation(rotation=degrees))(photos())
    below_white = floats(photos()) - 1
    turned = [oracle.rotate(below_white, angle, InterpolationMode.BILINEAR) + 1 for angle in (degrees, -degrees)]
    assert min((changed - expected).abs().max().item() for expected in turned) < 1e-4


def test_a_rotation_keeps_right_angles_in_a_portrait():
    """Grid coordinates are relative to each side: without the correction a portrait would be sheared."""
    portrait = torch.full((1, 80, 60, 3), 255, dtype=torch.uint8)
    portrait[:, 30:50, 20:40] = 0  # a black square of 20 x 20 in the middle
    dark = strongest(Augmentation(rotation=90.0))(portrait)[0, 0] < 0.5
    assert dark.any(dim=1).sum() == dark.any(dim=0).sum() == 20


def test_a_crop_is_torchvisions():
    changed = strongest_crop(0.25)(photos())
    expected = oracle.resized_crop(floats(photos()), 6, 6, 12, 12, [24, 24], antialias=False)
    inside = (
        slice(None),
        slice(None),
        slice(1, -1),
        slice(1, -1),
    )  # torchvision repeats the crop's border, here its surroundings show
    torch.testing.assert_close(changed[inside], expected[inside], atol=1e-5, rtol=0)


def strongest_crop(scale: float) -> Augment:
    """Always the smallest crop, in the middle, unturned."""
    augment = Augment(Augmentation(min_scale=scale), 0, CPU)
    augment._uniform = lambda n, low, high: torch.full((n,), float(low) if (low, high) == (scale, 1) else max(0.0, low))
    return augment


def test_erasing_covers_what_it_says_and_leaves_the_rest_alone():
    pixels = torch.full((300, 40, 30, 3), 255, dtype=torch.uint8)
    changed = Augment(Augmentation(erasing=0.5), 0, CPU)(pixels)
    shares = (changed != 1).any(dim=1).float().mean(dim=(1, 2))
    erased = shares > 0
    assert erased.float().mean().item() == pytest.approx(0.5, abs=0.08)
    assert shares[erased].max() < 0.38  # 33% and the rounding to pixels
    assert shares[erased].median() > 0.05
    first = (changed[erased][0] != 1).any(dim=0)
    rows, columns = first.any(dim=1).sum(), first.any(dim=0).sum()
    assert first.sum() == rows * columns  # one rectangle


def test_erasing_probability_one_erases_every_photo():
    pixels = torch.full((50, 40, 30, 3), 255, dtype=torch.uint8)
    assert (Augment(Augmentation(erasing=1.0), 0, CPU)(pixels) != 1).any(dim=(1, 2, 3)).all()


def test_crops_keep_the_share_of_the_area_and_the_aspect_that_were_asked_for():
    ramp = torch.arange(40, dtype=torch.uint8) * 6
    pixels = torch.stack([ramp.expand(40, 40), ramp.view(40, 1).expand(40, 40), ramp.expand(40, 40)], dim=2)
    changed = Augment(Augmentation(min_scale=0.5, max_aspect_change=1.2), 0, CPU)(pixels.expand(200, -1, -1, -1))
    unit = 10 * 6 / 255  # how far ten pixels of the ramp rise when the whole photo is kept
    width = (changed[:, 0, 20, 25] - changed[:, 0, 20, 15]) / unit
    height = (changed[:, 1, 25, 20] - changed[:, 1, 15, 20]) / unit
    area, aspect = width * height, width / height
    assert 0.499 < area.min() < 0.55
    assert 0.9 < area.max() <= 1.001
    assert 1 / 1.201 < aspect.min() < 0.9
    assert 1.1 < aspect.max() < 1.201


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixing_gives_soft_targets_that_sum_to_one(kind):
    mix = mixing(Augmentation(**{kind: 1.0}), 5)
    torch.manual_seed(0)
    images, goals = mix(floats(photos(8)), torch.arange(8) % 5)
    assert goals.shape == (8, 5)
    torch.testing.assert_close(goals.sum(dim=1), torch.ones(8))
    assert ((goals > 0).sum(dim=1) == 2).any()
    assert not torch.equal(images, floats(photos(8)))


def test_without_mixing_there_is_none():
    assert mixing(Augmentation(), 5) is None


def test_blur_is_a_reduction_and_an_enlargement():
    augment = strongest(Augmentation(blur=1.0))
    augment._uniform = lambda n, low, high: torch.full((n,), 0.5)
    augment.host.uniform = lambda low, high: 0.5
    images = floats(photos())
    small = oracle.resize(images, [12, 12], InterpolationMode.BILINEAR, antialias=True)
    expected = oracle.resize(small, [24, 24], InterpolationMode.BICUBIC, antialias=False).clamp(0, 1)
    assert torch.allclose(augment(photos()), expected, atol=1e-5)


def test_only_white_is_replaced_by_one_colour_a_photo():
    augment = Augment(Augmentation(background=1.0), 3, CPU)
    before, after = floats(photos()), augment(photos())
    white = (before.amin(1, keepdim=True) > 0.94).expand_as(before)
    assert torch.equal(after[~white], before[~white])
    for photo, mask in zip(after, white, strict=True):
        assert all(len(channel[inside].unique()) == 1 for channel, inside in zip(photo, mask, strict=True))
    assert not torch.equal(after[white], before[white])


def test_zoomed_out_a_photo_lies_smaller_and_whole_on_one_colour():
    black = torch.zeros((300, 40, 30, 3), dtype=torch.uint8)
    changed = Augment(Augmentation(zoom_out=1.0, max_zoom_out=2.0), 0, CPU)(black)
    covered = (changed.amax(1) < 0.01).float().mean(dim=(1, 2))  # shares of the input that show the photo
    assert 0.2 < covered.min() < 0.3 and covered.median() < 0.6
    corners = changed[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    white = (corners == 1).all(dim=1).any(dim=1).float().mean().item()
    assert white == pytest.approx(0.5, abs=0.1)  # the other half lie on a random colour
    one = changed[0].flatten(1)
    beside = one[:, one.amax(0) > 0.5]
    assert len(beside.round(decimals=3).unique(dim=1).T) < 60  # its colour, and the blend along the photo's edge


def test_zooming_out_is_as_frequent_as_asked():
    black = torch.zeros((400, 40, 30, 3), dtype=torch.uint8)
    changed = Augment(Augmentation(zoom_out=0.25, max_zoom_out=2.0), 1, CPU)(black)
    assert (changed.amax(dim=(1, 2, 3)) > 0.01).float().mean().item() == pytest.approx(0.25, abs=0.06)


def test_dim_light_is_one_factor_for_all_of_a_photo_and_as_frequent_as_asked():
    grey = torch.full((400, 20, 20, 3), 200, dtype=torch.uint8)
    changed = Augment(Augmentation(darkness=0.4), 0, CPU)(grey) * 255 / 200
    assert (changed.amax(dim=(1, 2, 3)) - changed.amin(dim=(1, 2, 3))).max() < 1e-6
    factors = changed[:, 0, 0, 0]
    dim = factors < 0.999
    assert dim.float().mean().item() == pytest.approx(0.4, abs=0.07)
    assert 0.25 <= factors.min() < 0.3 and factors[dim].max() > 0.9
