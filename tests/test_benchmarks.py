"""What the benchmarks compute, held against known figures."""

import pytest

from benchmarks.latency import operations
from core.graph import build_graph


def test_the_operations_of_a_resnet50_are_the_published_ones(random_run):
    """4.1 billion multiply-adds at 224x224 for 1,000 classes (torchvision says 4.09); 15 classes have 2 million fewer."""
    graph = build_graph(random_run.path("model.safetensors"), [0.5] * 3, [0.25] * 3, 15)
    assert operations(graph, 224, 224) / 2e9 == pytest.approx(4.09, abs=0.01)
    assert operations(graph, 96, 72) < operations(graph, 128, 96)
