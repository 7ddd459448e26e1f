"""The training loop, on a small network: resumable bit for bit, loud about NaN, and true to what the recipe says."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import distributed
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from core.analysis.metrics import macro_f1
from core.artifacts.training import HISTORY_COLUMNS
from core.errors import TrainingStopped
from core.inference.model import BLOCKS, block_of
from tests.train_cases import SmallNet, settings, stage
from train import loop, meter
from train.augment import Augment
from train.batches import Batches, PixelDataset
from train.checkpoint import Snapshot, Writer, load_checkpoint, save_checkpoint
from train.config import Augmentation, parse_recipe
from train.distributed import World
from train.loop import Splits, Trainer, autocast_type, normalise, positions, predict_logits, validation_score
from train.targets import Targets

CPU = torch.device("cpu")
ALONE = World(0, 1, CPU)
THREE_CLASSES = Targets(("a", "b", "c"), np.eye(3, dtype=bool), 3)
TIMES = ["seconds", "images_per_second", "peak_memory_mib", "busy_cores", "energy_wh"]
PLAIN = {"augmentation": {}, "dropout": 0.0, "ema_decay": 0.0, "sampler": "natural"}
HEAD_ONLY = {"stages": [stage(["head"], epochs=2)], "frozen": [block for block in BLOCKS if block != "head"]}


def photos(height: int, width: int, n: int = 72) -> Splits:
    """Random photos of three classes at a size, brighter class by class."""
    rng = np.random.default_rng(0)
    targets = np.arange(n) % 3
    pixels = rng.integers(0, 100, (n, height, width, 3), dtype=np.uint8) + (70 * targets[:, None, None, None]).astype(
        np.uint8
    )
    return Splits(
        PixelDataset(pixels, np.arange(48), targets[:48]), PixelDataset(pixels, np.arange(48, n), targets[48:])
    )


def trainer(folder, network_class=SmallNet, **changes) -> Trainer:
    recipe = parse_recipe(settings(**changes), "test")
    torch.manual_seed(3)
    sizes = {(s.height, s.width) for s in recipe.stages}
    folder.mkdir(exist_ok=True)
    splits = {size: photos(*size) for size in sizes}
    return Trainer(network_class(3, recipe.dropout), recipe, THREE_CLASSES, splits, folder, ALONE)


def assert_same_weights(one, other):
    assert list(one) == list(other)
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def assert_same_outcome(folder, expected):
    for name in ("checkpoint.safetensors", "best.safetensors"):
        found, wanted = load_checkpoint(folder / name), load_checkpoint(expected / name)
        assert_same_weights(found["network"], wanted["network"])
    histories = [pd.read_csv(f / "history.csv").drop(columns=TIMES) for f in (folder, expected)]
    pd.testing.assert_frame_equal(*histories)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A finished training with everything switched on."""
    folder = tmp_path_factory.mktemp("undisturbed")
    trainer(folder).run()
    return folder


def test_history_has_a_row_an_epoch_with_what_the_contract_names(undisturbed):
    history = pd.read_csv(undisturbed / "history.csv")
    assert tuple(history.columns) == HISTORY_COLUMNS
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert history["stage"].tolist() == [1, 1, 2, 2, 3, 3]
    assert history["stage_name"].tolist() == ["head"] * 2 + ["+ layer4"] * 2 + ["everything"] * 2
    network = SmallNet(3)
    sizes = {b: sum(p.numel() for n, p in network.named_parameters() if block_of(n) == b) for b in BLOCKS}
    expected = [sizes["head"], sizes["head"] + sizes["layer4"], sum(sizes.values())]
    assert history["trainable_parameters"].tolist() == [count for count in expected for _ in range(2)]
    assert history["lr"].tolist() == pytest.approx([1e-2, 5e-3, 1e-3, 5e-4, 1e-3, 8.53553e-4], rel=1e-4)
    assert (history["images"] == 48).all()
    assert history[["train_accuracy", "val_accuracy", "val_macro_f1"]].stack().between(0, 1).all()
    assert (history["device"] == "cpu").all()


def test_the_network_learns_what_can_be_learnt(tmp_path):
    state = trainer(tmp_path, **PLAIN, stages=[stage(list(BLOCKS), epochs=8, lr=3e-3)]).run()
    assert state.best["val_accuracy"] >= 0.9


def test_the_score_of_an_epoch_is_the_mean_over_the_kinds_of_photos_that_there_are():
    row = {"val_accuracy": 0.9, "val_phone_accuracy": 0.8, "val_worn_accuracy": 0.4}
    assert validation_score(row) == pytest.approx(0.7)
    assert validation_score(row | {"val_worn_accuracy": None}) == pytest.approx(0.85)
    assert validation_score(row | {"val_phone_accuracy": None, "val_worn_accuracy": None}) == 0.9


def test_photos_from_elsewhere_are_validated_by_what_their_labels_allow_and_choose_the_best_epoch(
    tmp_path, monkeypatch
):
    """Products are all correct in the first epoch and phone photos in the second: the second's mean is higher."""
    pixels, rows = np.zeros((8, 32, 32, 3), np.uint8), np.arange(8)
    phone = PixelDataset(pixels, rows, np.full(8, 3))  # "a or b"
    targets = Targets(("a", "b", "c", "a or b"), np.vstack([np.eye(3), [1, 1, 0]]).astype(bool), 3)
    one = trainer(tmp_path, **PLAIN, **HEAD_ONLY)
    one.members = torch.from_numpy(targets.members)
    products = one.splits[32, 32].val
    one.splits[32, 32] = Splits(one.splits[32, 32].train, products, {"phone": phone})
    answers = iter(
        [products.targets, [0, 1, 2, 2, 2, 2, 2, 2], (products.targets + np.arange(24) % 4 // 3) % 3, [0, 1] * 4]
    )
    monkeypatch.setattr(loop, "predict_logits", lambda *_: np.eye(3, dtype=np.float32)[next(answers)])
    state = one.run()
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["val_accuracy"].tolist() == [1.0, 0.75]
    assert history["val_phone_accuracy"].tolist() == [0.25, 1.0]
    assert history["val_worn_accuracy"].isna().all()
    assert state.best == {"epoch": 2, "val_accuracy": 0.75, "score": 0.875}


@pytest.mark.parametrize(
    ("device", "precision", "able", "expected"),
    [
        ("cpu", "bfloat16", True, torch.bfloat16),
        ("cpu", "bfloat16", False, None),
        ("cpu", "float16", True, None),
        ("cpu", "float32", True, None),
        ("cuda", "bfloat16", True, torch.bfloat16),
        ("cuda", "bfloat16", False, torch.float16),
        ("cuda", "float16", True, torch.float16),
        ("cuda", "float32", True, None),
    ],
)
def test_a_device_computes_in_bfloat16_only_if_it_can(monkeypatch, device, precision, able, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able})
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0) if able else (7, 5))
    assert autocast_type(torch.device(device), precision) == expected


def test_the_best_weights_are_those_of_the_best_validation(undisturbed):
    best = load_checkpoint(undisturbed / "checkpoint.safetensors")["best"]
    history = pd.read_csv(undisturbed / "history.csv")
    assert best["epoch"] == history.loc[history["val_accuracy"].idxmax(), "epoch"]
    stage_ = settings()["stages"][history.loc[history["val_accuracy"].idxmax(), "stage"] - 1]
    network = SmallNet(3)
    network.load_state_dict(load_checkpoint(undisturbed / "best.safetensors")["network"])
    val = photos(stage_["height"], stage_["width"]).val
    assert (predict_logits(network, val, CPU, 3).argmax(1) == val.targets).mean() == pytest.approx(best["val_accuracy"])


def test_stopped_after_every_epoch_in_turn_and_resumed_it_ends_bit_for_bit_the_same(tmp_path, undisturbed, monkeypatch):
    epochs = len(pd.read_csv(undisturbed / "history.csv"))
    save = Trainer._save

    def stop_after(self, *arguments):
        save(self, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_save", stop_after)
        for epoch in range(epochs):
            with pytest.raises(KeyboardInterrupt):
                trainer(tmp_path).run()
            (tmp_path / "history.csv").unlink()  # as if killed between the checkpoint and the table
            torch.manual_seed(99 + epoch)  # whatever state a new process is in
    trainer(tmp_path).run()
    assert_same_outcome(tmp_path, undisturbed)


def test_an_epoch_cut_in_two_is_repeated_from_its_beginning(tmp_path, undisturbed, monkeypatch):
    calls = 0
    step = Trainer._step

    def stop_within(self, *arguments):
        nonlocal calls
        calls += 1
        if calls == 11:  # epoch 4, step 2 of 3
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Trainer, "_step", stop_within)
        trainer(tmp_path).run()
    trainer(tmp_path).run()
    assert_same_outcome(tmp_path, undisturbed)


def test_a_finished_training_has_nothing_left_to_do(undisturbed, monkeypatch):
    monkeypatch.setattr(Trainer, "_epoch", None)
    assert trainer(undisturbed).run().epoch == 6


class Poisoned(SmallNet):
    """Turns NaN at its fifth training step."""

    steps = 0

    def forward(self, x):
        logits = super().forward(x)
        Poisoned.steps += self.training
        return logits * float("nan") if Poisoned.steps >= 5 else logits


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(tmp_path):
    Poisoned.steps = 0
    with pytest.raises(TrainingStopped, match="no longer finite at epoch 2, step 2 .stage 1.") as caught:
        trainer(tmp_path, Poisoned).run()
    assert f"start a new run from the best weights so far with `--init {tmp_path}`" in str(caught.value)
    assert load_checkpoint(tmp_path / "checkpoint.safetensors")["epoch"] == 1
    assert (tmp_path / "best.safetensors").exists()


def test_in_the_first_epoch_there_are_no_best_weights_to_offer(tmp_path):
    Poisoned.steps = 4
    with pytest.raises(TrainingStopped, match="at epoch 1, step 1 .* start a new run from the beginning"):
        trainer(tmp_path, Poisoned).run()


def test_frozen_blocks_and_their_statistics_stay_as_they_were(tmp_path):
    network = (one := trainer(tmp_path, **HEAD_ONLY)).network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    one.run()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"fc.weight", "fc.bias"}


def test_accumulated_parts_give_the_gradient_of_the_whole_batch(tmp_path):
    """Exact where BatchNorm is frozen; otherwise its statistics are those of the parts."""
    whole, parts = (trainer(tmp_path / str(n), **PLAIN, **HEAD_ONLY, accumulation=n) for n in (1, 4))
    whole.run()
    parts.run()
    torch.testing.assert_close(parts.network.fc.weight, whole.network.fc.weight, rtol=1e-4, atol=1e-6)
    row, other = whole.state.history[-1], parts.state.history[-1]
    assert other["train_loss"] == pytest.approx(row["train_loss"], rel=1e-5)
    assert other["train_accuracy"] == row["train_accuracy"]


def test_processes_exchange_gradients_once_a_step_however_many_parts_it_has(tmp_path):
    exchanged = []

    def exchange(_, bucket):
        exchanged.append(bucket.index())
        done = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    one = trainer(tmp_path, **PLAIN, **HEAD_ONLY, accumulation=4)
    active = one._open_stage(positions(one.recipe)[0], None)
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        model = DistributedDataParallel(active.model)
        model.register_comm_hook(None, exchange)
        pixels, targets = active.data.train.batch(list(range(16)))
        one._step(replace(active, model=model), pixels, targets, Augment(Augmentation(), 0, CPU))
    finally:
        distributed.destroy_process_group()
    assert exchanged == [0]


def test_the_moving_average_is_what_is_validated_and_kept(tmp_path, monkeypatch):
    one = trainer(tmp_path, **PLAIN | {"ema_decay": 0.5}, **HEAD_ONLY)
    expected = one.network.fc.weight.detach().clone()
    step = Trainer._step

    def follow(self, *arguments):
        nonlocal expected
        result = step(self, *arguments)
        first = self.averaged.n_averaged == 1  # AveragedModel starts from the first weights it sees
        expected = (
            self.network.fc.weight.detach().clone() if first else 0.5 * expected + 0.5 * self.network.fc.weight.detach()
        )
        return result

    monkeypatch.setattr(Trainer, "_step", follow)
    one.run()
    saved = load_checkpoint(tmp_path / "checkpoint.safetensors")
    torch.testing.assert_close(saved["averaged"]["module.fc.weight"], expected)
    assert not torch.equal(saved["averaged"]["module.fc.weight"], saved["network"]["fc.weight"])
    val = one.splits[32, 32].val
    logits = predict_logits(one.shipped, val, CPU, 3)
    assert saved["history"][-1]["val_loss"] == pytest.approx(
        float(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(val.targets)))
    )


def test_early_stopping_ends_a_stage_and_the_next_one_begins(tmp_path, monkeypatch):
    """Validation gets worse from epoch 2 on, so a patience of 2 ends the first stage after its third epoch."""
    accuracies = iter([0.5, 0.4, 0.4, 0.6, 0.7])

    def pretended(network, dataset, device, n_classes):
        right = round(next(accuracies) * len(dataset))
        predicted = np.where(np.arange(len(dataset)) < right, dataset.targets, (dataset.targets + 1) % 3)
        return np.eye(3, dtype=np.float32)[predicted]

    monkeypatch.setattr(loop, "predict_logits", pretended)
    stages = [stage(["head"], epochs=6), stage(list(BLOCKS)[:-1], epochs=2)]
    state = trainer(tmp_path, **PLAIN, stages=stages, early_stopping=2).run()
    assert [row["epoch"] for row in state.history] == [1, 2, 3, 7, 8]
    assert [row["stage"] for row in state.history] == [1, 1, 1, 2, 2]
    assert state.best["epoch"] == 8
    assert trainer(tmp_path, **PLAIN, stages=stages, early_stopping=2).run().epoch == 8


def test_loss_scaling_changes_nothing_while_gradients_fit(tmp_path):
    """The logic that float16 uses on CUDA, on the CPU: a power of two scales and unscales without a rounding."""
    plain, scaled = (trainer(tmp_path / name, **PLAIN, **HEAD_ONLY) for name in ("plain", "scaled"))
    scaled.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    plain.run()
    scaled.run()
    torch.testing.assert_close(scaled.network.fc.weight, plain.network.fc.weight, rtol=1e-5, atol=1e-7)
    assert load_checkpoint(tmp_path / "scaled" / "checkpoint.safetensors")["scaler"]["scale"] == 2.0**10


def test_a_step_whose_scaled_gradients_overflow_is_left_out_and_the_scale_falls(tmp_path, monkeypatch):
    one = trainer(tmp_path, **PLAIN, **HEAD_ONLY)
    one.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    overflow = iter([float("inf")])
    before = one.network.fc.weight.detach().clone()
    scales, weights = [], []
    step = Trainer._step

    def watch(self, *arguments):
        result = step(self, *arguments)
        scales.append(self.scaler.get_scale())
        weights.append(self.network.fc.weight.detach().clone())
        return result

    monkeypatch.setattr(Trainer, "_step", watch)
    one.network.fc.weight.register_hook(lambda gradient: gradient * next(overflow, 1.0))
    one.run()
    assert scales[0] == 512.0
    assert torch.equal(weights[0], before)
    assert np.isfinite(one.state.history[-1]["train_loss"])


class OverflowsOnce(SmallNet):
    """Its output overflows at the second training step."""

    steps = 0

    def forward(self, x):
        OverflowsOnce.steps += self.training
        logits = super().forward(x)
        return logits * float("inf") if self.training and OverflowsOnce.steps == 2 else logits


def test_where_losses_are_scaled_one_that_overflows_costs_its_step_and_not_the_run(tmp_path):
    OverflowsOnce.steps = 0
    one = trainer(tmp_path, OverflowsOnce, **PLAIN, **HEAD_ONLY)
    one.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    state = one.run()
    assert state.epoch == 2 and one.scaler.get_scale() == 512.0
    assert [row["images"] for row in state.history] == [32, 48]  # its photos taught nothing
    assert all(np.isfinite(row["train_loss"]) for row in state.history)
    assert all(bool(parameter.isfinite().all()) for parameter in one.network.parameters())


def test_where_losses_are_scaled_overflows_without_end_stop_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "MOST_OVERFLOWS", 2)
    Poisoned.steps = 0
    one = trainer(tmp_path, Poisoned, **PLAIN, stages=[stage(list(BLOCKS), epochs=4)])
    one.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    with pytest.raises(TrainingStopped, match="no longer finite at epoch 3, step 1 "):
        one.run()


def test_on_a_gpu_no_step_asks_for_the_scale(tmp_path, monkeypatch):
    one = trainer(tmp_path, **PLAIN, **HEAD_ONLY)
    one.on_gpu = True
    one.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    active = one._open_stage(positions(one.recipe)[0], None)
    monkeypatch.setattr(torch.amp.GradScaler, "get_scale", lambda _: pytest.fail("the device has to be waited for"))
    for pixels, targets in Batches(active.data.train, [[0, 1, 2, 3]] * 3, CPU):
        one._step(active, pixels, targets, Augment(Augmentation(), 0, CPU))
    assert active.schedule.last_epoch == 3


def test_the_fused_optimizer_of_a_gpu_continues_what_a_processor_began_and_the_other_way_round(tmp_path):
    """PyTorch has the fused form for processors, too, so that the way over the checkpoint can be walked here."""

    def epoch(on_gpu: bool) -> Trainer:
        one = trainer(tmp_path, **PLAIN, stages=[stage(list(BLOCKS), epochs=3, lr=1e-3)])
        one.on_gpu = on_gpu
        with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(loop, "epoch_line", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            one.run()
        return one

    for number, on_gpu in enumerate((False, True, False), 1):
        assert epoch(on_gpu).state.epoch == number
        groups = load_checkpoint(tmp_path / "checkpoint.safetensors")["optimizer"]["param_groups"]
        assert {group["fused"] for group in groups} == {True if on_gpu else None}


def test_files_written_beside_the_next_steps_are_the_same_ones(tmp_path, undisturbed):
    one = trainer(tmp_path)
    one.writer = Writer(beside=True)
    one.run()
    assert_same_outcome(tmp_path, undisturbed)


def test_a_disk_that_is_full_beside_the_next_steps_stops_the_run(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Snapshot, "write", full)
    one = trainer(tmp_path, **PLAIN, **HEAD_ONLY)
    one.writer = Writer(beside=True)
    with pytest.raises(OSError, match="No space left"):
        one.run()


def test_photos_kept_on_the_device_train_the_same_network(tmp_path, monkeypatch):
    plain, kept = (trainer(tmp_path / name, **HEAD_ONLY) for name in ("plain", "kept"))
    plain.run()
    monkeypatch.setattr(PixelDataset, "near", PixelDataset.kept_on)
    kept.run()
    assert_same_outcome(tmp_path / "kept", tmp_path / "plain")


def test_the_scaler_goes_on_from_the_checkpoint(tmp_path):
    one = trainer(tmp_path, **PLAIN, **HEAD_ONLY)
    one.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    one.run()
    again = trainer(tmp_path, **PLAIN, **HEAD_ONLY)
    again.scaler = torch.amp.GradScaler("cpu", init_scale=1.0, growth_interval=2)
    again.run()
    assert again.scaler.get_scale() == one.scaler.get_scale() == 64.0  # six steps, doubled every second


def test_a_run_begun_without_a_loss_scale_continues_with_one(tmp_path, capsys):
    """float16 begun on a processor, which has no scale to save, and continued on CUDA, which needs one."""
    changes = PLAIN | {"stages": [stage(["head"], epochs=3)], "frozen": [block for block in BLOCKS if block != "head"]}
    one = trainer(tmp_path, **changes)
    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(loop, "epoch_line", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        one.run()
    assert load_checkpoint(tmp_path / "checkpoint.safetensors")["scaler"] == {}
    again = trainer(tmp_path, **changes)
    again.scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    again.world = World(0, 1, CPU)
    assert again.run().epoch == 3
    assert again.scaler.get_scale() == 256.0


def test_a_run_continued_on_another_device_says_so(tmp_path, capsys):
    one = trainer(tmp_path, **PLAIN, **HEAD_ONLY)
    one.run()
    assert "continues on" not in capsys.readouterr().out
    saved = load_checkpoint(tmp_path / "checkpoint.safetensors")
    saved["history"][-1]["device"] = "cuda:0"
    save_checkpoint(saved, tmp_path / "checkpoint.safetensors")
    trainer(tmp_path, **PLAIN, **HEAD_ONLY).run()
    assert "This run was trained on cuda:0 so far and continues on cpu: rounding differs" in capsys.readouterr().out


def test_macro_f1_of_the_history_is_that_of_the_metrics_over_classes_with_photos(tmp_path, monkeypatch):
    one = trainer(tmp_path, **PLAIN, **HEAD_ONLY)
    targets = one.splits[32, 32].val.targets
    targets[targets == 2] = 0  # nothing shows c, which is predicted once
    predicted = np.where(np.arange(24) == 5, 2, targets)
    monkeypatch.setattr(loop, "predict_logits", lambda *_: np.eye(3, dtype=np.float32)[predicted])
    one.run()
    assert one.state.history[-1]["val_macro_f1"] == macro_f1(targets, predicted)


def test_the_cpu_computes_in_float32_uncompiled_whatever_the_recipe_says(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", None)
    plain = trainer(tmp_path / "plain", **PLAIN, **HEAD_ONLY)
    reduced = trainer(tmp_path / "reduced", **PLAIN, **HEAD_ONLY, precision="float16", compile=True)
    plain.run()
    reduced.run()
    assert torch.equal(reduced.network.fc.weight, plain.network.fc.weight)


def test_under_autocast_the_loss_and_the_weights_stay_in_float32(tmp_path):
    """What bfloat16 does on CUDA, with the autocast that the CPU has: the same training but for rounding."""
    plain, reduced = (trainer(tmp_path / name, **PLAIN, **HEAD_ONLY) for name in ("plain", "reduced"))
    reduced.autocast = torch.bfloat16
    dtypes = set()
    reduced.network.fc.register_forward_hook(lambda _, inputs, output: dtypes.add(output.dtype))
    plain.run()
    reduced.run()
    assert dtypes == {torch.bfloat16, torch.float32}  # training, validation
    assert {p.dtype for p in reduced.network.parameters()} == {torch.float32}
    losses = [one.state.history[-1]["train_loss"] for one in (plain, reduced)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.parametrize("asked", [True, False])
def test_on_cuda_the_forward_pass_is_compiled_if_the_recipe_asks(tmp_path, monkeypatch, asked):
    monkeypatch.setattr(torch, "compile", lambda network: ("compiled", network))
    one = trainer(tmp_path, **PLAIN, **HEAD_ONLY, compile=asked)
    one.on_gpu = True
    assert one._parallel() == (("compiled", one.network) if asked else one.network)


def test_validation_restores_each_modules_mode_and_leaves_the_network_alone():
    network = SmallNet(3).train()
    network.layer1.eval()
    modes = [module.training for module in network.modules()]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    logits = predict_logits(network, photos(32, 32).val, CPU, 3)
    assert logits.shape == (24, 3)
    assert [module.training for module in network.modules()] == modes
    assert_same_weights(network.state_dict(), before)


def test_validation_does_not_depend_on_the_batches(monkeypatch):
    network, val = SmallNet(3), photos(32, 32).val
    whole = predict_logits(network, val, CPU, 3)
    monkeypatch.setattr(loop, "VALIDATION_BATCH", 7)
    np.testing.assert_allclose(predict_logits(network, val, CPU, 3), whole, rtol=1e-4, atol=1e-5)


def test_normalised_input_is_channels_last_with_imagenets_statistics():
    images = torch.rand(2, 3, 8, 6)
    expected = (images - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    found = normalise(images)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_epochs_are_counted_over_all_stages():
    recipe = parse_recipe(settings(), "test")
    assert [(p.stage, p.epoch, p.opens_stage) for p in positions(recipe)] == [
        *((0, 1, True), (0, 2, False), (1, 3, True), (1, 4, False), (2, 5, True), (2, 6, False))
    ]


def test_within_an_epoch_a_log_tells_loss_speed_and_time_left(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(meter, "SECONDS_IN_A_LOG", 0)
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_READINGS", 0)
    trainer(tmp_path, **PLAIN, **HEAD_ONLY).run()
    lines = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("stage 1 epoch 2/2: 2 of 3 batches")
    ]
    said = r".*, \d+ s left; loss \d\.\d+, accuracy \d+\.\d%, \d+ images/s, \d+ s to the end"
    assert len(lines) == 1 and re.fullmatch(said, lines[0])


def test_the_log_has_a_line_an_epoch_and_the_heartbeat_tells_the_rest(tmp_path, capsys):
    trainer(tmp_path, **PLAIN, **HEAD_ONLY).run()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for part in [
        "epoch  1/2",
        "stage 1 (head)",
        "lr 0.001",
        "train loss",
        "validation loss",
        "macro-F1",
        "images/s",
        "s left",
    ]:
        assert part in lines[0]
    assert "epoch  2/2" in lines[1]
    progress = json.loads((tmp_path / "progress.json").read_text())
    wanted = {"stage": 1, "stage_name": "head", "epochs": 2, "steps": 3, "state": "training", "stages": 1}
    assert progress.items() >= wanted.items()
    assert {"epoch", "step", "train_loss", "train_accuracy", "images_per_second", "seconds_left", "updated"} <= set(
        progress
    )


def test_history_has_what_the_machine_did_and_how_far_the_last_step_moved_the_weights(undisturbed):
    history = pd.read_csv(undisturbed / "history.csv")
    assert (history["peak_memory_mib"] > 0).all() and (history["busy_cores"] > 0).all()
    assert history["update_to_weight"].between(1e-9, 1).all()


def test_the_heartbeat_carries_points_of_the_epoch_in_progress(tmp_path):
    trainer(tmp_path).run()
    progress = json.loads((tmp_path / "progress.json").read_text())
    steps, losses, accuracies = zip(*progress["points"], strict=True)
    assert steps[-1] == progress["step"] and losses[-1] == progress["train_loss"]
    assert list(steps) == sorted(steps) and all(0 <= accuracy <= 1 for accuracy in accuracies)
