"""One photo, bytes to top class with Grad-CAM: this product's path against the usual one, side by side in one run.

    make bench

The usual path: full JPEG decode, torchvision transforms to 224x224, eager ResNet50, pytorch-grad-cam. Ours: JPEG
decode at reduced scale, letterbox, ONNX Runtime, class map from the head's weights. Both run the shipped network's
weights, on a photo drawn in code with noise, as large as a phone's. Rounds of both alternate, so that a busy machine
slows both; what counts is the ratio. Before each measured pass come a rest, until the other path's threads no longer
wait for work on the processor, and an unmeasured one.

Then how much of the processor's peak the network reaches, in its own number format: the multiplications and additions
of its convolutions and its head in a second, over those of a large matrix product in the same rounds, on as many
threads: numpy's in float32, ONNX Runtime's MatMulInteger in 8-bit integers.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from PIL import Image
from pytorch_grad_cam import GradCAM
from torchvision import transforms

from benchmarks.report import Row, machine, percentages, show, spread
from core import Classifier
from core.images.decode import decode_photo
from core.inference.engine import Engine
from core.inference.model import IMAGENET_MEAN, IMAGENET_STD, load_network
from core.inference.onnx_graph import IR_VERSION, OPSET, network_graph
from core.samples import garments

ROUNDS, REST = 15, 0.25  # seconds
MATRIX, BATCH = 1536, 32
INTEGERS = {"a": TensorProto.UINT8, "b": TensorProto.INT8}
PHOTO = (1200, 1600)
USUAL = (224, 224)  # size of the heat map that pytorch-grad-cam gives
ENOUGH, PICTURE = (
    (1200, 1200),
    (400, 533),
)  # what the page decodes at least, and its heat map of such a photo (core.ui.classify.viewer)


def phone_photo() -> bytes:
    """A JPEG of a drawn garment with sensor noise."""
    noise = Image.effect_noise(PHOTO, 40).convert("RGB")
    buffer = io.BytesIO()
    Image.blend(garments.sample("Tshirts", size=PHOTO), noise, 0.1).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def usual_path(network: torch.nn.Module):
    prepare = transforms.Compose(
        [transforms.Resize((224, 224)), transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    )

    def run(data: bytes) -> None:
        image = prepare(Image.open(io.BytesIO(data)).convert("RGB")).unsqueeze(0)
        with GradCAM(model=network, target_layers=[network.layer4[-1]]) as cam:
            cam(input_tensor=image, targets=None)  # explains the top class of its own forward pass, which is the answer
            int(cam.outputs.argmax())

    return run


def our_path(classifier: Classifier, decoded: tuple[int, int], shown: tuple[int, int]):
    def run(data: bytes) -> None:
        photo = decode_photo(data, at_least=decoded)
        reading = classifier.read([(photo, None)])[0]
        reading.heat(classifier.labels.index(classifier.answer(reading).label), shown)

    return run


def measured(paths: list, data: bytes) -> np.ndarray:
    """Milliseconds, (rounds, paths)."""
    rows = np.zeros((ROUNDS, len(paths)))
    for row in rows:
        for i, path in enumerate(paths):
            time.sleep(REST)
            path(data)
            start = time.perf_counter()
            path(data)
            row[i] = 1000 * (time.perf_counter() - start)
    return rows


def operations(model: onnx.ModelProto, height: int, width: int) -> int:
    """Multiplications and additions of one photo's forward pass: 2 for each weight at each place that a convolution or the head visits."""
    inferred = onnx.shape_inference.infer_shapes(_with_input(model, height, width), strict_mode=True)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred.graph.value_info}
    weights = {tensor.name: tuple(tensor.dims) for tensor in inferred.graph.initializer}
    total = 0
    for node in inferred.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            places = math.prod(shapes.get(node.output[0], [1])[2:])
            total += 2 * math.prod(weights[node.input[1]]) * places
    return total


def _with_input(model: onnx.ModelProto, height: int, width: int) -> onnx.ModelProto:
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for dimension, size in zip(fixed.graph.input[0].type.tensor_type.shape.dim, (1, height, width, 3), strict=True):
        dimension.dim_value = size
    return fixed


def every_further_map(classifier: Classifier) -> None:
    """Print what the heat map of one more class takes once a photo is answered."""
    reading = classifier.read([(decode_photo(phone_photo(), at_least=classifier.enough), None)])[0]
    times = measured([lambda _: reading.heat(1, USUAL)], b"")
    show([Row(f"the heat map of a further class, {USUAL[0]}x{USUAL[1]}", spread(times[:, 0], "ms"), "1 ms")])


def integer_product() -> Callable[[], object]:
    """A large product of matrices in 8-bit integers, as a processor computes it fastest."""
    a, b = (helper.make_tensor_value_info(name, kind, [MATRIX] * 2) for name, kind in INTEGERS.items())
    sums = helper.make_tensor_value_info("sums", TensorProto.INT32, [MATRIX] * 2)
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["a", "b"], ["sums"])], "product", [a, b], [sums])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    numbers = np.random.default_rng(0).integers(0, 127, (2, MATRIX, MATRIX))
    given = {"a": numbers[0].astype(np.uint8), "b": numbers[1].astype(np.int8)}
    return lambda: session.run(None, given)


def share_of_peak(classifier: Classifier) -> None:
    """Print the network's operations a second over those of a matrix product, alone and in a batch."""
    served, float32 = classifier.engine, Engine(classifier.run, quantised=False)
    per_photo = operations(network_graph(classifier.run), served.height, served.width)
    a, b = np.random.default_rng(0).random((2, MATRIX, MATRIX), np.float32)
    product = integer_product()
    one, many = (np.zeros((n, served.height, served.width, 3), np.uint8) for n in (1, BATCH))
    work = [2 * MATRIX**3, 2 * MATRIX**3, *[per_photo, BATCH * per_photo] * 2]
    passes = [lambda _, e=e, x=x: e.run(x) for e in (float32, served) for x in (one, many)]
    times = measured([lambda _: a @ b, lambda _: product(), *passes], b"")
    rates = np.array(work) / times / 1e6  # from milliseconds to 1e9 operations a second
    rows = [
        Row(f"matrix product, {kind} ({per_photo / 1e9:.2f} GFLOP a photo)", spread(rates[:, column], "GFLOP/s", 0))
        for column, kind in enumerate(("float32", "int8"))
    ]
    for column, (kind, peak) in enumerate(
        [("float32", 0)] * 2 + [("as served", int(classifier.engine.quantised))] * 2, 2
    ):
        name = f"share of its own peak, {kind}, {(1, BATCH)[column % 2]} photo{'s'[: column % 2]}"
        aim = "60%" if kind == "as served" else ""
        rows.append(Row(name, percentages(rates[:, column] / rates[:, peak]), aim))
    rows += [
        Row(f"one photo's network, {kind}", spread(times[:, column], "ms"))
        for kind, column in (("float32", 2), ("as served", 4))
    ]
    show(rows)


def main() -> None:
    classifier = Classifier.load()
    network = load_network(classifier.run.path("model.safetensors"))
    paths = [
        usual_path(network),
        our_path(classifier, classifier.enough, USUAL),
        our_path(classifier, ENOUGH, PICTURE),
    ]
    times = measured(paths, phone_photo())
    size = f"{classifier.engine.height}x{classifier.engine.width}"
    print(machine())
    print(f"run {classifier.run.run_id}, photo {PHOTO[0]}x{PHOTO[1]}, {ROUNDS} rounds")
    rows = [Row("usual path, 224x224", spread(times[:, 0], "ms"))]
    for (width, height), own, aim in ((USUAL, times[:, 1], "30 times"), (PICTURE, times[:, 2], "18 times")):
        rows.append(Row(f"this product, {size}, heat map {width}x{height}", spread(own, "ms")))
        rows.append(Row("so many times less", spread(times[:, 0] / own, "times"), aim))
    show(rows)
    every_further_map(classifier)
    share_of_peak(classifier)


if __name__ == "__main__":
    main()
