"""Checkpoints come back exactly, and a failing disk leaves the one before."""

import errno

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from core.errors import BrokenRun
from train import checkpoint
from train.checkpoint import load_checkpoint, save_checkpoint

TREE = '{"dict": [["weight", {"tensor": "/weight"}]]}'


def assert_same(found, expected):
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected
        assert type(found) is type(expected)


def test_every_kind_of_value_comes_back_exactly(tmp_path):
    state = {
        "text": "größe/with/slashes",
        "none": None,
        "true": True,
        "float": 0.1 + 0.2,
        "tiny": 5e-324,
        "big": 2**53 + 1,
        "empty": [{}, [], {"dict": {}}],
        "names": {0: torch.zeros(()), 17: {"step": torch.tensor(3.0), "tensor": torch.arange(3)}},
        "pair": (0.9, 0.999),
        "half": torch.tensor([1e-8, 65504.0], dtype=torch.float16),
        "bfloat": torch.randn(3, dtype=torch.bfloat16),
        "strided": torch.randn(4, 6)[:, ::2].t(),
        "channels last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "shared": [value := torch.randn(5), value],
    }
    save_checkpoint(state, tmp_path / "checkpoint.safetensors")
    assert_same(load_checkpoint(tmp_path / "checkpoint.safetensors"), state)


def test_an_optimizer_goes_on_from_a_checkpoint_as_if_nothing_had_happened(tmp_path):
    def trained(optimizer, layer, steps):
        for _ in range(steps):
            layer(torch.ones(2, 3)).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    torch.manual_seed(0)
    layer, twin = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer, other = torch.optim.AdamW(layer.parameters(), lr=0.1), torch.optim.AdamW(twin.parameters(), lr=9.9)
    trained(optimizer, layer, 3)
    save_checkpoint({"layer": layer.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c.safetensors")
    saved = load_checkpoint(tmp_path / "c.safetensors")
    twin.load_state_dict(saved["layer"])
    other.load_state_dict(saved["optimizer"])
    trained(optimizer, layer, 3)
    trained(other, twin, 3)
    assert torch.equal(layer.weight, twin.weight)


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_leaves_the_checkpoint_before_and_nothing_half_written(tmp_path, monkeypatch, failure):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint({"epoch": 1}, path)

    def half(tensors, partial, metadata):
        partial.write_bytes(b"half")
        raise failure

    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(OSError, match="No space left on device"):
        save_checkpoint({"epoch": 2}, path)
    assert load_checkpoint(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_the_system_cuts_short_is_an_os_error(tmp_path):
    resource = pytest.importorskip("resource", reason="needs a Unix")
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint({"epoch": 1}, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_checkpoint({"weight": torch.zeros(200_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_checkpoint(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"", lambda data: b"no safetensors at all"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint({"weight": torch.randn(100)}, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BrokenRun, match=r"checkpoint\.safetensors is damaged"):
        load_checkpoint(path)


def test_one_flipped_bit_anywhere_is_refused_or_changes_nothing(tmp_path):
    path = tmp_path / "best.safetensors"
    state = {"weight": torch.randn(50), "epoch": 7, "moments": {0: torch.zeros(3, dtype=torch.bfloat16)}}
    save_checkpoint(state, path)
    whole, refused = path.read_bytes(), 0
    places = range(0, 8 * len(whole), 41)
    for place in places:
        path.write_bytes(flipped(whole, place))
        try:
            assert_same(load_checkpoint(path), state)
        except BrokenRun:
            refused += 1
    assert refused > 0.95 * len(places)  # all but spaces that fill up the header


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def test_a_checkpoint_of_an_earlier_version_which_has_no_checksum_is_read(tmp_path):
    save_file({"/weight": torch.ones(3)}, tmp_path / "c.safetensors", metadata={"tree": TREE})
    assert torch.equal(load_checkpoint(tmp_path / "c.safetensors")["weight"], torch.ones(3))
