"""One photo, bytes to top class with Grad-CAM: this product's path against the usual one, side by side in one run.

    make bench

The usual path: full JPEG decode, torchvision transforms to 224x224, eager ResNet50, pytorch-grad-cam. Ours: JPEG decode at reduced
scale, letterbox, ONNX Runtime, class map from the head's weights. Both run the shipped network's weights, on a photo drawn in code
with noise, as large as a phone's. Rounds of both alternate, so that a busy machine slows both; what counts is the ratio.
"""

from __future__ import annotations

import io
import os
import platform
import time

import numpy as np
import onnxruntime
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torchvision import transforms

from core import Classifier, samples
from core.images import decode_photo
from core.model import IMAGENET_MEAN, IMAGENET_STD, load_network

ROUNDS, WARM_UP = 15, 3
PHOTO = (1200, 1600)
SHOWN = (480, 640)  # the heat map is stretched to this size, as on the page


def phone_photo() -> bytes:
    """A JPEG of a drawn garment with sensor noise."""
    noise = Image.effect_noise(PHOTO, 40).convert("RGB")
    buffer = io.BytesIO()
    Image.blend(samples.sample("Tshirts", size=PHOTO), noise, 0.1).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def usual_path(network: torch.nn.Module):
    prepare = transforms.Compose(
        [transforms.Resize((224, 224)), transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    )

    def run(data: bytes) -> None:
        image = prepare(Image.open(io.BytesIO(data)).convert("RGB")).unsqueeze(0)
        with torch.no_grad():
            top = int(network(image).argmax())
        with GradCAM(model=network, target_layers=[network.layer4[-1]]) as cam:
            cam(input_tensor=image, targets=[ClassifierOutputTarget(top)])

    return run


def our_path(classifier: Classifier):
    def run(data: bytes) -> None:
        photo = decode_photo(data, at_least=SHOWN)
        reading = classifier.read([(photo, None)])[0]
        reading.heat(classifier.labels.index(classifier.answer(reading).label), SHOWN)

    return run


def measured(paths: list, data: bytes) -> np.ndarray:
    """Milliseconds, (rounds, paths)."""
    rows = []
    for _ in range(WARM_UP + ROUNDS):
        row = []
        for path in paths:
            start = time.perf_counter()
            path(data)
            row.append(1000 * (time.perf_counter() - start))
        rows.append(row)
    return np.array(rows[WARM_UP:])


def main() -> None:
    classifier = Classifier.load()
    network = load_network(classifier.run.path("model.safetensors"))
    times = measured([usual_path(network), our_path(classifier)], phone_photo())
    ratio = times[:, 0] / times[:, 1]
    size = f"{classifier.engine.height}x{classifier.engine.width}"
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}, {ROUNDS} rounds"
    )
    print(f"run {classifier.run.run_id}, photo {PHOTO[0]}x{PHOTO[1]}")
    for name, column in (
        ("usual path, 224x224", times[:, 0]),
        (f"this product, {size}", times[:, 1]),
        ("ratio", ratio),
    ):
        low, middle, high = np.percentile(column, [10, 50, 90])
        unit = "times" if name == "ratio" else "ms"
        print(f"{name:24} median {middle:8.1f} {unit}   (10% {low:.1f}, 90% {high:.1f})")


if __name__ == "__main__":
    main()
