"""A run's network as one ONNX file that explains itself, for runtimes that know nothing of this product."""

from __future__ import annotations

import json
from pathlib import Path

import onnx

from core.artifacts.run import Run
from core.files import replaced
from core.images.letterbox import BACKGROUND
from core.inference.onnx_graph import network_graph

PREPROCESSING = (
    "Input `pixels`: uint8 RGB of shape (batch, height, width, 3). First cut off a uniform border of the upright photo (padding, bars, a "
    "plain backdrop): `framed` in core/images/framing.py, 50 lines of numpy, is the exact rule. Then scale what is left to fit "
    "input_height x input_width, keeping its aspect ratio (Pillow's BICUBIC with reducing_gap 3), and centre it on the background "
    "colour. Scaling to [0, 1], mean and std are inside the graph: do not apply them."
)
POSTPROCESSING = (
    "Output `logits`: float32 (batch, classes), in the order of `labels`. Probabilities are softmax(logits / temperature). A photo shows "
    "one of the classes if logsumexp(logits) >= in_scope_threshold. Output `features`: the last block's maps, for Grad-CAM."
)


def metadata(run: Run) -> dict[str, str]:
    """What an exported file says of itself; lists and objects as JSON."""
    given = run.input
    return {
        "run_id": run.run_id,
        "labels": json.dumps(run.labels.names),
        "groups": json.dumps(run.labels.groups),
        "input_height": str(given.height),
        "input_width": str(given.width),
        "background": json.dumps(BACKGROUND),
        "mean": json.dumps(given.mean),
        "std": json.dumps(given.std),
        "temperature": repr(run.temperature),
        "in_scope_threshold": repr(run.threshold),
        "preprocessing": PREPROCESSING,
        "postprocessing": POSTPROCESSING,
    }


def export_onnx(run: Run, path: Path) -> None:
    """Write the network with its metadata; the file takes its name only when it is whole.

    Raises:
        BrokenRun: the run carries no network, or a file of it is damaged.
        OSError: the file cannot be written.
    """
    model = network_graph(run)
    onnx.helper.set_model_props(model, metadata(run))
    onnx.checker.check_model(model)
    with replaced(path) as partial:
        onnx.save(model, partial)
