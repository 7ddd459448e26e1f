"""The network as an ONNX graph, built from its weights alone, so that serving needs no torch.

Every BatchNorm is folded into the convolution before it: `w' = w * g / sqrt(v + eps)`, `b' = b - m * g / sqrt(v + eps)`.
`tests/test_graph.py` holds the graph against the PyTorch definition in `core.model`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors import safe_open
from safetensors.numpy import load_file

BLOCKS_PER_LAYER = (3, 4, 6, 3)
BATCH_NORM_EPSILON = 1e-5
OPSET = 17
IR_VERSION = 9


class _Graph:
    """Collects nodes and initializers while the layers are laid one after another."""

    def __init__(self, weights: dict[str, np.ndarray]):
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def convolution(self, x: str, conv: str, norm: str, stride: int = 1) -> str:
        weight = self.weights[f"{conv}.weight"]  # (out, in, k, k)
        scale = self.weights[f"{norm}.weight"] / np.sqrt(self.weights[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
        bias = self.weights[f"{norm}.bias"] - self.weights[f"{norm}.running_mean"] * scale
        kernel = weight.shape[-1]
        inputs = [
            x,
            self.constant(f"{conv}.folded_weight", weight * scale[:, None, None, None]),
            self.constant(f"{conv}.folded_bias", bias),
        ]
        pads = [kernel // 2] * 4
        return self.node("Conv", inputs, conv, kernel_shape=[kernel, kernel], strides=[stride, stride], pads=pads)

    def relu(self, x: str) -> str:
        return self.node("Relu", [x], f"{x}.relu")

    def bottleneck(self, x: str, name: str, stride: int) -> str:
        y = self.relu(self.convolution(x, f"{name}.conv1", f"{name}.bn1"))
        y = self.relu(self.convolution(y, f"{name}.conv2", f"{name}.bn2", stride))
        y = self.convolution(y, f"{name}.conv3", f"{name}.bn3")
        if f"{name}.downsample.0.weight" in self.weights:
            x = self.convolution(x, f"{name}.downsample.0", f"{name}.downsample.1", stride)
        return self.relu(self.node("Add", [y, x], f"{name}.sum"))

    def normalised(self, pixels: str, mean: list[float], std: list[float]) -> str:
        """uint8 (B, H, W, 3) -> float32 (B, 3, H, W), `(pixel / 255 - mean) / std`."""
        x = self.node("Cast", [pixels], "pixels.float", to=TensorProto.FLOAT)
        x = self.node("Transpose", [x], "pixels.channels_first", perm=[0, 3, 1, 2])
        scale = 1 / (255 * np.array(std, np.float32))
        shift = -np.array(mean, np.float32) / np.array(std, np.float32)
        x = self.node("Mul", [x, self.constant("input.scale", scale.reshape(1, 3, 1, 1))], "input.scaled")
        return self.node("Add", [x, self.constant("input.shift", shift.reshape(1, 3, 1, 1))], "input.normalised")

    def logits(self, pooled: str, n_classes: int) -> str:
        """The head's outputs for the classes, as log-odds against the background if it has outputs for that too."""
        weight, bias = (self.constant(f"fc.{name}", self.weights[f"fc.{name}"]) for name in ("weight", "bias"))
        n_outputs = len(self.weights["fc.bias"])
        if n_outputs == n_classes:
            return self.node("Gemm", [pooled, weight, bias], "logits", transB=1)
        outputs = self.node("Gemm", [pooled, weight, bias], "outputs", transB=1)
        sizes = self.constant("outputs.sizes", np.array([n_classes, n_outputs - n_classes], np.int64))
        self.nodes.append(helper.make_node("Split", [outputs, sizes], ["classes", "background"], axis=1))
        odds = self.node("ReduceLogSumExp", ["background"], "background.logsumexp", axes=[1])
        return self.node("Sub", ["classes", odds], "logits")


def build_graph(weights_file: Path, mean: list[float], std: list[float], n_classes: int) -> onnx.ModelProto:
    """ONNX model of the whole network.

    Input `pixels`: uint8 of shape (B, H, W, 3), any H and W. Outputs: `logits` (B, n_classes), of the classes as
    `core.model.against_background` says; `features` (B, 2048, h, w) of the last block with h = ceil(H / 32), w = ceil(W / 32), both
    float32.

    Args:
        weights_file: safetensors under torchvision's ResNet50 names.
        mean: of the training input, RGB in [0, 1].
        std: likewise.
        n_classes: how many of the head's outputs, from the first, are classes; the others are background.
    """
    weights = {name: np.asarray(value, np.float32) for name, value in load_file(weights_file).items()}
    graph = _Graph(weights)
    x = graph.normalised("pixels", mean, std)
    x = graph.relu(graph.convolution(x, "conv1", "bn1", stride=2))
    x = graph.node("MaxPool", [x], "maxpool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for layer, blocks in enumerate(BLOCKS_PER_LAYER, start=1):
        for block in range(blocks):
            x = graph.bottleneck(x, f"layer{layer}.{block}", stride=2 if layer > 1 and block == 0 else 1)
    features = graph.node("Identity", [x], "features")
    pooled = graph.node("Flatten", [graph.node("GlobalAveragePool", [features], "pooled")], "pooled.flat")
    graph.logits(pooled, n_classes)
    return _model(graph, n_classes)


def head_of(weights_file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Weight (n_outputs, 2048) and bias (n_outputs,) of the linear head, float32; the classes come first."""
    with safe_open(weights_file, framework="numpy") as file:
        return file.get_tensor("fc.weight").astype(np.float32), file.get_tensor("fc.bias").astype(np.float32)


def _model(graph: _Graph, n_classes: int) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", "height", "width", 3])]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", n_classes]),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 2048, "rows", "columns"]),
    ]
    proto = helper.make_graph(graph.nodes, "resnet50", inputs, outputs, graph.initializers)
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(proto, opset_imports=opset, ir_version=IR_VERSION, producer_name="garment-lens")
