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

from core.artifacts.manifest import RESTORE_HINT
from core.artifacts.run import Run
from core.errors import BrokenRun
from core.inference.onnx_graph import QUANTISATION, Graph, QuantisedGraph, calibration_of

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
    """

    groups: tuple[str, ...]
    garments: int
    least_score: float = 0.0
    scope_threshold: float = 0.0

    def as_metadata(self) -> dict[str, str]:
        """For a safetensors file."""
        return {"settings": json.dumps(asdict(self))}

    @classmethod
    def of(cls, path: Path) -> DetectorSettings:
        """Those of a detector's file."""
        with safe_open(path, framework="numpy") as file:
            found: dict[str, Any] = json.loads(file.metadata()["settings"])
        found["groups"] = tuple(found["groups"])
        return cls(**found)


def detector_graph(run: Run, quantised: bool = True) -> tuple[onnx.ModelProto, DetectorSettings]:
    """A run's detector: its network, layer4 not dilated, with the detector's head, and its settings.

    Input `pixels`: uint8 of shape (B, H, W, 3), H and W multiples of 32. Output `cells`: float32 (B, groups + 5, H / 8, W / 8), as
    `train.find.head.DetectorHead` describes it.

    Args:
        run: with a detector.
        quantised: whether the network's layers may compute in 8-bit integers, where the run has what that needs. The head never does.

    Raises:
        BrokenRun: the run has no detector, or a file of it is damaged.
    """
    path = run.path(DETECTOR)
    try:
        settings = DetectorSettings.of(path)
        head = {f"head.{name}": np.asarray(value, np.float32) for name, value in load_file(path).items()}
        graph = _graph(run, quantised, head)
        n_outputs = _lay_head(graph, *_layers(graph, run))
    except Exception as error:  # safetensors and numpy raise many types for foreign files
        raise BrokenRun(f"{path} does not hold a detector for its network ({error!r:.200}). {RESTORE_HINT}") from error
    shape = ["batch", n_outputs, "rows", "columns"]
    return graph.model("detector", [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)]), settings


def layers_graph(run: Run, quantised: bool = True) -> onnx.ModelProto:
    """What the detector's head sees: the maps of layer2, layer3 and layer4 of `pixels`, (B, 512, H / 8, W / 8), (B, 1024, H / 16, W / 16)
    and (B, 2048, H / 32, W / 32)."""
    graph = _graph(run, quantised)
    outputs = _layers(graph, run)
    return graph.model("layers", [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs])


def _graph(run: Run, quantised: bool, head: dict[str, np.ndarray] | None = None) -> Graph:
    weights = load_file(run.path("model.safetensors")) | (head or {})
    if quantised and run.has(QUANTISATION):
        return QuantisedGraph(weights, calibration_of(run))
    return Graph(weights)


def _layers(graph: Graph, run: Run) -> list[str]:
    _, *deeper = graph.layers("pixels", run.input.mean, run.input.std)  # pyright: ignore[reportArgumentType]
    return deeper


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
