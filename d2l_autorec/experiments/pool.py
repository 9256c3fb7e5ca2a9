"""AutoRecs for MovieLens 100K: those of the best blend, and those that the search scored."""

from __future__ import annotations

from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.recipes import POOL, RECIPES

VAL_RATIO = RECIPES["blend"].val_ratio
PATIENCE = 10
NUM_SEEDS = RECIPES["blend"].num_seeds
SEARCH_SPLITS = (100, 101)

COSINE, USER = POOL["item-based"], POOL["user-based"]
STRONG, ABOVE_BIASES = POOL["item-based, λ 60, dropout 0.3"], POOL["item-based, above biases"]
STOPPED = Recipe(num_epochs=150)
PAPER = STOPPED.but(objective="sum", lam=30.0, clip="ratings")

ASIDE = {
    "input dropout 0.3": COSINE.but(input_dropout=0.3),
    "dropout 0.3 on the code": COSINE.but(dropout=0.3),
    "1500 hidden units": COSINE.but(hidden=(1500,), lr=0.002),
    "two hidden layers of 500": COSINE.but(hidden=(500, 500), init="xavier"),
}
"""Single changes of the item-based AutoRec that are not in the ladder."""

CANDIDATES = {
    "the chapter": Recipe(),
    **POOL,
    **{f"item-based, {what}": recipe for what, recipe in ASIDE.items()},
    "item-based, λ 120": COSINE.but(lam=120.0),
    "item-based, 120 epochs, lr 0.001": COSINE.but(lr=0.001, num_epochs=120),
    "item-based, batches of 64": COSINE.but(batch_size=64, lr=0.002, lam=120.0),
    "item-based, 100 units": STRONG.but(hidden=(100,)),
    "item-based, bias starts at the mean": COSINE.but(start="mean"),
    "item-based, above the mean": COSINE.but(targets="mean", lr=0.002),
    "item-based, xavier": COSINE.but(init="xavier", lr=0.002),
    "item-based, tanh": COSINE.but(encoder="tanh", lr=0.002),
    "item-based, above biases, tanh": ABOVE_BIASES.but(encoder="tanh", lam=60.0),
    "item-based, above biases, elu": ABOVE_BIASES.but(encoder="elu", lam=60.0),
    "item-based, above biases, two layers of 300": ABOVE_BIASES.but(
        hidden=(300, 300), init="xavier", lam=60.0, num_epochs=40
    ),
    "user-based, λ 120": USER.but(lam=120.0),
    "user-based, dropout 0.4": USER.but(dropout=0.4),
    "user-based, input dropout 0.5": USER.but(input_dropout=0.5),
    "user-based, above biases": USER.but(targets="biases", batch_size=128, num_epochs=20),
    "user-based, above biases, tanh": USER.but(
        targets="biases", encoder="tanh", batch_size=128, num_epochs=15
    ),
}
"""The recipes that the search scored."""
