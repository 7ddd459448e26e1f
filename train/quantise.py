"""May the network compute in 8-bit integers? Finds the ranges that this needs, and accepts it only if validation hardly notices."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from core.artifacts.run import Run, sha256_of
from core.inference.engine import Engine
from core.inference.onnx_graph import QUANTISATION, Ranges, network_graph, ranged_outputs
from core.inference.providers import CPU
from train.catalogue import PHONE, WORN
from train.evaluate import BATCH, score
from train.folder import write_json
from train.splits import SplitData

CALIBRATION_PHOTOS = 256  # of the training split
MOST_POINTS_LOST = 0.2  # of validation accuracy, in percentage points


def quantise(run: Run, data: SplitData, seed: int) -> dict[str, Any]:
    """Write the ranges into the run's folder, unless computing with them loses more than MOST_POINTS_LOST on validation.

    Returns:
        For the manifest: validation accuracy in float32 and in 8-bit integers, the photos that the ranges were measured on, and
        whether the network is served in integers.
    """
    float32 = Engine(run, quantised=False)
    photos = _calibration_photos(data, seed)
    pixels = data.pixels(float32.height, float32.width)
    path = run.folder / QUANTISATION
    write_json(path, {"photos": len(photos), "ranges": activation_ranges(run, pixels[photos])})
    files = run.facts.files | {QUANTISATION: sha256_of(path)}
    int8 = Engine(Run(run.folder, run.manifest | {"files": files}))
    before, after = (_accuracy(engine, data) for engine in (float32, int8))
    accepted = 100 * (before - after) <= MOST_POINTS_LOST
    if not accepted:
        path.unlink()
    return {"float32": before, "int8": after, "photos": len(photos), "accepted": accepted}


def activation_ranges(run: Run, pixels: np.ndarray) -> Ranges:
    """Least and greatest value of each layer's output over photos, 0 included.

    Args:
        run: with a network.
        pixels: uint8 (n, height, width, 3), letterboxed.
    """
    model = network_graph(run)
    names = ranged_outputs(model)
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=[CPU])
    low, high = np.zeros(len(names)), np.zeros(len(names))
    for start in range(0, len(pixels), BATCH):
        outputs = [np.asarray(value) for value in session.run(names, {"pixels": pixels[start : start + BATCH]})]
        low = np.minimum(low, [output.min() for output in outputs])
        high = np.maximum(high, [output.max() for output in outputs])
    return dict(zip(names, zip(low.tolist(), high.tolist(), strict=True), strict=True))


def _calibration_photos(data: SplitData, seed: int) -> np.ndarray:
    """Positions of training photos of the classes and from elsewhere, taken at random, in the index's order."""
    rows = np.concatenate([data.known_rows("train"), data.rows("train", PHONE), data.rows("train", WORN)])
    chosen = np.random.default_rng(seed).choice(rows, min(CALIBRATION_PHOTOS, len(rows)), replace=False)
    return np.sort(chosen)


def _accuracy(engine: Engine, data: SplitData) -> float:
    scored = score(engine, data, data.known_rows("val"))
    return float((scored.logits.argmax(axis=1) == scored.targets).mean())
