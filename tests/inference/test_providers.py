"""Where the network runs, and what is said when a better place fails; ONNX Runtime and PyTorch are made to believe in a CUDA device."""

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from core.inference import providers
from core.inference.engine import Engine
from core.inference.providers import CPU, CUDA, NO_LIBRARY, open_session
from core.inference.torch_session import TorchSession

REAL = onnxruntime.InferenceSession
OPTIONS = onnxruntime.SessionOptions()


@pytest.fixture(scope="module")
def model() -> bytes:
    """A graph that gives its input back."""
    ends = [helper.make_tensor_value_info(name, TensorProto.UINT8, ["b", "h", "w", 3]) for name in ("pixels", "same")]
    graph = helper.make_graph([helper.make_node("Identity", ["pixels"], ["same"])], "same", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


@pytest.fixture(autouse=True)
def without_nvidia(monkeypatch):
    """As on most machines, whatever this one has."""
    monkeypatch.setattr(providers, "nvidia_gpu", lambda: False)


@pytest.fixture
def with_nvidia(monkeypatch):
    monkeypatch.setattr(providers, "nvidia_gpu", lambda: True)


def no_torch() -> None:
    """In place of the network in PyTorch."""
    raise RuntimeError("Found no NVIDIA driver on your system.\nMore")


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
    session, problem = open_session(lambda _: model, OPTIONS, no_torch)
    assert session.get_providers() == [CPU] and problem == "" and not caplog.records


def test_cuda_is_used_where_it_works(model, with_cuda, caplog):
    with_cuda("works")
    session, problem = open_session(lambda _: model, OPTIONS, no_torch)
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
    session, problem = open_session(lambda _: model, OPTIONS, no_torch)
    assert session.get_providers() == [CPU]
    assert problem == f"{CUDA} is installed but {reason}"
    assert caplog.messages == [f"{problem}. The network runs on the processor instead."]


def test_each_process_of_a_machine_takes_its_own_device(model, with_cuda, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    asked = with_cuda("works")
    open_session(lambda _: model, OPTIONS, no_torch)
    assert asked == [{"device_id": 3}]


def test_the_engine_tells_where_it_runs_and_why_not_better(random_run, with_cuda):
    with_cuda("raises")
    engine = Engine(random_run)
    assert engine.provider == CPU and "driver version is insufficient" in engine.provider_problem
    assert engine.run(np.zeros((1, 96, 72, 3), np.uint8)).logits.shape == (1, 15)


def test_where_only_torch_has_cuda_the_network_runs_in_torch(random_run, with_nvidia, monkeypatch, caplog):
    monkeypatch.setattr("core.inference.torch_session.TorchSession", lambda run: TorchSession(run, "cpu"))
    engine = Engine(random_run)
    assert engine.provider == "PyTorch on CPU" and not engine.quantised
    assert engine.provider_problem == "" and not caplog.records


@pytest.mark.parametrize("behaviour", ["raises", "fails at work", "falls back"])
def test_torch_takes_over_where_onnx_runtime_fails_on_the_gpu(
    random_run, with_nvidia, with_cuda, monkeypatch, behaviour
):
    monkeypatch.setattr("core.inference.torch_session.TorchSession", lambda run: TorchSession(run, "cpu"))
    with_cuda(behaviour)
    engine = Engine(random_run)
    assert engine.provider == "PyTorch on CPU" and engine.provider_problem == "" and not engine.quantised


def test_where_torch_fails_too_the_processor_works_and_a_warning_says_why(model, with_nvidia, caplog):
    session, problem = open_session(lambda _: model, OPTIONS, no_torch)
    assert session.get_providers() == [CPU]
    assert problem == "PyTorch is installed but fails here (Found no NVIDIA driver on your system.)"
    assert caplog.messages == [f"{problem}. The network runs on the processor instead."]


def test_a_gpu_that_no_library_can_use_is_told(model, with_nvidia, monkeypatch, caplog):
    monkeypatch.setattr(providers.importlib.util, "find_spec", lambda name: None)
    session, problem = open_session(lambda _: model, OPTIONS, no_torch)
    assert session.get_providers() == [CPU] and problem == NO_LIBRARY
    assert caplog.messages == [f"{problem}. The network runs on the processor instead."]


def test_torch_without_cuda_fails_at_once(random_run):
    if torch.cuda.is_available():
        pytest.skip("PyTorch has CUDA here")
    with pytest.raises((RuntimeError, AssertionError)):
        TorchSession(random_run)


@pytest.mark.parametrize("batch", [1, 3])
def test_torch_gives_what_onnx_runtime_gives(random_run, batch):
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 96, 72, 3), dtype=np.uint8)
    logits, features = TorchSession(random_run, "cpu").run(["logits", "features"], {"pixels": pixels})
    expected = Engine(random_run, quantised=False).run(pixels)
    np.testing.assert_allclose(logits, expected.logits, rtol=1e-3, atol=1e-3 * np.abs(expected.logits).max())
    np.testing.assert_allclose(features, expected.features, rtol=1e-3, atol=1e-3 * np.abs(expected.features).max())


def test_signs_of_a_gpu_are_its_driver_or_its_tool(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(providers, "DRIVER", tmp_path / "version")
    assert not providers.nvidia_gpu()
    (tmp_path / "version").write_text("NVRM version: ...")
    assert providers.nvidia_gpu()
    (tmp_path / "version").unlink()
    (tmp_path / "nvidia-smi").touch(0o755)
    assert providers.nvidia_gpu()
