"""Models small enough to check by hand, with random weights, and commands that ask them."""

import dataclasses

import numpy as np
import pandas as pd
from scipy import sparse
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.errors import InputError
from d2l_autorec.models.biases import Scale
from d2l_autorec.models.network import Network
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.serving.folder import Model

TITLES = ["Alpha", "Beta", "Gamma", None, "Epsilon", "Zeta"]


def toy_model(
    by="item", hidden=(3,), encoder="sigmoid", decoder="identity", num_users=5, titles=True
):
    """Make a model of 6 items; item 60 has no ratings, user u5 has rated nothing."""
    draws = np.random.default_rng(7)
    matrix = draws.integers(1, 6, (6, num_users)) * (draws.random((6, num_users)) < 0.6)
    matrix[5], matrix[:, -1] = 0, 0
    matrix[0, :3], matrix[1, 0] = (4, 2, 5), 0
    ratings = sparse.csr_matrix(matrix, dtype=np.float32)
    items = pd.DataFrame({"item_id": np.arange(10, 70, 10), "title": TITLES})
    items["year"] = pd.array([1991, 1992, None, None, 1995, 1996], dtype="Int64")
    items["genres"] = ["Drama", "Comedy|Drama", "", None, "War", "Western"]
    recipe = Recipe().but(by=by, hidden=hidden, encoder=encoder, decoder=decoder)
    network = random_network(recipe, ratings, draws)
    return Model(
        trained=TrainedModel(recipe, (network,), (1.0,), ratings),
        user_ids=np.array([f"u{i + 1}" for i in range(num_users)]),
        item_ids=np.arange(10, 70, 10),
        items=items if titles else None,
        low=1.0,
        high=5.0,
        record={"data": {"name": "toy", "digest": "0" * 64}},
    )


def random_network(recipe, ratings, draws):
    """Make a network for ratings (items, users), with random weights."""
    matrix = ratings if recipe.architecture.by == "item" else ratings.T.tocsr()
    weights = {
        name: draws.normal(scale=0.5, size=shape).astype(np.float32)
        for name, shape in recipe.architecture.weight_shapes(matrix.shape[1]).items()
    }
    return Network(recipe, weights, Scale.of(matrix, recipe), 3)


def toy_blend(kinds=("item", "user", "item"), decoder="identity"):
    """Make a blend of networks on the same ratings, some of them above biases or the mean."""
    model, draws = toy_model(), np.random.default_rng(8)
    plain = Recipe().but(hidden=(3,), decoder=decoder, clip=(1.0, 5.0))
    recipes = [
        plain.but(by=by, hidden=(3 + k, 2), targets=("stars", "biases", "mean")[k % 3])
        for k, by in enumerate(kinds)
    ]
    networks = tuple(random_network(recipe, model.ratings, draws) for recipe in recipes)
    factors = (0.5, 0.375, 0.25)[: len(kinds)]
    recipe = Recipe(members=tuple(recipes), weights=factors, clip=(1.0, 5.0))
    trained = TrainedModel(recipe, networks, factors, model.ratings)
    return dataclasses.replace(model, trained=trained)


def network(model):
    """Return the one network."""
    [only] = model.trained.networks
    return only


def inputs(model):
    """Return what the one network reads, (num_rows, num_inputs)."""
    return model.trained.inputs[0]


def reconstructed(model):
    """Return what the one network makes of all rows."""
    return network(model).reconstruct(inputs(model))


def with_weights(model, weights):
    """Return the model with other weights."""
    changed = dataclasses.replace(network(model), weights=weights)
    return with_trained(model, networks=(changed,))


def with_trained(model, **changes):
    """Return the model with other networks or ratings."""
    return dataclasses.replace(model, trained=dataclasses.replace(model.trained, **changes))


def run(*words):
    """Run a command in a terminal of 80 columns; return what it prints, or raise its error."""
    done = CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "80"})
    if isinstance(done.exception, InputError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def dense(model):
    """Return the ratings as (users, items)."""
    return model.ratings.toarray().T
