"""Progressive unfreezing: stage 2 is stage 2, frozen blocks cost nothing and do not move, and the rates follow the recipe."""

import copy

import pytest
import torch
from torch import nn

from core.errors import InvalidConfig
from core.inference.model import BLOCKS, block_of
from tests.train_cases import SmallNet, settings, stage
from train.config import load_recipe, parse_recipe
from train.distributed import shared_statistics
from train.stages import check_warmup, cosine_schedule, freeze, parameter_groups, train_mode, trainable_blocks


@pytest.fixture
def network() -> SmallNet:
    torch.manual_seed(0)
    return SmallNet(5)


def train_a_little(network, blocks, steps=3):
    freeze(network, blocks)
    train_mode(network, blocks)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(steps):
        nn.functional.cross_entropy(network(torch.randn(4, 3, 32, 32)), torch.tensor([0, 1, 2, 3])).backward()
        optimizer.step()
        optimizer.zero_grad()


def test_stages_add_up_from_the_head_to_the_input():
    recipe = load_recipe("reference")
    assert [trainable_blocks(recipe, k) for k in range(4)] == [
        ("head",),
        ("layer4", "head"),
        ("layer3", "layer4", "head"),
        tuple(BLOCKS),
    ]


@pytest.mark.parametrize("blocks", [("head",), ("layer4", "head"), ("layer3", "layer4", "head"), tuple(BLOCKS)])
def test_exactly_the_named_blocks_train_and_the_count_says_how_much(network, blocks):
    count = freeze(network, blocks)
    trainable = {name for name, p in network.named_parameters() if p.requires_grad}
    assert trainable == {name for name, _ in network.named_parameters() if block_of(name) in blocks}
    assert count == sum(p.numel() for name, p in network.named_parameters() if name in trainable)


def test_a_parameter_of_no_block_is_an_error_that_lists_it(network):
    network.extra = nn.Linear(2, 2)
    with pytest.raises(InvalidConfig, match=r"belong to no block .*: extra\.weight, extra\.bias"):
        freeze(network, ("head",))


def test_frozen_weights_and_batch_norm_statistics_stay_bit_for_bit(network):
    before = copy.deepcopy(network.state_dict())
    train_a_little(network, ("layer4", "head"))
    after = network.state_dict()
    for name, tensor in before.items():
        trains = block_of(name) in ("layer4", "head")
        assert torch.equal(tensor, after[name]) != trains, name


def test_frozen_parameters_hold_no_gradient_of_an_earlier_stage(network):
    freeze(network, tuple(BLOCKS))
    network(torch.randn(2, 3, 32, 32)).sum().backward()
    freeze(network, ("head",))
    assert [name for name, p in network.named_parameters() if p.grad is not None] == ["fc.weight", "fc.bias"]


def test_no_activation_is_kept_below_the_lowest_trainable_block(network):
    """Autograd keeps what a backward pass needs; below layer4 nothing has one."""
    kept = []
    freeze(network, ("layer4", "head"))
    train_mode(network, ("layer4", "head"))
    outputs = {}
    for name in ("layer3", "layer4"):
        getattr(network, name).register_forward_hook(lambda _, __, out, name=name: outputs.__setitem__(name, out))
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.shape) or tensor, lambda t: t):
        network(torch.randn(2, 3, 64, 64))
    assert outputs["layer3"].grad_fn is None
    assert outputs["layer4"].grad_fn is not None
    assert kept
    assert all(shape[-1] <= 4 for shape in kept if len(shape) == 4)  # layer3 ends at 64 / 16 = 4 pixels


def test_dropout_trains_while_frozen_batch_norm_evaluates(network):
    train_mode(network, ("layer4", "head"))
    assert network.dropout.training
    assert not network.bn1.training
    assert not network.layer3[0].bn1.training
    assert network.layer4[0].bn1.training


def test_every_trainable_parameter_is_in_one_group_with_its_blocks_rate_and_decay(network):
    blocks = ("layer3", "layer4", "head")
    freeze(network, blocks)
    settings_ = parse_recipe(settings(stages=[stage(list(BLOCKS), lr=0.8, lr_decay_per_block=0.5)]), "test").stages[0]
    groups = parameter_groups(network, settings_, blocks)
    rates = {"head": 0.8, "layer4": 0.4, "layer3": 0.2}
    found = {}
    for group in groups:
        for parameter in group["params"]:
            assert id(parameter) not in found
            found[id(parameter)] = group
    for name, parameter in network.named_parameters():
        assert (id(parameter) in found) == parameter.requires_grad
        if parameter.requires_grad:
            assert found[id(parameter)]["lr"] == pytest.approx(rates[block_of(name)])
            assert ("weight_decay" in found[id(parameter)]) == (parameter.ndim == 1), name


def rates(warmup, steps):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = cosine_schedule(optimizer, warmup, steps)
    result = []
    for _ in range(steps):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return [*result, optimizer.param_groups[0]["lr"]]


def test_without_warm_up_the_schedule_is_cosine_annealing():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    oracle = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    expected = []
    for _ in range(21):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        oracle.step()
    assert rates(0, 20) == pytest.approx(expected, abs=1e-9)


def test_warm_up_is_linear_then_the_cosine_falls_to_zero():
    values = rates(4, 20)
    assert values[:5] == pytest.approx([0.06, 0.12, 0.18, 0.24, 0.3])
    assert values[4:] == pytest.approx(rates(0, 16))
    assert values[-1] == pytest.approx(0, abs=1e-12)


def test_batch_norm_over_several_gpus_has_the_same_names_and_stays_frozen_like_any_other(network):
    shared = shared_statistics(copy.deepcopy(network))
    assert shared.state_dict().keys() == network.state_dict().keys()
    layers = [module for module in shared.modules() if isinstance(module, nn.SyncBatchNorm)]
    assert layers and not any(isinstance(module, nn.BatchNorm2d) for module in shared.modules())
    train_mode(shared, ("layer4", "head"))
    training = {
        name.partition(".")[0] for name, module in shared.named_modules() if module in layers and module.training
    }
    assert training == {"layer4"}
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(shared.eval()(images), network.eval()(images))


def test_a_warm_up_that_takes_a_whole_stage_is_refused_with_what_is_possible():
    recipe = parse_recipe(
        settings(stages=[stage(["head"]), stage(list(BLOCKS)[:-1], epochs=2, warmup_steps=20)], batch_size=16), "test"
    )
    check_warmup(recipe, photos=176)  # 22 steps
    with pytest.raises(InvalidConfig, match=r"Stage 2 .* warms up for 20 steps, and has 20 in all with 160 photos"):
        check_warmup(recipe, photos=160)
