"""Ways to run the shipped network, measured side by side: how fast each is beside the serving engine, and how accurate.

    python -m benchmarks.engines                                                                # speed alone
    python -m benchmarks.engines --processor-time                                               # on a busy machine
    python -m benchmarks.engines --data fashion-product-images-small.zip --chart docs/engines.svg

Speed: one photo through each way in turn, round after round and each round in another order, so that a busy machine slows
all; what counts is the time of the serving engine over that of the other in the same round. Then the same of a batch, in
half as many rounds. Accuracy, where the data set is given: on the run's validation photos, never on its test photos. A way
is worth adopting if it is more than 1.1 times as fast and loses at most 0.2 points.

Folding BatchNorm into the convolutions is measured in PyTorch, where it can be left out; the serving engine's graph is always folded.
ONNX Runtime's level "all" differs from "extended" by its blocked memory layout, its form of channels-last.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import openvino
import plotly.graph_objects as go
import torch
from PIL import Image
from torch.fx.experimental.optimization import fuse
from torchvision import transforms

from benchmarks.report import machine, spread
from benchmarks.svg import as_svg
from core import Classifier
from core.artifacts.predictions import stage_files
from core.artifacts.run import Run
from core.images.decode import decode_photo
from core.images.letterbox import letterbox
from core.inference.model import load_network
from core.inference.onnx_graph import QUANTISATION, network_graph
from core.plots.palette import OTHER, VALIDATION
from train.catalogue import HASHED_IDS_FROM, Source

ROUNDS, WARM_UP, PASSES, REST = 20, 2, 5, 0.05
BATCH = 32
SIZES = ((64, 48), (80, 60), (112, 84), (128, 96), (160, 120))
FASTER, POINTS = 1.1, 0.2
SHIPPED = "serving engine"

Forward = Callable[[np.ndarray], np.ndarray]  # uint8 (B, H, W, 3) to logits (B, n_classes)
Clock = Callable[[], float]
Prepare = Callable[[Image.Image, int, int], np.ndarray]  # a photo, height and width to uint8 (height, width, 3)
Pixels = Callable[[Prepare, int, int], np.ndarray]  # the same for all photos: uint8 (n, height, width, 3)


class Way(NamedTuple):
    """A way to run the network.

    Args:
        forward: takes pixels to logits.
        size: (height, width) of its input.
        prepare: makes its input of a photo.
    """

    forward: Forward
    size: tuple[int, int]
    prepare: Prepare = letterbox


class Photos(NamedTuple):
    """Photos of a split.

    Args:
        pixels: gives them prepared at a size.
        targets: int (n,), the index of each one's class.
    """

    pixels: Pixels
    targets: np.ndarray


class Measured(NamedTuple):
    """What became of one way.

    Args:
        name: of the way.
        milliseconds: (rounds,), of one photo.
        ratios: (rounds,), the serving engine's time over this one's in the same round.
        accuracy: on the validation photos; NaN without data.
        in_batch: (rounds,), as the ratios, of BATCH photos at once.
    """

    name: str
    milliseconds: np.ndarray
    ratios: np.ndarray
    accuracy: float
    in_batch: np.ndarray = np.array([np.nan])


def with_onnx_runtime(model: bytes, threads: int = 0, level: str = "ENABLE_ALL", spinning: bool = True) -> Forward:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_{level}")
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda pixels: np.asarray(session.run(["logits"], {"pixels": pixels})[0])


def with_openvino(model: bytes) -> Forward:
    core = openvino.Core()
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(model), "CPU", settings)
    return lambda pixels: compiled(pixels)["logits"]


def with_torch(run: Run, folded: bool = False, channels_last: bool = False) -> Forward:
    network = load_network(run.path("model.safetensors")).eval()
    network = fuse(network) if folded else network
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = network.to(memory_format=layout)
    mean, std = (torch.tensor(values).view(3, 1, 1) * 255 for values in (run.input.mean, run.input.std))
    classes = len(run.labels)

    @torch.inference_mode()
    def forward(pixels: np.ndarray) -> np.ndarray:
        x = (torch.from_numpy(pixels).permute(0, 3, 1, 2) - mean) / std
        outputs = network(x.contiguous(memory_format=layout))
        background = outputs[:, classes:].logsumexp(1, keepdim=True) if outputs.shape[1] > classes else 0
        return (outputs[:, :classes] - background).numpy()

    return forward


def ways(classifier: Classifier) -> Iterator[tuple[str, Way]]:
    """All that is compared, the serving engine first."""
    run, engine, size = classifier.run, classifier.engine, classifier.input_size
    float32 = network_graph(run).SerializeToString()
    yield SHIPPED, Way(lambda pixels: engine.run(pixels).logits, size)
    for level in ("DISABLE_ALL", "ENABLE_BASIC", "ENABLE_EXTENDED", "ENABLE_ALL"):
        yield f"ONNX Runtime, float32, {level.lower()}", Way(with_onnx_runtime(float32, level=level), size)
    yield "ONNX Runtime, float32, 1 thread", Way(with_onnx_runtime(float32, threads=1), size)
    yield "ONNX Runtime, float32, no spinning", Way(with_onnx_runtime(float32, spinning=False), size)
    yield "OpenVINO, float32", Way(with_openvino(float32), size)
    if run.has(QUANTISATION):
        int8 = network_graph(run, quantised=True).SerializeToString()
        yield "ONNX Runtime, int8, 1 thread", Way(with_onnx_runtime(int8, threads=1), size)
        yield "ONNX Runtime, int8, no spinning", Way(with_onnx_runtime(int8, spinning=False), size)
        yield "OpenVINO, int8", Way(with_openvino(int8), size)
    yield "PyTorch", Way(with_torch(run), size)
    yield "PyTorch, BatchNorm folded", Way(with_torch(run, folded=True), size)
    yield "PyTorch, folded, channels-last", Way(with_torch(run, folded=True, channels_last=True), size)
    for height, width in SIZES:
        if (height, width) != size:
            yield f"{SHIPPED} at {height}x{width}", Way(lambda pixels: engine.run(pixels).logits, (height, width))
    yield "the usual way: PyTorch at 224x224", Way(with_torch(run), (224, 224), stretched)


def stretched(image: Image.Image, height: int, width: int) -> np.ndarray:
    """As torchvision's transforms resize a photo to a fixed size."""
    return np.asarray(transforms.Resize((height, width))(image))


def photos(source: Source, ids: Iterable[int]) -> Pixels:
    """Photos of the catalogue, decoded once."""
    decoded = [decode_photo(source.read(f"images/{photo}.jpg")).image for photo in ids]
    return functools.cache(lambda prepare, *size: np.stack([prepare(image, *size) for image in decoded]))


def validation_photos(run: Run, source: Source, most: int) -> Photos:
    """Photos of the validation split, evenly taken."""
    table = run.read_csv(stage_files(run)[max(stage_files(run))])
    table = table[table["id"] < HASHED_IDS_FROM].iloc[:: max(1, len(table) // most)]
    return Photos(photos(source, table["id"]), np.array([run.labels.index(label) for label in table["label"]]))


def accuracy(way: Way, validation: Photos) -> float:
    """Share of photos that a way names right."""
    pixels = validation.pixels(way.prepare, *way.size)
    batches = np.array_split(pixels, max(1, len(pixels) // BATCH))
    predicted = np.concatenate([way.forward(batch).argmax(axis=1) for batch in batches])
    return float((predicted == validation.targets).mean())


def measure(all_ways: dict[str, Way], validation: Photos | None, clock: Clock = time.perf_counter) -> list[Measured]:
    """Time all ways in turn, round after round, each round in another order."""
    times, in_batch = (
        rounds(list(all_ways.values()), *how, clock) for how in ((1, ROUNDS), (BATCH, max(1, ROUNDS // 2)))
    )
    return [
        Measured(
            name,
            times[:, i],
            times[:, 0] / times[:, i],
            accuracy(way, validation) if validation else np.nan,
            in_batch[:, 0] / in_batch[:, i],
        )
        for i, (name, way) in enumerate(all_ways.items())
    ]


def rounds(chosen: list[Way], photos: int, number: int, clock: Clock) -> np.ndarray:
    """Milliseconds of so many photos at once, (number of rounds, ways)."""
    inputs = {way.size: np.full((photos, *way.size, 3), 128, np.uint8) for way in chosen}
    random = np.random.default_rng(0)
    times = np.zeros((number, len(chosen)))
    for row in times:
        for i in random.permutation(len(chosen)):
            row[i] = _milliseconds(chosen[i].forward, inputs[chosen[i].size], clock)
    return times


def _milliseconds(forward: Forward, pixels: np.ndarray, clock: Clock) -> float:
    """Median of some passes in a row, once the threads of the way before have gone to rest and this one's weights are in the caches."""
    time.sleep(REST)
    seconds = []
    for _ in range(WARM_UP + PASSES):
        start = clock()
        forward(pixels)
        seconds.append(clock() - start)
    return 1000 * float(np.median(seconds[WARM_UP:]))


def table(measured: list[Measured]) -> str:
    """Markdown, a line a way, and whether it is worth adopting."""
    lines = [
        f"| way | one photo | times as fast | times as fast, {BATCH} photos | validation accuracy | worth adopting |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    shipped = measured[0].accuracy
    for name, milliseconds, ratios, share, in_batch in measured:
        better = name != SHIPPED and np.median(ratios) > FASTER
        worth = better and (np.isnan(share) or 100 * (shipped - share) <= POINTS)
        shown = "" if np.isnan(share) else f"{share:.2%} ({100 * (share - shipped):+.2f})"
        verdict = "" if name == SHIPPED else "yes" if worth else "no"
        cells = (name, spread(milliseconds, "ms"), spread(ratios, "", 2), spread(in_batch, "", 2), shown, verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def front(measured: list[Measured]) -> list[Measured]:
    """The ways that no other beats in both time and accuracy, fastest first (the Pareto front)."""
    best: list[Measured] = []
    for way in sorted(measured, key=lambda way: (np.median(way.milliseconds), -way.accuracy)):
        if not best or way.accuracy > best[-1].accuracy:
            best.append(way)
    return best


def chart(measured: list[Measured]) -> go.Figure:
    """Accuracy over time, each way under its number, with the front."""
    best = front(measured)
    style = {"color": OTHER, "shape": "hv", "dash": "dot"}
    x, y = [float(np.median(way.milliseconds)) for way in best], [100 * way.accuracy for way in best]
    figure = go.Figure(go.Scatter(x=x, y=y, mode="lines", line=style, name="beaten by none"))
    for number, way in enumerate(measured, start=1):
        figure.add_scatter(
            x=[float(np.median(way.milliseconds))],
            y=[100 * way.accuracy],
            text=[str(number)],
            name=f"{number}  {way.name}",
            mode="markers+text",
            textposition=("top center", "bottom center", "middle right", "middle left")[number % 4],
            marker={"color": VALIDATION, "size": 9},
        )
    figure.update_xaxes(
        title="milliseconds for one photo", type="log", tickvals=[3, 5, 7, 10, 15, 20, 30, 50, 100, 200]
    )
    figure.update_yaxes(title="validation accuracy, %")
    return figure.update_layout(template="plotly_white", width=1100, height=620, margin={"t": 30})


def main() -> None:
    line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    line.add_argument("--data", type=Path, help="Kaggle zip or extracted folder, for accuracy")
    line.add_argument("--photos", type=int, default=10**6, metavar="N", help="of the validation split (default: all)")
    line.add_argument(
        "--chart", type=Path, metavar="FILE.svg", help="draw accuracy over time; needs --data and Chromium"
    )
    line.add_argument("--processor-time", action="store_true", help="of all threads, in place of the time on the clock")
    options = line.parse_args()
    classifier = Classifier.load()
    source = Source(options.data) if options.data else None
    validation = validation_photos(classifier.run, source, options.photos) if source else None
    clock = time.process_time if options.processor_time else time.perf_counter
    measured = measure(dict(ways(classifier)), validation, clock)
    print(
        f"run {classifier.run.run_id}, {len(validation.targets) if validation else 0} validation photos, {ROUNDS} rounds"
    )
    print(f"{machine()}, openvino {openvino.__version__.partition('-')[0]}")
    print(table(measured))
    if options.chart and validation:
        options.chart.write_bytes(as_svg(chart(measured)))


if __name__ == "__main__":
    main()
