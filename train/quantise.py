"""May the network compute in 8-bit integers? Finds what this needs to know, accepted only if validation loses next to nothing."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from core.analysis.metrics import auroc, expected_calibration_error, fit_temperature
from core.artifacts.run import Run, sha256_of
from core.inference.engine import Engine
from core.inference.onnx_graph import QUANTISATION, Calibration, network_graph, ranged_outputs
from core.inference.postprocess import energy, softmax
from core.inference.providers import CPU
from train.catalogue import PHONE, WORN
from train.evaluate import BATCH, score
from train.folder import write_json
from train.splits import SplitData

CALIBRATION_PHOTOS = 256  # of the training split
DIGITS = 5  # of a mean, as it is written
ROUNDING = 1e-9


class Quality(NamedTuple):
    """How well a network does on the validation photos.

    Args:
        accuracy: on photos of the classes.
        calibration_error: on the same, at the temperature that suits the network best.
        auroc: of the energy as a score that separates them from other products; NaN where there are none.
    """

    accuracy: float
    calibration_error: float
    auroc: float


MOST_LOST = Quality(accuracy=0.002, calibration_error=0.01, auroc=0.005)


def quantise(run: Run, data: SplitData, seed: int) -> dict[str, Any]:
    """Write ranges and means into the run's folder, unless computing with them loses more than MOST_LOST on validation.

    Both forms are measured on the processor, wherever the network trained: only a processor computes in integers.

    Returns:
        For the manifest: quality on validation in float32 and in 8-bit integers (accuracy under `float32` and `int8`), the photos that
        these were measured on, and whether the network is served in integers.
    """
    float32 = Engine(run, quantised=False, processor=True)
    photos = _calibration_photos(data, seed)
    pixels = data.pixels(float32.height, float32.width)
    path = run.folder / QUANTISATION
    write_json(path, {"photos": len(photos), **calibrate(run, pixels[photos])._asdict()})
    files = run.facts.files | {QUANTISATION: sha256_of(path)}
    int8 = Engine(Run(run.folder, run.manifest | {"files": files}), processor=True)
    before, after = (measured(engine, data) for engine in (float32, int8))
    accepted = not losses(before, after)
    if not accepted:
        path.unlink()
    return {
        "float32": before.accuracy,
        "int8": after.accuracy,
        "calibration_error": {"float32": before.calibration_error, "int8": after.calibration_error},
        "auroc": None if math.isnan(before.auroc) else {"float32": before.auroc, "int8": after.auroc},
        "photos": len(photos),
        "accepted": accepted,
    }


def losses(before: Quality, after: Quality) -> list[str]:
    """Names of the measures by which 8-bit integers lose more than MOST_LOST; an unknown one counts as no loss."""
    lost = Quality(
        before.accuracy - after.accuracy,
        after.calibration_error - before.calibration_error,
        before.auroc - after.auroc,
    )
    return [name for name in Quality._fields if getattr(lost, name) > getattr(MOST_LOST, name) + ROUNDING]


def measured(engine: Engine, data: SplitData) -> Quality:
    """Quality of the network in an engine on the validation photos of the catalogue."""
    scored = score(engine, data, data.rows("val"))
    known = scored.known
    temperature = fit_temperature(known.logits, known.targets)
    probabilities = softmax(known.logits, temperature)
    correct = probabilities.argmax(axis=1) == known.targets
    return Quality(
        float(correct.mean()),
        expected_calibration_error(probabilities.max(axis=1), correct),
        auroc(energy(known.logits), energy(scored.others.logits)),
    )


def calibrate(run: Run, pixels: np.ndarray) -> Calibration:
    """Ranges of the layers' outputs over photos, 0 included, and means of the convolutions' inputs, to DIGITS digits.

    Args:
        run: with a network.
        pixels: uint8 (n, height, width, 3), letterboxed.
    """
    model = network_graph(run)
    inputs = {node.name: node.input[0] for node in model.graph.node if node.op_type == "Conv"}
    ranged, averaged = ranged_outputs(model), [*dict.fromkeys(inputs.values())]
    names = [*dict.fromkeys(ranged + averaged)]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=[CPU])
    low, high = dict.fromkeys(ranged, 0.0), dict.fromkeys(ranged, 0.0)
    sums: dict[str, Any] = dict.fromkeys(averaged, 0.0)
    for start in range(0, len(pixels), BATCH):
        given = {"pixels": pixels[start : start + BATCH]}
        outputs = {name: np.asarray(value) for name, value in zip(names, session.run(names, given), strict=True)}
        low = {name: min(least, float(outputs[name].min())) for name, least in low.items()}
        high = {name: max(most, float(outputs[name].max())) for name, most in high.items()}
        sums = {name: total + outputs[name].mean(axis=(2, 3)).sum(axis=0) for name, total in sums.items()}
    means = {name: [float(f"{value:.{DIGITS}g}") for value in total / len(pixels)] for name, total in sums.items()}
    return Calibration(
        {name: (low[name], high[name]) for name in ranged}, {conv: means[x] for conv, x in inputs.items()}
    )


def _calibration_photos(data: SplitData, seed: int) -> np.ndarray:
    """Positions of training photos of the classes and from elsewhere, taken at random, in the index's order."""
    rows = np.concatenate([data.known_rows("train"), data.rows("train", PHONE), data.rows("train", WORN)])
    chosen = np.random.default_rng(seed).choice(rows, min(CALIBRATION_PHOTOS, len(rows)), replace=False)
    return np.sort(chosen)
