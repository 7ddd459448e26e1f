"""The network as an ONNX graph, built from its weights alone, so that serving needs no torch.

Every BatchNorm is folded into the convolution before it: `w' = w * g / sqrt(v + eps)`, `b' = b - m * g / sqrt(v + eps)`.
Given the range of values of each layer, the convolutions compute in 8-bit integers (Jacob et al. 2018, "Quantization and training of
neural networks for efficient integer-arithmetic-only inference"). Rounded weights shift the mean of what they are summed to; the bias takes
that back (Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction", section 4.2).
`tests/inference/test_onnx_graph.py` holds both against the PyTorch definition in `core.inference.model`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors import safe_open
from safetensors.numpy import load_file

from core.artifacts.run import RESTORE_HINT, Run
from core.errors import BrokenRun

BLOCKS_PER_LAYER = (3, 4, 6, 3)
BATCH_NORM_EPSILON = 1e-5
QUANTISATION = "quantisation.json"  # file of a run with the ranges
SMALLEST_RANGE = 1e-6  # of a layer that gives one value only
LARGEST_WEIGHT = (
    63  # 7 bits and a sign less: with 8, the 16-bit sums of products of a processor without VNNI could overflow
)
OPSET = 17
IR_VERSION = 9


class Calibration(NamedTuple):
    """What photos tell of a network's layers, for computing in 8-bit integers.

    Args:
        ranges: least and greatest value of each layer's output, by its name; of all in `ranged_outputs`.
        means: mean of each channel of a convolution's input, by the convolution's name; without it, its bias stays as it is.
    """

    ranges: Mapping[str, Sequence[float]]
    means: Mapping[str, Sequence[float]]


class Graph:
    """Collects nodes and initializers while the layers are laid one after another."""

    def __init__(self, weights: dict[str, np.ndarray]):
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def tensor(self, name: str) -> np.ndarray:
        """A tensor of the weights, as a float32 copy; all of them at once would take longer, for the memory."""
        return self.weights[name].astype(np.float32)

    def constant(self, name: str, value: np.ndarray) -> str:
        """Name of a tensor that the graph carries."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add an operator; name of its output."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def model(self, name: str, outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """The whole as a model with the input `pixels`, uint8 (B, H, W, 3)."""
        inputs = [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", "height", "width", 3])]
        proto = helper.make_graph(self.nodes, name, inputs, outputs, self.initializers)
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(proto, opset_imports=opset, ir_version=IR_VERSION, producer_name="garment-lens")

    def convolution(self, x: str, conv: str, norm: str, stride: int = 1, dilation: int = 1) -> str:
        """A convolution with its BatchNorm folded in, padded so that a stride of 1 keeps the size."""
        weight, bias = self.folded(conv, norm)
        kernel = weight.shape[-1]
        inputs = [x, *self.parameters(x, conv, weight, bias)]
        sizes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "dilations": [dilation] * 2}
        return self.node("Conv", inputs, conv, pads=[dilation * (kernel // 2)] * 4, **sizes)

    def folded(self, conv: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
        """Weight (out, in, k, k) and bias (out,) of a convolution and its BatchNorm in one."""
        scale = self.tensor(f"{norm}.weight") / np.sqrt(self.tensor(f"{norm}.running_var") + BATCH_NORM_EPSILON)
        bias = self.tensor(f"{norm}.bias") - self.tensor(f"{norm}.running_mean") * scale
        weight = self.tensor(f"{conv}.weight")
        weight *= scale[:, None, None, None]
        return weight, bias

    def parameters(self, x: str, conv: str, weight: np.ndarray, bias: np.ndarray) -> list[str]:
        """Names of a convolution's weight and bias; x is what it is applied to."""
        return [self.constant(f"{conv}.folded_weight", weight), self.constant(f"{conv}.folded_bias", bias)]

    def relu(self, x: str) -> str:
        """What is positive."""
        return self.node("Relu", [x], f"{x}.relu")

    def max_pool(self, x: str) -> str:
        """The pooling after the first convolution."""
        return self.node("MaxPool", [x], "maxpool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])

    def bottleneck(self, x: str, name: str, stride: int, dilation: int = 1) -> str:
        """A residual block of three convolutions."""
        y = self.relu(self.convolution(x, f"{name}.conv1", f"{name}.bn1"))
        y = self.relu(self.convolution(y, f"{name}.conv2", f"{name}.bn2", stride, dilation))
        y = self.convolution(y, f"{name}.conv3", f"{name}.bn3")
        if f"{name}.downsample.0.weight" in self.weights:
            x = self.convolution(x, f"{name}.downsample.0", f"{name}.downsample.1", stride)
        return self.relu(self.node("Add", [y, x], f"{name}.sum"))

    def normalised(self, pixels: str, mean: Sequence[float], std: Sequence[float]) -> str:
        """uint8 (B, H, W, 3) -> float32 (B, 3, H, W), `(pixel / 255 - mean) / std`."""
        x = self.node("Cast", [pixels], "pixels.float", to=TensorProto.FLOAT)
        x = self.node("Transpose", [x], "pixels.channels_first", perm=[0, 3, 1, 2])
        scale = 1 / (255 * np.array(std, np.float32))
        shift = -np.array(mean, np.float32) / np.array(std, np.float32)
        x = self.node("Mul", [x, self.constant("input.scale", scale.reshape(1, 3, 1, 1))], "input.scaled")
        return self.node("Add", [x, self.constant("input.shift", shift.reshape(1, 3, 1, 1))], "input.normalised")

    def layers(self, pixels: str, mean: Sequence[float], std: Sequence[float], output_stride: int = 32) -> list[str]:
        """Lay the network up to its head; names of the outputs of layer1 to layer4."""
        x = self.normalised(pixels, mean, std)
        x = self.max_pool(self.relu(self.convolution(x, "conv1", "bn1", stride=2)))
        outputs: list[str] = []
        for layer, blocks in enumerate(BLOCKS_PER_LAYER, start=1):
            dilated = layer == len(BLOCKS_PER_LAYER) and output_stride == 16
            for block in range(blocks):
                stride = 2 if layer > 1 and block == 0 and not dilated else 1
                # The first dilated block still sees neighbours side by side, as in torchvision.
                x = self.bottleneck(x, f"layer{layer}.{block}", stride, dilation=2 if dilated and block > 0 else 1)
            outputs.append(x)
        return outputs

    def logits(self, pooled: str, n_classes: int) -> str:
        """The head's outputs for the classes, as log-odds against the background if it has outputs for that too."""
        weight, bias = (self.constant(f"fc.{name}", self.tensor(f"fc.{name}")) for name in ("weight", "bias"))
        n_outputs = len(self.weights["fc.bias"])
        if n_outputs == n_classes:
            return self.node("Gemm", [pooled, weight, bias], "logits", transB=1)
        outputs = self.node("Gemm", [pooled, weight, bias], "outputs", transB=1)
        sizes = self.constant("outputs.sizes", np.array([n_classes, n_outputs - n_classes], np.int64))
        self.nodes.append(helper.make_node("Split", [outputs, sizes], ["classes", "background"], axis=1))
        odds = self.node("ReduceLogSumExp", ["background"], "background.logsumexp", axes=[1])
        return self.node("Sub", ["classes", odds], "logits")


class QuantisedGraph(Graph):
    """The same layers between roundings to 8 bits, from which ONNX Runtime makes convolutions of integers.

    Weights are rounded with a scale for each output channel, activations with one for each layer. What a ReLU would cut off lies outside
    the range of its layer's output, so rounding does its work too.
    """

    def __init__(self, weights: dict[str, np.ndarray], calibration: Calibration):
        super().__init__(weights)
        self.ranges, self.means = calibration
        self.steps: dict[str, list[str]] = {}  # rounded tensor to the names of its scale and zero point
        self.scales: dict[str, np.ndarray] = {}  # rounded tensor to its scale

    def rounded(self, x: str, low: float, high: float) -> str:
        """A tensor rounded to 256 steps over a range."""
        scale = np.array(max(high - low, SMALLEST_RANGE) / 255, np.float32)
        zero = np.array(round(-low / float(scale)), np.uint8)
        return self.rounded_like(x, scale, [self.constant(f"{x}.scale", scale), self.constant(f"{x}.zero", zero)])

    def rounded_like(self, x: str, scale: np.ndarray, step: list[str]) -> str:
        """A tensor rounded to given steps."""
        y = self.node("DequantizeLinear", [self.node("QuantizeLinear", [x, *step], f"{x}.int8"), *step], f"{x}.rounded")
        self.scales[y], self.steps[y] = scale, step
        return y

    def normalised(self, pixels: str, mean: Sequence[float], std: Sequence[float]) -> str:
        """As of `Graph`, rounded."""
        ends = [(colour - m) / s for m, s in zip(mean, std, strict=True) for colour in (0, 1)]
        return self.rounded(super().normalised(pixels, mean, std), min(ends), max(ends))

    def convolution(self, x: str, conv: str, norm: str, stride: int = 1, dilation: int = 1) -> str:
        """A convolution with its BatchNorm folded in, padded so that a stride of 1 keeps the size."""
        y = super().convolution(x, conv, norm, stride, dilation)
        if y not in self.ranges:
            return y
        low, high = self.ranges[y]
        return self.rounded(y, low, high)

    def parameters(self, x: str, conv: str, weight: np.ndarray, bias: np.ndarray) -> list[str]:
        """As of `Graph`, in integers."""
        highest, lowest = (end(weight, axis=(1, 2, 3)) for end in (np.max, np.min))
        scale = (np.maximum(np.maximum(highest, -lowest), SMALLEST_RANGE) / LARGEST_WEIGHT).astype(np.float32)
        sums = scale * self.scales[x]
        weight /= scale[:, None, None, None]  # in place: it is used no more
        if conv in self.means:
            moved = (np.rint(weight) - weight).sum(axis=(2, 3)) @ np.asarray(self.means[conv], np.float32)
            bias = bias - moved * scale
        return [
            self.integers(f"{conv}.folded_weight", weight, scale, np.int8),
            self.integers(
                f"{conv}.folded_bias", bias.astype(np.float64) / sums, sums, np.int32
            ),  # float32 lacks the greatest int32
        ]

    def integers(self, name: str, value: np.ndarray, scale: np.ndarray, kind: type[np.signedinteger[Any]]) -> str:
        """A constant kept as integers, `scale` times which it is, channel by channel."""
        bounds = np.iinfo(kind)
        inputs = [
            self.constant(
                f"{name}.integers", np.rint(value, out=value).clip(bounds.min, bounds.max, out=value).astype(kind)
            ),
            self.constant(f"{name}.scale", scale),
            self.constant(f"{name}.zero", np.zeros(len(scale), kind)),
        ]
        return self.node("DequantizeLinear", inputs, name, axis=0)

    def relu(self, x: str) -> str:
        """What is positive."""
        return self.rounded(x, 0.0, self.ranges[f"{x}.relu"][1])

    def max_pool(self, x: str) -> str:
        """The pooling after the first convolution."""
        return self.rounded_like(
            super().max_pool(x), self.scales[x], self.steps[x]
        )  # the largest of rounded values is one


def build_graph(
    weights_file: Path,
    mean: Sequence[float],
    std: Sequence[float],
    n_classes: int,
    calibration: Calibration | None = None,
    output_stride: int = 32,
) -> onnx.ModelProto:
    """ONNX model of the whole network.

    Input `pixels`: uint8 of shape (B, H, W, 3), any H and W. Outputs, both float32: `logits` (B, n_classes), of the classes as
    `core.inference.model.against_background` says; `features` (B, 2048, h, w) of the last block with h = ceil(H / s), w = ceil(W / s),
    s the output stride.

    Args:
        weights_file: safetensors under torchvision's ResNet50 names.
        mean: of the training input, RGB in [0, 1].
        std: likewise.
        n_classes: how many of the head's outputs, from the first, are classes; the others are background.
        calibration: for convolutions in 8-bit integers; without it they compute in float32.
        output_stride: 32, or 16 where layer4 dilates instead of striding, as in `core.inference.model.GarmentNet`.

    Raises:
        KeyError: a tensor or a range is missing.
    """
    weights = load_file(weights_file)
    graph = Graph(weights) if calibration is None else QuantisedGraph(weights, calibration)
    *_, x = graph.layers("pixels", mean, std, output_stride)  # pyright: ignore[reportArgumentType]
    features = graph.node("Identity", [x], "features")
    pooled = graph.node("Flatten", [graph.node("GlobalAveragePool", [features], "pooled")], "pooled.flat")
    graph.logits(pooled, n_classes)
    return _model(graph, n_classes)


def network_graph(run: Run, quantised: bool = False) -> onnx.ModelProto:
    """The graph of a run's network, in 8-bit integers if `quantised`.

    Raises:
        BrokenRun: the run carries no network or, for integers, no ranges, or a file of it is damaged.
    """
    weights, given = run.path(run.network), run.input
    calibration = calibration_of(run) if quantised else None
    try:
        return build_graph(weights, given.mean, given.std, len(run.labels), calibration, run.facts.output_stride)
    except Exception as error:  # safetensors and numpy raise many types for foreign files
        raise BrokenRun(f"{weights} does not hold a ResNet50 ({error!r:.200}). {RESTORE_HINT}") from error


def calibration_of(run: Run) -> Calibration:
    """What photos told of a run's network when it was made. Raises BrokenRun if that file is missing or damaged."""
    found = run.read_json(QUANTISATION)
    return Calibration(found["ranges"], found.get("means", {}))  # runs of earlier versions were accepted without means


def ranged_outputs(model: onnx.ModelProto) -> list[str]:
    """Outputs inside a float32 graph whose ranges the same graph in 8-bit integers needs: of ReLUs, and of convolutions before none."""
    rectified = {node.input[0] for node in model.graph.node if node.op_type == "Relu"}
    return [
        node.output[0]
        for node in model.graph.node
        if node.op_type == "Relu" or (node.op_type == "Conv" and node.output[0] not in rectified)
    ]


def head_of(weights_file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Weight (n_outputs, 2048) and bias (n_outputs,) of the linear head, float32; the classes come first."""
    with safe_open(weights_file, framework="numpy") as file:
        return file.get_tensor("fc.weight").astype(np.float32), file.get_tensor("fc.bias").astype(np.float32)


def _model(graph: Graph, n_classes: int) -> onnx.ModelProto:
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", n_classes]),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 2048, "rows", "columns"]),
    ]
    return graph.model("resnet50", outputs)
