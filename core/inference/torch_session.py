"""The network in PyTorch on a GPU, in the form of an ONNX Runtime session: for where PyTorch has CUDA and ONNX Runtime has not."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch

from core.artifacts.run import Run
from core.inference.model import against_background, load_network


class TorchSession:
    """Runs a trained network in float32; safe to call from several threads.

    Args:
        run: a run that carries a network.
        device: PyTorch's name; by default each of several processes that a launcher started takes a GPU of its own.

    Raises:
        BrokenRun: the run carries no network, or its weights are damaged.
        RuntimeError: PyTorch cannot use the device.
    """

    def __init__(self, run: Run, device: str = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"):
        self._device = torch.device(device)
        self._classes = len(run.labels)
        self._network = load_network(run.path(run.network), run.facts.output_stride).to(self._device)
        mean, std = (torch.tensor(values, device=self._device) for values in (run.input.mean, run.input.std))
        self._mean, self._std = 255 * mean.view(3, 1, 1), 255 * std.view(3, 1, 1)

    def get_providers(self) -> Sequence[str]:
        """What ONNX Runtime would call where it runs."""
        return [f"PyTorch on {self._device.type.upper()}"]

    @torch.inference_mode()
    def run(self, _: Sequence[str] | None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """`logits` and `features` of `pixels`, uint8 (B, H, W, 3), as `core.inference.engine.Activations` describes them."""
        pixels = torch.from_numpy(inputs["pixels"]).to(self._device).permute(0, 3, 1, 2)
        features = self._network.features((pixels - self._mean) / self._std)
        logits = against_background(self._network.fc(features.mean(dim=(2, 3))), self._classes)
        return [logits.cpu().numpy(), features.cpu().numpy()]
