"""Architectures and recipes: what they refuse, their way to TOML and back, and the named ones."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.errors import InputError
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.recipes import EXPLAINED, POOL, RECIPES, find_recipe, read_toml, to_toml


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"by": "film"}, "by 'film' is unknown; use item or user"),
        ({"hidden": (0,)}, "hidden"),
        ({"hidden": [5, True]}, "hidden"),
        ({"decoder": "step"}, "decoder 'step'"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": "0.1"}, "dropout is '0.1'"),
        ({"objective": "max"}, "objective 'max' is unknown; use one of mean, sum"),
        ({"schedule": "linear"}, "schedule 'linear'"),
        ({"draws": "dice"}, "draws 'dice'"),
        ({"lr": float("inf")}, "lr is inf"),
        ({"wd": float("nan")}, "wd is nan"),
        ({"lr": -0.1}, "lr is -0.1"),
        ({"lam": -1.0, "objective": "sum"}, "lam is -1.0"),
        ({"lam": 1.0}, "objective"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"num_epochs": 2.5}, "num_epochs is 2.5"),
        ({"patience": 0}, "patience is 0"),
        ({"val_ratio": 1.0}, "val_ratio is 1.0"),
        ({"targets": "unit"}, "clip"),
        ({"clip": (5.0, 1.0)}, "clip is"),
        ({"clip": (1.0, 5.0, 9.0)}, "clip is"),
        ({"clip": "stars"}, "clip is 'stars'"),
        ({"clip": (10.0, 50.0), "default": 3.0}, "default is 3 and predictions go from 10 to 50"),
        ({"refit": True}, "set val_ratio"),
        ({"shrinkage": (10.0, 0.0)}, "shrinkage is"),
        ({"shrinkage": (10.0,)}, "shrinkage is"),
        ({"shrinkage": "stars"}, "shrinkage is 'stars'; give two numbers above 0, for users"),
        ({"weights": (1.0,)}, "1 numbers for 0 members"),
        ({"members": (Recipe(),)}, "set val_ratio"),
        ({"members": (Recipe(),), "weights": (-1.0,)}, "weights is"),
        ({"members": (Recipe(num_seeds=2),), "weights": (1.0,)}, "belong to the blend"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(wrong, words):
    with pytest.raises(InputError, match=words) as caught:
        Recipe().but(**wrong)
    assert "\n" not in str(caught.value)


def test_changes_reach_the_architecture_and_all_members():
    recipe = Recipe().but(by="user", hidden=(3,), lr=0.5)
    assert recipe.architecture == Architecture(by="user", hidden=(3,)) and recipe.lr == 0.5
    blend = RECIPES["blend"].but(num_epochs=2, hidden=(4,), num_seeds=1, clip=(0.0, 9.0))
    assert blend.num_seeds == 1 and blend.num_networks == 7
    for member, before in zip(blend.members, POOL.values()):
        assert member == before.but(num_epochs=2, hidden=(4,), clip=(0.0, 9.0))
        assert member.lam == before.lam


def test_what_depends_on_the_ratings_is_put_in():
    recipe = RECIPES["blend"].for_ratings(30, 40, (0.5, 4.5))
    assert recipe.clip == (0.5, 4.5)
    assert [member.batch_size for member in recipe.members] == [40, 30, 40, 40, 40, 40, 40]
    with pytest.raises(InputError, match="default is 3 and predictions go from 10 to 50"):
        RECIPES["paper"].for_ratings(3, 4, (10.0, 50.0))


@pytest.mark.parametrize("name", RECIPES)
def test_named_recipes_go_to_toml_and_back(name, tmp_path):
    recipe = find_recipe(name).recipe
    path = tmp_path / "my.toml"
    done = CliRunner().invoke(app, ["recipes", name])
    path.write_text(done.stdout, encoding="utf-8")
    assert find_recipe(str(path)).recipe.to_dict() == recipe.to_dict()
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))).to_dict() == recipe.to_dict()
    assert done.stdout == to_toml(recipe)
    assert name in EXPLAINED and f"{name}: " in CliRunner().invoke(app, ["recipes"]).stdout


def test_the_ends_of_the_ladder():
    """The recipes behind results/best: changing one changes what is published."""
    best = RECIPES["best"].to_dict()
    expected = {
        "by": "item", "hidden": [500], "encoder": "sigmoid", "decoder": "identity",
        "dropout": 0.05, "input_dropout": 0.0, "objective": "sum", "targets": "stars",
        "lr": 0.004, "schedule": "cosine", "lam": 30.0, "batch_size": 256, "num_epochs": 60,
        "clip": "ratings", "init": "normal", "start": "zero", "draws": "mxnet",
        "val_ratio": 0.1, "refit": True, "num_seeds": 1,
    }  # fmt: skip
    assert best == expected
    blend = RECIPES["blend"]
    assert (blend.num_seeds, blend.val_ratio, blend.refit, len(blend.members)) == (3, 0.1, True, 7)
    assert blend.members[0].to_dict() == {
        **{name: value for name, value in expected.items()}, "val_ratio": 0.0, "refit": False,
    }  # fmt: skip
    assert RECIPES["chapter"] == Recipe(draws="book")


@pytest.mark.parametrize(
    "text, words",
    [
        ("lr = ", "is no TOML"),
        ("speed = 1", "A recipe has no 'speed'; it has by, hidden"),
        ("lr = 'fast'", "lr is 'fast'"),
        ("hidden = 500", "hidden is 500"),
        ("members = 3", "members is no list"),
        ("by = ['item']", "by"),
        ("[[members]]\nlr = 1", "set val_ratio"),
    ],
)
def test_a_file_that_holds_no_recipe(text, words, tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        read_toml(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_recipe_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="'bset' is unknown; use chapter, paper, best, blend"):
        find_recipe("bset")
    with pytest.raises(InputError, match="cannot be read"):
        find_recipe(str(tmp_path / "none.toml"))


def test_importing_recipes_loads_no_mxnet():
    code = "import sys, d2l_autorec.models.recipes; print({'mxnet', 'numba'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
