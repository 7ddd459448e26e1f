"""What the benchmarks compute, held against known figures."""

import numpy as np
import pytest

from benchmarks.engines import Measured, front, table
from benchmarks.latency import operations
from benchmarks.serving_size import megabytes
from core.inference.onnx_graph import build_graph


def test_the_operations_of_a_resnet50_are_the_published_ones(random_run):
    """4.1 billion multiply-adds at 224x224 for 1,000 classes (torchvision says 4.09); 15 classes have 2 million fewer."""
    graph = build_graph(random_run.path("model.safetensors"), [0.5] * 3, [0.25] * 3, 15)
    assert operations(graph, 224, 224) / 2e9 == pytest.approx(4.09, abs=0.01)
    assert operations(graph, 96, 72) < operations(graph, 128, 96)


def way(name: str, milliseconds: float, accuracy: float) -> Measured:
    return Measured(name, np.full(3, milliseconds), np.full(3, 10 / milliseconds), accuracy)


WAYS = [
    way("serving engine", 10, 0.91),
    way("small", 5, 0.88),
    way("slow", 20, 0.91),
    way("large", 30, 0.92),
    way("bad", 6, 0.87),
]


def test_the_front_is_what_no_other_way_beats_in_both_time_and_accuracy():
    assert [measured.name for measured in front(WAYS)] == ["small", "serving engine", "large"]


@pytest.mark.parametrize(
    ("milliseconds", "accuracy", "verdict"),
    [(8, 0.909, "yes"), (9.5, 0.909, "no"), (8, 0.907, "no"), (8, np.nan, "yes")],
)
def test_a_way_is_worth_adopting_if_it_is_a_tenth_faster_and_loses_at_most_a_fifth_of_a_point(
    milliseconds, accuracy, verdict
):
    line = table([WAYS[0], way("other", milliseconds, accuracy)]).splitlines()[-1]
    assert line.startswith("| other |") and line.endswith(f"| {verdict} |")


def test_the_size_of_a_folder_is_that_of_its_files_each_once(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(bytes(2_000_000))
    (tmp_path / "a" / "link").symlink_to("b/file")
    assert megabytes(tmp_path) == 2
