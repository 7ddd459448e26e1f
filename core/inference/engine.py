"""The serving engine: one session of ONNX Runtime or PyTorch, shared by everybody and never changed after it is made."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import onnxruntime

from core.artifacts.run import Run
from core.inference.onnx_graph import QUANTISATION, network_graph
from core.inference.providers import CPU, Session, on_processor, open_session


class Activations(NamedTuple):
    """What one forward pass gives.

    Args:
        logits: float32 (B, n_classes), against the background if the network has one (see `core.inference.model.against_background`).
        features: float32 (B, 2048, h, w), maps of the last block, h = ceil(H / 32), w = ceil(W / 32).
    """

    logits: np.ndarray
    features: np.ndarray


class Engine:
    """Runs a trained network; safe to call from several threads.

    Args:
        run: a run that carries a network.
        quantised: whether a processor may compute in 8-bit integers, where the run has what that needs. A GPU never does.
        processor: whether to run on the processor even where there is a GPU.
        busy: whether the processor has other work at the same time, such as visitors' pages or another pass; threads that wait awake
            would hold it up.
        threads: of a forward pass on the processor; as many as it has cores if 0.

    Raises:
        BrokenRun: the run carries no network, or its weights are damaged.
    """

    def __init__(self, run: Run, quantised: bool = True, busy: bool = False, processor: bool = False, threads: int = 0):
        self.quantised = False

        def model(provider: str) -> bytes:
            self.quantised = quantised and provider == CPU and run.has(QUANTISATION)
            return network_graph(run, self.quantised).SerializeToString()

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Within a pass threads wait awake for the next layer's work, which is faster by a quarter; after it they sleep.
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(not busy)))
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session, self.provider_problem = (
            (on_processor(model, options), "") if processor else open_session(model, options, partial(_in_torch, run))
        )
        self.height, self.width = run.input.height, run.input.width

    @property
    def provider(self) -> str:
        """Where the network runs: as ONNX Runtime names it, such as CPUExecutionProvider, or PyTorch on CUDA."""
        return self._session.get_providers()[0]

    def run(self, pixels: np.ndarray) -> Activations:
        """One forward pass over letterboxed photos, uint8 (B, H, W, 3); any H and W."""
        logits, features = self._session.run(["logits", "features"], {"pixels": pixels})
        return Activations(np.asarray(logits), np.asarray(features))


def _in_torch(run: Run) -> Session:
    from core.inference.torch_session import TorchSession  # PyTorch comes with it

    return TorchSession(run)
