"""AutoRecs for MovieLens 100K: those of the best blend, and those that the search scored."""

from __future__ import annotations

from dataclasses import replace

from d2l_autorec.experiments.blend import blend_model
from d2l_autorec.experiments.fitting import Recipe

RANGE = (1.0, 5.0)
VAL_RATIO = 0.1
PATIENCE = 10
NUM_SEEDS = 3
SEARCH_SPLITS = (100, 101)

STOPPED = Recipe(num_epochs=150)
PAPER = replace(STOPPED, objective="sum", lam=30.0, clip=RANGE)
COSINE = replace(PAPER, schedule="cosine", lr=0.004, num_epochs=60)
USER = replace(COSINE, by="user", lam=60.0, batch_size=64, lr=0.002)
STRONG = replace(COSINE, lam=60.0, lr=0.006, dropout=0.3)
ABOVE_BIASES = replace(COSINE, targets="biases", lr=0.002, num_epochs=20)

POOL = {
    "item-based": COSINE,
    "user-based": USER,
    "item-based, λ 60, dropout 0.3": STRONG,
    "item-based, λ 15, dropout 0.3, input dropout 0.3": replace(
        STRONG, lam=15.0, input_dropout=0.3
    ),
    "item-based, 1000 units, dropout 0.5, 80 epochs": replace(
        STRONG, lam=30.0, hidden=(1000,), dropout=0.5, num_epochs=80
    ),
    "item-based, above biases": ABOVE_BIASES,
    "item-based, above biases, relu": replace(
        ABOVE_BIASES, encoder="relu", lam=60.0, num_epochs=15
    ),
}
"""The AutoRecs of the blend."""

ASIDE = {
    "input dropout 0.3": replace(COSINE, input_dropout=0.3),
    "dropout 0.3 on the code": replace(COSINE, dropout=0.3),
    "1500 hidden units": replace(COSINE, hidden=(1500,), lr=0.002),
    "two hidden layers of 500": replace(COSINE, hidden=(500, 500), init="xavier"),
}
"""Single changes of the item-based AutoRec that are not in the ladder."""

CANDIDATES = {
    "the chapter": Recipe(),
    **POOL,
    **{f"item-based, {what}": recipe for what, recipe in ASIDE.items()},
    "item-based, λ 120": replace(COSINE, lam=120.0),
    "item-based, 120 epochs, lr 0.001": replace(COSINE, lr=0.001, num_epochs=120),
    "item-based, batches of 64": replace(COSINE, batch_size=64, lr=0.002, lam=120.0),
    "item-based, 100 units": replace(STRONG, hidden=(100,)),
    "item-based, bias starts at the mean": replace(COSINE, start="mean"),
    "item-based, above the mean": replace(COSINE, targets="mean", lr=0.002),
    "item-based, xavier": replace(COSINE, init="xavier", lr=0.002),
    "item-based, tanh": replace(COSINE, encoder="tanh", lr=0.002),
    "item-based, above biases, tanh": replace(ABOVE_BIASES, encoder="tanh", lam=60.0),
    "item-based, above biases, elu": replace(ABOVE_BIASES, encoder="elu", lam=60.0),
    "item-based, above biases, two layers of 300": replace(
        ABOVE_BIASES, hidden=(300, 300), init="xavier", lam=60.0, num_epochs=40
    ),
    "user-based, λ 120": replace(USER, lam=120.0),
    "user-based, dropout 0.4": replace(USER, dropout=0.4),
    "user-based, input dropout 0.5": replace(USER, input_dropout=0.5),
    "user-based, above biases": replace(USER, targets="biases", batch_size=128, num_epochs=20),
    "user-based, above biases, tanh": replace(
        USER, targets="biases", encoder="tanh", batch_size=128, num_epochs=15
    ),
}
"""The recipes that the search scored."""

best_model = blend_model(tuple(POOL.values()), NUM_SEEDS, VAL_RATIO, RANGE)
"""The model at the ladder's end: ``best_model(table, shape, seed) -> predict(users, items)``."""
