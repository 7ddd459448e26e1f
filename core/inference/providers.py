"""Where the network runs: on a GPU if one works here, else on the processor, and why so where there is a GPU."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
TRIAL = (1, 64, 64, 3)  # a photo that a session must get through before it is trusted
DRIVER = Path("/proc/driver/nvidia/version")  # where NVIDIA's driver on Linux tells that it runs
NO_LIBRARY = "There is an NVIDIA GPU, but neither onnxruntime-gpu nor PyTorch with CUDA is installed"
log = logging.getLogger(__name__)


class Session(Protocol):
    """What is used of an ONNX Runtime session."""

    def get_providers(self) -> Sequence[str]:
        """Where it runs, first."""
        ...

    def run(self, output_names: Sequence[str] | None, input_feed: dict[str, np.ndarray], /) -> Sequence[Any]:
        """The outputs named, or all, for inputs by their names."""
        ...


def open_session(
    model: Callable[[str], bytes], options: onnxruntime.SessionOptions, in_torch: Callable[[], Session]
) -> tuple[Session, str]:
    """A session for a model with the input `pixels`, uint8 (B, H, W, 3), that has proven to work.

    ONNX Runtime with CUDA is tried first, then PyTorch, which is loaded only where it is installed beside an NVIDIA GPU. ONNX Runtime
    lists a provider that it was built with, whether or not its driver and libraries are there; when they are not it raises or quietly
    runs on the CPU, by version. So a session counts as working once it has got through a photo.

    Args:
        model: gives the model's form for a provider.
        options: of ONNX Runtime.
        in_torch: opens the same network in PyTorch on the GPU.

    Returns:
        The session, and why no GPU is used although there is one or a library for one; else empty.
    """
    problems: list[str] = []
    for name, opened in _on_gpu(model, options, in_torch).items():
        try:
            session = opened()
            session.run(None, {"pixels": np.zeros(TRIAL, np.uint8)})
        except Exception as error:  # the libraries' exceptions have no common base but this one
            problems.append(
                f"{name} is installed but fails here ({(str(error).strip() or repr(error)).splitlines()[0]:.200})"
            )
            continue
        if session.get_providers()[0] != CPU:
            return session, ""
        problems.append(
            f"{name} is installed but did not start; ONNX Runtime's log says which driver or library it misses"
        )
    if not problems and nvidia_gpu():
        problems.append(NO_LIBRARY)
    for problem in problems:
        log.warning("%s. The network runs on the processor instead.", problem)
    return on_processor(model, options), "; ".join(problems)


def on_processor(model: Callable[[str], bytes], options: onnxruntime.SessionOptions) -> Session:
    """A session on the processor, whatever else there is."""
    return onnxruntime.InferenceSession(model(CPU), options, providers=[CPU])


def _on_gpu(
    model: Callable[[str], bytes], options: onnxruntime.SessionOptions, in_torch: Callable[[], Session]
) -> dict[str, Callable[[], Session]]:
    """Ways to run on a GPU for which a library is installed, the best one first."""
    ways: dict[str, Callable[[], Session]] = {}
    if CUDA in onnxruntime.get_available_providers():
        device = {
            "device_id": int(os.environ.get("LOCAL_RANK", "0"))
        }  # each of several processes takes a GPU of its own
        ways[CUDA] = lambda: onnxruntime.InferenceSession(model(CUDA), options, providers=[(CUDA, device), CPU])
    if nvidia_gpu() and importlib.util.find_spec("torch"):
        ways["PyTorch"] = in_torch
    return ways


def nvidia_gpu() -> bool:
    """Whether there are signs of an NVIDIA GPU and its driver; asks no library, which would take seconds."""
    return DRIVER.exists() or shutil.which("nvidia-smi") is not None
