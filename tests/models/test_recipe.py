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

SIZES = "give one size of at least 1 for each layer."
TWO = "give two numbers above 0, for users and items, or ratings."
FLOAT = "give a number of 0 or more that float32 holds (up to 1e38)."
RANGE = "give the lowest and the highest rating."
OF_THE_BLEND = (
    "members, num_seeds, val_ratio and refit belong to the blend; take them out of its members."
)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"by": "film"}, "by 'film' is unknown; use item or user."),
        ({"hidden": (0,)}, f"hidden is (0,); {SIZES}"),
        ({"hidden": [5, True]}, f"hidden is (5, True); {SIZES}"),
        (
            {"decoder": "step"},
            "decoder 'step' is unknown; use one of identity, sigmoid, tanh, relu, elu, selu.",
        ),
        ({"dropout": 1.0}, "dropout is 1.0; give a share from 0 to below 1."),
        ({"dropout": "0.1"}, "dropout is '0.1'; give a share from 0 to below 1."),
        ({"objective": "max"}, "objective 'max' is unknown; use one of mean, sum."),
        ({"schedule": "linear"}, "schedule 'linear' is unknown; use one of constant, cosine."),
        ({"draws": "dice"}, "draws 'dice' is unknown; use one of numpy, mxnet, book."),
        ({"lr": float("inf")}, f"lr is inf; {FLOAT}"),
        ({"wd": float("nan")}, f"wd is nan; {FLOAT}"),
        ({"lr": -0.1}, f"lr is -0.1; {FLOAT}"),
        ({"lam": -1.0, "objective": "sum"}, f"lam is -1.0; {FLOAT}"),
        ({"lam": 1.0}, "lam belongs to the paper's objective; set objective to sum."),
        ({"batch_size": 0}, "batch_size is 0; give a whole number of at least 1."),
        ({"num_epochs": 2.5}, "num_epochs is 2.5; give a whole number of at least 1."),
        ({"patience": 0}, "patience is 0; give a whole number of at least 1."),
        ({"val_ratio": 1.0}, "val_ratio is 1.0; give a share from 0 to below 1."),
        ({"targets": "unit"}, "targets='unit' needs the ratings' range; give it as clip."),
        ({"scaled": True}, "scaled needs the ratings' range; give it as clip."),
        ({"clip": (5.0, 1.0)}, f"clip is (5.0, 1.0); {RANGE}"),
        ({"clip": (1.0, 5.0, 9.0)}, f"clip is (1.0, 5.0, 9.0); {RANGE}"),
        ({"clip": (1.0, "5")}, f"clip is (1.0, '5'); {RANGE}"),
        ({"clip": 5.0}, f"clip is 5.0; {RANGE}"),
        ({"clip": "stars"}, f"clip is 'stars'; {RANGE}"),
        ({"default": "x"}, "default is 'x'; give a number that float32 holds (up to 1e38)."),
        (
            {"clip": (10.0, 50.0), "default": 3.0},
            "default is 3 and predictions go from 10 to 50; give a default within this range.",
        ),
        (
            {"refit": True},
            "refit needs an epoch chosen on validation ratings; set val_ratio.",
        ),
        (
            {"weights": (1.0,)},
            "weights has 1 numbers for 0 members; give one for each member.",
        ),
        (
            {"members": (Recipe(),)},
            "A blend chooses its weights on validation ratings; set val_ratio.",
        ),
        (
            {"members": (Recipe(),), "weights": (-1.0,)},
            "weights is (-1.0,); give numbers of 0 or more.",
        ),
        ({"members": (Recipe(num_seeds=2),), "weights": (1.0,)}, OF_THE_BLEND),
        ({"members": (Recipe(val_ratio=0.1),), "weights": (1.0,)}, OF_THE_BLEND),
        (
            {"members": (Recipe(members=(Recipe(),), weights=(1.0,)),), "val_ratio": 0.1},
            OF_THE_BLEND,
        ),
        (
            {"shrinkage": (10.0, 0.0)},
            f"shrinkage is (10.0, 0.0); {TWO}",
        ),
        (
            {"shrinkage": (10.0,)},
            f"shrinkage is (10.0,); {TWO}",
        ),
        (
            {"shrinkage": "stars"},
            f"shrinkage is 'stars'; {TWO}",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(wrong, message):
    with pytest.raises(InputError) as caught:
        Recipe().but(**wrong)
    assert str(caught.value) == message


def test_the_ends_of_each_range_are_allowed():
    for end in (1.0, 5.0):
        assert Recipe(clip=(1.0, 5.0), default=end).default == end
    assert Recipe(clip=(3.0, 3.0)).clip == (3.0, 3.0)
    assert Recipe(members=(Recipe(), Recipe()), weights=(0.0, 1.0)).weights == (0.0, 1.0)


def test_changes_reach_the_architecture_and_all_members():
    recipe = Recipe().but(by="user", hidden=(3,), lr=0.5)
    assert recipe.architecture == Architecture(by="user", hidden=(3,)) and recipe.lr == 0.5
    blend = RECIPES["blend"].but(num_epochs=2, hidden=(4,), num_seeds=1, clip=(0.0, 9.0))
    assert blend.num_seeds == 1 and blend.num_networks == 7 and blend.clip == (0.0, 9.0)
    for member, before in zip(blend.members, POOL.values()):
        assert member == before.but(num_epochs=2, hidden=(4,), clip=(0.0, 9.0))
        assert member.lam == before.lam
    given = Recipe().but(architecture=Architecture(by="user"), hidden=(3,))
    assert given.architecture == Architecture(by="user", hidden=(3,))
    other = blend.but(members=(Recipe(),), lr=0.5)
    assert other.members == (Recipe(lr=0.5),)


def test_what_depends_on_the_ratings_is_put_in():
    recipe = RECIPES["blend"].for_ratings(30, 40, (0.5, 4.5))
    assert recipe.clip == (0.5, 4.5)
    assert {member.clip for member in recipe.members} == {(0.5, 4.5)}
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
        "by": "item",
        "hidden": [500],
        "encoder": "sigmoid",
        "decoder": "identity",
        "dropout": 0.05,
        "input_dropout": 0.0,
        "objective": "sum",
        "targets": "stars",
        "scaled": True,
        "lr": 0.004,
        "schedule": "cosine",
        "lam": 30.0,
        "batch_size": 256,
        "num_epochs": 60,
        "clip": "ratings",
        "init": "normal",
        "start": "zero",
        "draws": "mxnet",
        "val_ratio": 0.1,
        "refit": True,
        "num_seeds": 1,
    }
    assert best == expected
    blend = RECIPES["blend"]
    assert (blend.num_seeds, blend.val_ratio, blend.refit, len(blend.members)) == (3, 0.1, True, 7)
    assert blend.members[0].to_dict() == {
        **{name: value for name, value in expected.items()},
        "val_ratio": 0.0,
        "refit": False,
    }
    assert blend.to_dict() == {
        "clip": "ratings",
        "val_ratio": 0.1,
        "refit": True,
        "num_seeds": 3,
        "members": [member.to_dict() for member in blend.members],
    }
    assert RECIPES["chapter"] == Recipe(draws="book")


def test_plain_values_become_a_recipe():
    assert Recipe.from_dict({"clip": [1.0, 5.0], "hidden": [3]}).clip == (1.0, 5.0)
    known = "by, hidden, encoder, decoder, dropout, input_dropout, batch_size"
    for name, shown in (("architecture", "architecture"), ("x" * 99, "x" * 80)):
        with pytest.raises(InputError) as caught:
            Recipe.from_dict({name: 3})
        assert str(caught.value).startswith(f"A recipe has no '{shown}'; it has {known}, ")
    with pytest.raises(InputError) as caught:
        Recipe.from_dict({"members": 3})
    expected = "members is not a list of recipes; write each as a table [[members]]."
    assert str(caught.value) == expected
    with pytest.raises(InputError, match=r"^A value of the recipe has a wrong type \(.*\)\.$"):
        Recipe.from_dict({"weights": 5})


@pytest.mark.parametrize(
    "text, words",
    [
        ("lr = ", "is not valid TOML"),
        ("speed = 1", "A recipe has no 'speed'; it has by, hidden"),
        ("lr = 'fast'", "lr is 'fast'"),
        ("hidden = 500", "hidden is 500"),
        ("members = 3", "members is not a list"),
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
