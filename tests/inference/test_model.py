"""The one definition of the network: torchvision's names, the blocks that stages name, and weights in half precision."""

import pytest
import torch
from safetensors.torch import load_file
from torchvision.models import resnet50

from core.inference.model import BLOCKS, GarmentNet, block_of, load_network, save_weights


@pytest.fixture(scope="module")
def network() -> GarmentNet:
    torch.manual_seed(0)
    return GarmentNet(15).eval()


def test_names_and_shapes_are_torchvisions_but_for_the_head(network):
    ours = {name: tensor.shape for name, tensor in network.state_dict().items() if not name.startswith("fc.")}
    theirs = {name: tensor.shape for name, tensor in resnet50().state_dict().items() if not name.startswith("fc.")}
    assert ours == theirs


def test_logits_equal_torchvisions_for_the_same_weights(network):
    twin = resnet50(num_classes=15).eval()
    twin.load_state_dict(network.state_dict())
    images = torch.randn(2, 3, 64, 48)
    torch.testing.assert_close(network(images), twin(images))


@pytest.mark.parametrize(("height", "width"), [(80, 60), (33, 97)])
def test_features_shrink_by_32_rounded_up_and_the_head_is_linear_over_their_mean(network, height, width):
    images = torch.randn(2, 3, height, width)
    features = network.features(images)
    assert features.shape == (2, 2048, -(-height // 32), -(-width // 32))
    expected = features.mean(dim=(2, 3)) @ network.fc.weight.T + network.fc.bias
    torch.testing.assert_close(network(images), expected)


def test_at_output_stride_16_layer4_is_torchvisions_dilated_one_and_takes_the_same_weights(network):
    dilated = GarmentNet(15, output_stride=16).eval()
    dilated.load_state_dict(network.state_dict())
    twin = resnet50(num_classes=15, replace_stride_with_dilation=[False, False, True]).eval()
    twin.load_state_dict(network.state_dict())
    images = torch.randn(2, 3, 96, 72)
    assert dilated.features(images).shape == (2, 2048, 6, 5)
    torch.testing.assert_close(dilated(images), twin(images))


def test_every_parameter_and_buffer_belongs_to_a_block(network):
    assert {block_of(name) for name in network.state_dict()} == set(BLOCKS)


def test_a_foreign_name_belongs_to_no_block():
    with pytest.raises(KeyError, match=r"layer5\.weight"):
        block_of("layer5.weight")


def test_weights_come_back_as_their_half_precision_values_in_eval_mode(network, tmp_path):
    save_weights(network.state_dict(), tmp_path / "weights.safetensors")
    assert load_file(tmp_path / "weights.safetensors")["fc.weight"].dtype == torch.float16
    loaded = load_network(tmp_path / "weights.safetensors")
    assert not loaded.training
    for name, tensor in network.state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(loaded.state_dict()[name], expected), name


@pytest.mark.parametrize("value", [7e4, float("nan"), float("-inf")])
def test_weights_that_do_not_fit_half_precision_are_refused_by_name(network, tmp_path, value):
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state["layer1.0.bn1.running_var"][3] = value
    with pytest.raises(ValueError, match=r"not finite in half precision: layer1\.0\.bn1\.running_var$"):
        save_weights(state, tmp_path / "weights.safetensors")
    assert not (tmp_path / "weights.safetensors").exists()
