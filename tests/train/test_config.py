"""Recipes: the shipped ones hold what they claim, and a wrong one is told everything that is wrong with it."""

import pytest

from core.errors import InvalidConfig
from tests.train_cases import settings, stage
from train.batches import epoch_size
from train.config import load_recipe, parse_recipe

ALL = ["stem", "layer1", "layer2", "layer3", "layer4", "head"]


def test_the_reference_recipe_holds_the_published_settings():
    recipe = load_recipe("reference")
    assert [(s.unfreeze, s.epochs) for s in recipe.stages] == [
        (["head"], 2),
        (["layer4"], 2),
        (["layer3"], 3),
        (["layer2", "layer1", "stem"], 5),
    ]
    assert (recipe.dropout, recipe.weight_decay, recipe.batch_size, recipe.label_smoothing) == (0.4, 1e-4, 64, 0.05)
    assert (recipe.sampler, recipe.val_fraction, recipe.test_fraction) == ("inverse", 0.09, 0.10)
    on = recipe.augmentation
    assert (
        on.min_scale < 1 and on.flip and on.brightness and on.contrast and on.saturation and on.rotation and on.erasing
    )


@pytest.mark.parametrize("name", ["default", "smoke"])
def test_the_other_shipped_recipes_are_valid_and_reach_every_block(name):
    recipe = load_recipe(name)
    assert sorted(block for s in recipe.stages for block in s.unfreeze) == sorted(ALL)
    assert len(recipe.labels()) == 15


def test_an_epoch_of_the_smoke_recipe_is_short_however_large_the_data_set():
    assert epoch_size(14_000, load_recipe("smoke")) <= 60


def test_all_problems_are_reported_at_once_with_where_and_what():
    wrong = settings(learning_rate=1, batch_size="64", dropout=1.5, sampler="balanced")
    wrong["stages"][1] |= {"epochs": 0, "lr": -1.0, "unfreeze": ["layer5"], "colour": 1}
    with pytest.raises(InvalidConfig) as caught:
        parse_recipe(wrong, "mine.toml")
    message = str(caught.value)
    assert message.startswith("8 problem(s) in mine.toml:")
    for place in [
        *("learning_rate", "batch_size", "dropout", "sampler"),
        *("stages.1.epochs", "stages.1.lr", "stages.1.unfreeze.0", "stages.1.colour"),
    ]:
        assert f"  {place}: " in message
    assert "(got '64')" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": [stage(["head"])]}, "no stage unfreezes stem, layer1, layer2, layer3, layer4; add to a stage or"),
        ({"stages": [stage(ALL), stage(["head"])]}, "head named more than once"),
        ({"stages": [stage(ALL)], "frozen": ["stem"]}, "stem named more than once"),
        ({"stages": []}, "stages: List should have at least 1 item"),
        ({"batch_size": 10, "accumulation": 4}, "batch_size 10 is not a multiple of accumulation 4"),
        ({"stages": [stage(ALL, lr=1e38)]}, "stages.0.lr: Input should be less than or equal to 1"),
        ({"weight_decay": 1e38}, "weight_decay: Input should be less than or equal to 1"),
        ({"val_fraction": 0.5}, "val_fraction: Input should be less than 0.5"),
    ],
)
def test_impossible_combinations_are_refused(changes, message):
    with pytest.raises(InvalidConfig, match=message):
        parse_recipe(settings(**changes), "mine.toml")


def test_blocks_may_stay_frozen_if_the_recipe_says_so():
    recipe = parse_recipe(settings(stages=[stage(["head"])], frozen=ALL[:-1]), "mine.toml")
    assert recipe.frozen == ALL[:-1]


def test_a_recipe_file_is_read_from_its_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "mine"\nfrozen = {ALL[:-1]}\n[[stages]]\nname = "head"\nunfreeze = ["head"]\nepochs = 3\n'
                    "lr = 1e-3\nheight = 32\nwidth = 32\n")  # fmt: skip
    assert load_recipe(str(path)).epochs == 3


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(InvalidConfig, match="one of: default, longer, reference, smoke"):
        load_recipe("refrence")


def test_broken_toml_is_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("name = \n")
    with pytest.raises(InvalidConfig, match=r"mine\.toml cannot be read as TOML: .*line 1"):
        load_recipe(str(path))


@pytest.mark.parametrize("name", ["garments16", "../classes/garments15"])
def test_an_unknown_class_list_names_the_known_ones(name):
    with pytest.raises(InvalidConfig, match="Known: garments15"):
        parse_recipe(settings(classes=name), "mine.toml").labels()
