"""Where the network runs: on the best ONNX Runtime provider that works here, and if that is not the best there is, why not."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

CPU = "CPUExecutionProvider"
PREFERRED = ("CUDAExecutionProvider",)
TRIAL = (1, 64, 64, 3)  # a photo that a provider must get through before it is trusted
log = logging.getLogger(__name__)


def open_session(
    model: Callable[[str], bytes], options: onnxruntime.SessionOptions
) -> tuple[onnxruntime.InferenceSession, str]:
    """A session for a model with the input `pixels`, uint8 (B, H, W, 3), that has proven to work; `model` gives its form for a provider.

    ONNX Runtime lists a provider that it was built with, whether or not its driver and libraries are there; when they are not it raises or
    quietly runs on the CPU, by version. So a provider counts as working once it has got through a photo.

    Returns:
        The session, and why a better provider is not used; empty if none is installed or the best one is used.
    """
    problems = []
    for provider in PREFERRED:
        if provider not in onnxruntime.get_available_providers():
            continue
        try:
            session = onnxruntime.InferenceSession(model(provider), options, providers=[(provider, _settings()), CPU])
            session.run(None, {"pixels": np.zeros(TRIAL, np.uint8)})
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this one
            problems.append(f"{provider} is installed but fails here ({str(error).strip().splitlines()[0]:.200})")
            continue
        if session.get_providers()[0] == provider:
            return session, "; ".join(problems)
        problems.append(
            f"{provider} is installed but did not start; ONNX Runtime's log says which driver or library it misses"
        )
    for problem in problems:
        log.warning("%s. The network runs on the processor instead.", problem)
    return onnxruntime.InferenceSession(model(CPU), options, providers=[CPU]), "; ".join(problems)


def _settings() -> dict[str, Any]:
    """Each of several processes that a launcher started on this machine takes a device of its own."""
    return {"device_id": int(os.environ.get("LOCAL_RANK", "0"))}
