"""The ONNX graph built from the weights alone, held against the PyTorch definition."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from core.artifacts.run import Run
from core.inference.engine import Engine
from core.inference.model import IMAGENET_MEAN, IMAGENET_STD, GarmentNet, against_background, load_network, save_weights
from core.inference.onnx_graph import LARGEST_WEIGHT, Calibration, build_graph, head_of, ranged_outputs


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights with random BatchNorm statistics, so that folding them has something to get wrong."""
    torch.manual_seed(0)
    network = GarmentNet(15)
    for name, value in network.state_dict().items():
        if "bn" in name or "downsample.1" in name:
            if name.endswith(("weight", "running_var")):
                value.uniform_(0.5, 1.2)
            elif name.endswith(("bias", "running_mean")):
                value.normal_(0, 0.2)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_weights(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def graph(weights):
    return build_graph(weights, list(IMAGENET_MEAN), list(IMAGENET_STD), 15)


@pytest.fixture(scope="module")
def session(graph):
    return onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])


def reference(weights, pixels, output_stride=32):
    network = load_network(weights, output_stride)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    images = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std
    with torch.no_grad():
        return network(images).numpy(), network.features(images).numpy()


@pytest.mark.parametrize(("height", "width"), [(80, 60), (97, 33)])
def test_the_graph_equals_the_network_at_any_size(weights, session, height, width):
    pixels = np.random.default_rng(height).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    logits, features = session.run(["logits", "features"], {"pixels": pixels})
    expected_logits, expected_features = reference(weights, pixels)
    assert np.abs(logits - expected_logits).max() <= 1e-4 * np.abs(expected_logits).max()
    assert np.abs(features - expected_features).max() <= 1e-4 * np.abs(expected_features).max()


@pytest.mark.parametrize(("height", "width"), [(80, 60), (97, 33)])
def test_at_output_stride_16_the_graph_equals_the_dilated_network(weights, height, width):
    graph = build_graph(weights, list(IMAGENET_MEAN), list(IMAGENET_STD), 15, output_stride=16)
    onnx.checker.check_model(graph)
    dilated = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(height).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    logits, features = dilated.run(["logits", "features"], {"pixels": pixels})
    expected_logits, expected_features = reference(weights, pixels, output_stride=16)
    assert features.shape[2:] == (-(-height // 16), -(-width // 16))
    assert np.abs(logits - expected_logits).max() <= 1e-4 * np.abs(expected_logits).max()
    assert np.abs(features - expected_features).max() <= 1e-4 * np.abs(expected_features).max()


def test_a_run_says_at_which_output_stride_it_is_served(random_run):
    dilated = Run(random_run.folder, random_run.manifest | {"output_stride": 16})
    for run, cells in ((random_run, (3, 3)), (dilated, (6, 5))):
        assert Engine(run).run(noise()).features.shape[2:] == cells


def test_the_graph_is_valid_and_holds_no_batch_norm(graph):
    onnx.checker.check_model(graph)
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}


def test_the_head_is_the_last_layer(weights):
    weight, bias = head_of(weights)
    layer = load_network(weights).fc
    assert weight.dtype == bias.dtype == np.float32
    assert np.array_equal(weight, layer.weight.detach().numpy())
    assert np.array_equal(bias, layer.bias.detach().numpy())


def test_outputs_beyond_the_classes_become_the_background(weights):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 80, 60, 3), dtype=np.uint8)
    graph = build_graph(weights, list(IMAGENET_MEAN), list(IMAGENET_STD), 12)
    onnx.checker.check_model(graph)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs = torch.from_numpy(reference(weights, pixels)[0])
    (logits,) = session.run(["logits"], {"pixels": pixels})
    expected = outputs.log_softmax(1)
    in_scope = expected[:, :12].exp().sum(1)
    assert np.allclose(logits, against_background(outputs, 12), rtol=1e-4, atol=1e-4)
    assert np.allclose(torch.from_numpy(logits).softmax(1), expected[:, :12].softmax(1), atol=1e-5)
    assert np.allclose(torch.from_numpy(logits).logsumexp(1), in_scope.log() - (1 - in_scope).log(), atol=1e-3)


@pytest.fixture(scope="module")
def calibration(graph) -> Calibration:
    """Of each layer, over the photos that the graph in integers is held against."""
    inputs = {node.name: node.input[0] for node in graph.graph.node if node.op_type == "Conv"}
    outputs = outputs_of(graph, ranged_outputs(graph))
    ranges = {name: (min(0.0, float(o.min())), max(0.0, float(o.max()))) for name, o in outputs.items()}
    seen = outputs_of(graph, sorted(set(inputs.values())))
    return Calibration(ranges, {conv: seen[x].mean(axis=(0, 2, 3)).tolist() for conv, x in inputs.items()})


def outputs_of(graph: onnx.ModelProto, names: list[str]) -> dict[str, np.ndarray]:
    """What is computed inside a graph, of noise."""
    watched = onnx.ModelProto()
    watched.CopyFrom(graph)
    watched.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in names)
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, {"pixels": noise()}), strict=True))


def noise():
    return np.random.default_rng(1).integers(0, 256, (4, 96, 72, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def in_integers(weights, calibration):
    return build_graph(weights, list(IMAGENET_MEAN), list(IMAGENET_STD), 15, calibration)


def test_rounded_weights_do_not_shift_the_mean_of_a_convolution(weights, graph, in_integers, calibration):
    no_means = calibration._replace(means={})
    shifted = build_graph(weights, list(IMAGENET_MEAN), list(IMAGENET_STD), 15, no_means)
    name = ["conv1"]  # what it sees is the same in all three
    true, kept, moved = (outputs_of(g, name)["conv1"].mean(axis=(0, 2, 3)) for g in (graph, in_integers, shifted))
    assert np.abs(kept - true).mean() < 0.3 * np.abs(moved - true).mean()


def test_the_graph_in_integers_comes_near_the_network(weights, in_integers):
    onnx.checker.check_model(in_integers)
    session = onnxruntime.InferenceSession(in_integers.SerializeToString(), providers=["CPUExecutionProvider"])
    logits, features = session.run(["logits", "features"], {"pixels": noise()})
    expected_logits, expected_features = reference(weights, noise())
    assert np.corrcoef(features.ravel(), expected_features.ravel())[0, 1] > 0.98
    assert np.corrcoef(logits.ravel(), expected_logits.ravel())[0, 1] > 0.98


def test_in_integers_the_logits_are_still_the_head_of_the_features(weights, in_integers):
    """Grad-CAM reads the head's weights: features and logits must belong together to the last digit."""
    session = onnxruntime.InferenceSession(in_integers.SerializeToString(), providers=["CPUExecutionProvider"])
    logits, features = session.run(["logits", "features"], {"pixels": noise()})
    weight, bias = head_of(weights)
    assert np.allclose(logits, features.mean(axis=(2, 3)) @ weight.T + bias, rtol=1e-4, atol=1e-4)


def test_every_convolution_computes_in_integers(in_integers, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(in_integers.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert kinds.count("QLinearConv") == 53 and "Conv" not in kinds and "Relu" not in kinds


def test_no_weight_can_overflow_the_sums_of_16_bits_and_each_is_off_by_half_a_step_at_most(graph, in_integers):
    floats, integers = (
        {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        for model in (graph, in_integers)
    )
    name = "layer3.0.conv2.folded_weight"
    rounded, step = integers[f"{name}.integers"], integers[f"{name}.scale"][:, None, None, None]
    assert np.abs(rounded.astype(int)).max() == LARGEST_WEIGHT and 2 * LARGEST_WEIGHT * 255 < 2**15
    assert (np.abs(rounded * step - floats[name]) <= step * 0.5001).all()
