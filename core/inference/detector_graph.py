"""The detector as an ONNX graph: the network's layers and the head that `train.find` teaches, laid from their weights alone.

`tests/inference/test_detect.py` holds it against the PyTorch definition.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from safetensors import safe_open
from safetensors.numpy import load_file

from core.artifacts.run import RESTORE_HINT, Run
from core.errors import BrokenRun
from core.inference.onnx_graph import Graph, QuantisedGraph, Ranges

DETECTOR = "detector.safetensors"  # file of a run with the head's weights, and in its metadata the settings
DILATIONS = (1, 2, 4)  # of the head's blocks
OUTPUT = "cells"


@dataclass(frozen=True)
class DetectorSettings:
    """What a run says of its detector besides the weights.

    Args:
        groups: what a cell may show, the background first, then the garments.
        garments: how many of the groups after the background are garments.
        least_score: of a proposal.
        scope_threshold: of the in-scope score of a proposed garment; lower than that of any photo, for a garment was seen there.
        ranges: of the network's layers on whole photos, for 8-bit integers; None to compute in float32.
    """

    groups: tuple[str, ...]
    garments: int
    least_score: float = 0.0
    scope_threshold: float = 0.0
    ranges: Ranges | None = None

    def as_metadata(self) -> dict[str, str]:
        """For a safetensors file."""
        return {"settings": json.dumps(asdict(self))}

    @classmethod
    def of(cls, path: Path) -> DetectorSettings:
        """Those of a detector's file."""
        with safe_open(path, framework="numpy") as file:
            found: dict[str, Any] = json.loads(file.metadata()["settings"])
        ranges = found["ranges"] and {name: (low, high) for name, (low, high) in found["ranges"].items()}
        return cls(**found | {"groups": tuple(found["groups"]), "ranges": ranges})


def detector_graph(run: Run) -> tuple[onnx.ModelProto, DetectorSettings]:
    """A run's detector: `cells` of `pixels`, as `build_detector` says, and its settings.

    Raises:
        BrokenRun: the run has no detector, or a file of it is damaged.
    """
    weights, head, given = run.path("model.safetensors"), run.path(DETECTOR), run.manifest["input"]
    try:
        settings = DetectorSettings.of(head)
        return build_detector(weights, head, given["mean"], given["std"], settings.ranges), settings
    except Exception as error:  # safetensors and numpy raise many types for foreign files
        raise BrokenRun(f"{head} does not hold a detector for {weights} ({error!r:.200}). {RESTORE_HINT}") from error


def build_detector(
    weights_file: Path, head_file: Path, mean: list[float], std: list[float], ranges: Ranges | None = None
) -> onnx.ModelProto:
    """ONNX model of the network, layer4 not dilated, with the detector's head.

    Input `pixels`: uint8 of shape (B, H, W, 3), H and W multiples of 32. Output `cells`: float32 (B, groups + 5, H / 8, W / 8), as
    `train.find.head.DetectorHead` describes it.

    Args:
        weights_file: of the network.
        head_file: of the detector.
        mean: of the network's input, RGB in [0, 1].
        std: likewise.
        ranges: of every layer of the network, to compute it in 8-bit integers; the head always computes in float32.
    """
    weights = {name: np.asarray(value, np.float32) for name, value in load_file(weights_file).items()}
    weights |= {f"head.{name}": np.asarray(value, np.float32) for name, value in load_file(head_file).items()}
    graph = Graph(weights) if ranges is None else QuantisedGraph(weights, ranges)
    _, second, third, fourth = graph.layers("pixels", mean, std)
    n_outputs = _lay_head(graph, second, third, fourth)
    shape = ["batch", n_outputs, "rows", "columns"]
    return graph.model("detector", [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)])


def _lay_head(graph: Graph, second: str, third: str, fourth: str) -> int:
    """As `train.find.head.DetectorHead.forward`; returns the number of outputs of a cell."""
    deep = _doubled(graph, _plain(graph, fourth, "lateral4"))
    x = graph.node("Relu", [_sum(graph, _plain(graph, third, "lateral3"), deep)], "head.pyramid3")
    for block, dilation in enumerate(DILATIONS):
        x = _sum(graph, x, _normed(graph, x, f"context.{block}", dilation))
    wide = _sum(graph, _plain(graph, second, "lateral2"), _doubled(graph, _plain(graph, x, "down")))
    fine = _normed(graph, graph.node("Relu", [wide], "head.pyramid2"), "fine")
    cells = [_plain(graph, fine, "predict_fine"), _doubled(graph, _plain(graph, x, "predict_context"))]
    graph.node("Add", cells, OUTPUT)
    return len(graph.weights["head.predict_context.bias"])


def _plain(graph: Graph, x: str, layer: str) -> str:
    """A 1 x 1 convolution."""
    weight = graph.weights[f"head.{layer}.weight"]
    bias = graph.weights.get(f"head.{layer}.bias", np.zeros(len(weight), np.float32))
    return _convolution(graph, x, layer, weight, bias, dilation=1)


def _normed(graph: Graph, x: str, layer: str, dilation: int = 1) -> str:
    """A 3 x 3 convolution with BatchNorm and ReLU."""
    weight, bias = graph.folded(f"head.{layer}.0", f"head.{layer}.1")
    y = _convolution(graph, x, layer, weight, bias, dilation)
    return graph.node("Relu", [y], f"{y}.relu")


def _convolution(graph: Graph, x: str, layer: str, weight: np.ndarray, bias: np.ndarray, dilation: int) -> str:
    """In float32, in a graph of integers too."""
    names = [graph.constant(f"head.{layer}.constant{i}", value) for i, value in enumerate((weight, bias))]
    kernel = weight.shape[-1]
    sizes = {"kernel_shape": [kernel] * 2, "dilations": [dilation] * 2, "pads": [dilation * (kernel // 2)] * 4}
    return graph.node("Conv", [x, *names], f"head.{layer}", **sizes)


def _doubled(graph: Graph, x: str) -> str:
    """Twice the rows and columns, bilinear."""
    scales = graph.constant(f"{x}.scales", np.array([1, 1, 2, 2], np.float32))
    return graph.node("Resize", [x, "", scales], f"{x}.doubled", mode="linear")


def _sum(graph: Graph, x: str, y: str) -> str:
    return graph.node("Add", [x, y], f"{y}.sum")
