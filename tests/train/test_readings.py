"""What an epoch took of the machine is measured, and unknown where the machine does not say."""

import time

import pytest
import torch

from train.readings import Readings, package_energy, peak_memory, update_to_weight


def test_an_update_is_put_into_proportion_to_its_weights():
    before = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    after = [torch.tensor([3.0, 0.03]), torch.tensor([[4.04]])]
    assert update_to_weight(before, after) == pytest.approx(0.05 / 5)
    assert update_to_weight(before, before) == 0 == update_to_weight([torch.zeros(2)], [torch.ones(2)])


def test_processor_time_counts_as_busy_cores_and_memory_as_its_peak():
    readings = Readings(torch.device("cpu"))
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    row = readings.row()
    assert 0 < row["busy_cores"] < 64 and row["peak_memory_mib"] == pytest.approx(
        peak_memory(torch.device("cpu")) / 2**20
    )
    assert row["peak_memory_mib"] > 50


def test_energy_is_that_of_all_packages_and_unknown_without_a_counter(tmp_path):
    for number, energy in enumerate((3_000_000, 500)):
        (tmp_path / f"intel-rapl:{number}").mkdir()
        (tmp_path / f"intel-rapl:{number}" / "energy_uj").write_text(f"{energy}\n")
    assert package_energy(tmp_path) == 3_000_500
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("?")
    assert package_energy(tmp_path) is None is package_energy(tmp_path / "nowhere")
