"""Fixtures that several test files share."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from streamlit.elements.lib import policies

from core.artifacts.run import SCHEMA, Run, sha256_of
from core.confinement import pool
from core.inference.classifier import Classifier
from core.inference.model import IMAGENET_MEAN, IMAGENET_STD, GarmentNet, save_weights

# The tests' small networks have too little to share among threads, which would wait for one another; the same for the processes they start.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"
settings.register_profile("without a deadline", deadline=None)  # a busy machine is no failure
settings.load_profile("without a deadline")

ROOT = Path(__file__).parent.parent
LONG = ("slow", "serving_install", "browser")  # marks of long tests
GROUPS = {
    "Tops": ["Tshirts", "Shirts", "Tops", "Sweatshirts", "Jackets", "Sweaters", "Blazers", "Waistcoat"],
    "Bottoms": ["Jeans", "Trousers", "Shorts", "Skirts", "Track Pants", "Leggings", "Swimwear"],
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests first: pytest-xdist's own order, by number of tests, leaves files of one long test to the end."""
    long = {item.path for item in items if any(item.get_closest_marker(name) for name in LONG)}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Streamlit's AppTest leaves a page's script as the main module, which a process that is spawned later would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Makes a photo one at which the process that decodes it dies."""
    exchange = pool._exchange

    def mark(data: bytes) -> None:
        def exchange_or_die(connection: Any, asked: Any, given: bytes, *rest: Any) -> Any:
            return exchange(connection, "no question" if given == data else asked, given, *rest)

        monkeypatch.setattr(pool, "_exchange", exchange_or_die)

    return mark


@pytest.fixture(scope="session")
def random_network() -> GarmentNet:
    """A network with random weights and lively BatchNorm statistics, as stored in half precision."""
    torch.manual_seed(0)
    network = GarmentNet(15)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.0)
    network.fc.weight.data.normal_(0, 0.3)
    state = {
        name: tensor.half().float() if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    network.load_state_dict(state)
    return network.eval()


@pytest.fixture(scope="session")
def random_run(random_network: GarmentNet, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run folder with the random network, the only one beside a `current.json` that names it. Never to be altered."""
    folder = tmp_path_factory.mktemp("runs") / "random"
    folder.mkdir()
    save_weights(random_network.state_dict(), folder / "model.safetensors")
    manifest = {
        "schema": SCHEMA,
        "run_id": "random",
        "name": "random weights",
        "origin": "measured",
        "created": "2026-01-01T00:00:00+00:00",
        "groups": GROUPS,
        "input": {"height": 96, "width": 72, "mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
        "temperature": 2.0,
        "in_scope": {"score": "energy", "threshold": -100.0, "true_positive_rate": 0.95, "false_positive_rate": 0.5},
        "files": {"model.safetensors": sha256_of(folder / "model.safetensors")},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder.parent / "current.json").write_text('{"run_id": "random"}')
    return Run.load(folder)


@pytest.fixture(scope="session")
def random_classifier(random_run: Run) -> Classifier:
    """The classifier of the random network."""
    return Classifier(random_run)


@pytest.fixture
def random_runs(random_run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the random network the shipped one; returns the folder of runs."""
    monkeypatch.setenv("GARMENTS_RUNS", str(random_run.folder.parent))
    return random_run.folder.parent


@pytest.fixture
def set_twice(monkeypatch) -> list[str]:
    """Keys of widgets of which Streamlit logs, with a stack, that they have a default beside a value set by code."""
    keys: list[str] = []
    monkeypatch.setattr(policies, "_shown_default_value_warning", False)  # it warns once a process
    monkeypatch.setattr(policies._LOGGER, "warning", lambda message, key, **_: keys.append(key))
    return keys
