"""Which provider is chosen, and what is said when a better one fails; ONNX Runtime is made to believe in a CUDA device."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from core.engine import Engine
from core.providers import CPU, open_session

CUDA = "CUDAExecutionProvider"
REAL = onnxruntime.InferenceSession
OPTIONS = onnxruntime.SessionOptions()


@pytest.fixture(scope="module")
def model() -> bytes:
    """A graph that gives its input back."""
    ends = [helper.make_tensor_value_info(name, TensorProto.UINT8, ["b", "h", "w", 3]) for name in ("pixels", "same")]
    graph = helper.make_graph([helper.make_node("Identity", ["pixels"], ["same"])], "same", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


@pytest.fixture
def with_cuda(monkeypatch):
    """Sets what becomes of a session that asks for CUDA: `works`, `raises`, `falls back`, `fails at work`; gives the settings asked for."""

    def set_up(behaviour: str) -> list[dict]:
        asked: list[dict] = []

        class Session:
            def __init__(self, model, options=None, providers=()):
                self.providers = [entry if isinstance(entry, str) else entry[0] for entry in providers]
                asked.extend(entry[1] for entry in providers if not isinstance(entry, str))
                if CUDA in self.providers and behaviour == "raises":
                    raise RuntimeError("CUDA failure 35: driver version is insufficient\nsecond line")
                if behaviour == "falls back":
                    self.providers = [CPU]
                self.real = REAL(model, options, providers=[CPU])

            def get_providers(self):
                return self.providers

            def run(self, *arguments):
                if CUDA in self.providers and behaviour == "fails at work":
                    raise RuntimeError("CUDA error: no kernel image is available")
                return self.real.run(*arguments)

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
        return asked

    return set_up


def test_without_cuda_the_processor_is_no_fallback(model, monkeypatch, caplog):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["AzureExecutionProvider", CPU])
    session, problem = open_session(lambda _: model, OPTIONS)
    assert session.get_providers() == [CPU] and problem == "" and not caplog.records


def test_cuda_is_used_where_it_works(model, with_cuda, caplog):
    with_cuda("works")
    session, problem = open_session(lambda _: model, OPTIONS)
    assert session.get_providers()[0] == CUDA and problem == "" and not caplog.records


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("raises", "fails here (CUDA failure 35: driver version is insufficient)"),
        ("fails at work", "fails here (CUDA error: no kernel image is available)"),
        ("falls back", "did not start; ONNX Runtime's log says which driver or library it misses"),
    ],
)
def test_where_cuda_fails_the_processor_works_and_a_warning_says_why(model, with_cuda, caplog, behaviour, reason):
    with_cuda(behaviour)
    session, problem = open_session(lambda _: model, OPTIONS)
    assert session.get_providers() == [CPU]
    assert problem == f"{CUDA} is installed but {reason}"
    assert caplog.messages == [f"{problem}. The network runs on the processor instead."]


def test_each_process_of_a_machine_takes_its_own_device(model, with_cuda, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    asked = with_cuda("works")
    open_session(lambda _: model, OPTIONS)
    assert asked == [{"device_id": 3}]


def test_the_engine_tells_where_it_runs_and_why_not_better(random_run, with_cuda):
    with_cuda("raises")
    engine = Engine(random_run)
    assert engine.provider == CPU and "driver version is insufficient" in engine.provider_problem
    assert engine.run(np.zeros((1, 96, 72, 3), np.uint8)).logits.shape == (1, 15)
