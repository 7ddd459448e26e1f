"""Initial weights: what a file covers is named, what does not fit is refused, and offline there is a way on."""

from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import ResNet50_Weights, resnet50

from core.errors import BrokenRun, GarmentError, InvalidConfig
from core.inference.model import GarmentNet
from tests.train_cases import SmallNet
from train.checkpoint import save_checkpoint
from train.initial_weights import initialise


@pytest.fixture
def network() -> SmallNet:
    return SmallNet(5)


def offered(n_classes: int = 5, keep: tuple[str, ...] = ("",)) -> dict[str, torch.Tensor]:
    state = SmallNet(n_classes).state_dict()
    return {name: torch.randn_like(t.float()).to(t.dtype) for name, t in state.items() if name.startswith(keep)}


def test_nothing_is_loaded_from_none(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    coverage = initialise(network, "none")
    assert coverage.covered == []
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_file_may_cover_a_part_and_the_message_names_both_parts(network, tmp_path):
    weights = offered(keep=("conv1", "bn1", "layer1"))
    save_file(
        {name: t.half() if t.is_floating_point() else t for name, t in weights.items()}, tmp_path / "w.safetensors"
    )
    before = network.layer4[0].conv1.weight.clone()
    coverage = initialise(network, str(tmp_path / "w.safetensors"))
    assert coverage.covered == sorted(weights)
    total = len(network.state_dict())
    assert str(coverage) == (
        f"{len(weights)} of {total} tensors covered (bn1, conv1, layer1), starting fresh: fc, layer2, layer3, layer4"
    )
    assert torch.equal(network.conv1.weight, weights["conv1.weight"].half().float())
    assert torch.equal(network.layer4[0].conv1.weight, before)


def test_a_head_of_other_classes_starts_fresh(network, tmp_path):
    save_file(offered(n_classes=1000), tmp_path / "w.safetensors")
    assert initialise(network, str(tmp_path / "w.safetensors")).fresh == ["fc.bias", "fc.weight"]


def test_a_head_of_the_same_size_for_other_classes_starts_fresh(random_run, random_network):
    network = GarmentNet(15)
    names = tuple(reversed(random_run.labels.names))
    assert initialise(network, str(random_run.folder), names).fresh == ["fc.bias", "fc.weight"]
    assert initialise(network, str(random_run.folder), random_run.labels.names).fresh == []
    assert torch.equal(network.fc.weight, random_network.fc.weight)


def test_a_head_of_an_unfinished_run_for_other_classes_starts_fresh(network, tmp_path):
    save_checkpoint({"network": offered(), "outputs": ["a", "b", "c", "d", "e"]}, tmp_path / "best.safetensors")
    assert initialise(network, str(tmp_path), ("a", "b", "c", "d", "f")).fresh == ["fc.bias", "fc.weight"]
    assert initialise(network, str(tmp_path), ("a", "b", "c", "d", "e")).fresh == []


def test_a_misfit_anywhere_else_is_refused_by_name(network, tmp_path):
    save_file(offered() | {"layer2.0.conv1.weight": torch.zeros(3, 3)}, tmp_path / "w.safetensors")
    with pytest.raises(InvalidConfig, match=r"does not fit ResNet50: wrong shape of layer2\.0\.conv1\.weight"):
        initialise(network, str(tmp_path / "w.safetensors"))


def test_a_file_under_foreign_names_is_refused(network, tmp_path):
    save_file({"backbone.conv1": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(InvalidConfig, match=r"covers no tensor of ResNet50 \(torchvision's names are needed"):
        initialise(network, str(tmp_path / "w.safetensors"))


def test_a_missing_file_and_one_that_is_no_safetensors_are_told(network, tmp_path):
    with pytest.raises(
        InvalidConfig, match="There are no initial weights at .*w.pth.*imagenet, none, a safetensors file or a run"
    ):
        initialise(network, str(tmp_path / "w.pth"))
    (tmp_path / "w.pth").write_bytes(b"a pickle, say")
    with pytest.raises(InvalidConfig, match=r"w\.pth is not a readable safetensors file"):
        initialise(network, str(tmp_path / "w.pth"))


def test_a_whole_run_gives_its_weights(random_run, random_network):
    network = GarmentNet(15)
    assert initialise(network, str(random_run.folder)).fresh == []
    assert torch.equal(network.fc.weight, random_network.fc.weight)


def test_an_unfinished_run_gives_the_best_weights_so_far(network, tmp_path):
    weights = offered()
    save_checkpoint({"network": weights}, tmp_path / "best.safetensors")
    initialise(network, str(tmp_path))
    assert torch.equal(network.fc.weight, weights["fc.weight"])


def test_a_folder_without_a_run_is_told(network, tmp_path):
    with pytest.raises(BrokenRun, match=r"manifest\.json is missing"):
        initialise(network, str(tmp_path))


def test_imagenet_covers_all_but_the_head(monkeypatch):
    state = resnet50().state_dict()
    monkeypatch.setattr(ResNet50_Weights, "get_state_dict", lambda *_, **__: state)
    network = GarmentNet(15)
    assert initialise(network, "imagenet").fresh == ["fc.bias", "fc.weight"]
    assert torch.equal(network.conv1.weight, state["conv1.weight"])


@pytest.mark.parametrize("failure", [URLError("Name or service not known"), ConnectionResetError("reset by peer")])
def test_offline_the_message_says_where_to_put_the_file_and_what_else_works(network, monkeypatch, failure):
    def offline(*_, **__):
        raise failure

    monkeypatch.setattr(ResNet50_Weights, "get_state_dict", offline)
    with pytest.raises(GarmentError) as caught:
        initialise(network, "imagenet")
    message = str(caught.value)
    for part in ["could not be downloaded", "resnet50-11ad3fa6.pth", "checkpoints", "--init FILE", "--init none"]:
        assert part in message
