"""The networks of the experiment ``paper``, and the λ that are tried for each."""

from __future__ import annotations

from dataclasses import dataclass

from d2l_autorec.models.recipe import Recipe

NUM_SPLITS = 5
NUM_LARGE = 500_000  # ratings from which on the settings found for MovieLens 1M are used


@dataclass(frozen=True)
class Variant:
    """A network and its training, except for λ.

    Attributes
    ----------
    part, name : str
        The question it belongs to, and its name there.
    recipe : Recipe
    lams : tuple of float
        Tried on validation ratings.
    own : bool
        Every split chooses its own λ. Otherwise the first split chooses for all.
    pretrained : bool
        Whether its layers are first trained one by one.
    """

    part: str
    name: str
    recipe: Recipe
    lams: tuple[float, ...]
    own: bool = False
    pretrained: bool = False


_ITEM = Recipe().but(
    objective="sum",
    schedule="cosine",
    lr=0.003,
    num_epochs=60,
    dropout=0.0,
    lam=200.0,
    clip=(1.0, 5.0),
    default=3.0,
)
_USER = _ITEM.but(by="user", num_epochs=50)
# Without a sigmoid Adam reaches the level of the ratings too late, so it starts there.
_LINEAR = _ITEM.but(encoder="identity", lr=0.001, start="mean")
_SIGMOID_OUTPUT = _ITEM.but(decoder="sigmoid", targets="unit")

SMALL = (
    Variant("protocol", "I-AutoRec", _ITEM.but(lr=0.004), (15.0, 30.0, 60.0, 120.0), own=True),
    Variant(
        "protocol",
        "U-AutoRec",
        _USER.but(lr=0.002, batch_size=64, num_epochs=60),
        (30.0, 60.0, 120.0, 240.0),
        own=True,
    ),
)
"""For MovieLens 100K."""

LARGE = (
    Variant("protocol", "I-AutoRec", _ITEM, (100.0, 150.0, 200.0, 300.0), own=True),
    Variant("protocol", "U-AutoRec", _USER, (50.0, 100.0, 200.0), own=True),
)
"""For MovieLens 1M."""

ACTIVATIONS = {
    "f identity, g identity": (_LINEAR, (800.0, 1400.0, 2000.0)),
    "f sigmoid, g identity": (
        _SIGMOID_OUTPUT.but(encoder="identity", lr=0.001),
        (600.0, 800.0, 1100.0),
    ),
    "f identity, g sigmoid": (_ITEM, (150.0, 200.0, 300.0)),
    "f sigmoid, g sigmoid": (_SIGMOID_OUTPUT, (50.0, 100.0, 200.0)),
}
"""Output f and hidden layer g, in the paper's notation."""

HIDDEN = {
    size: (_ITEM.but(hidden=(size,), lr=lr, batch_size=batch_size), (50.0, 100.0, 200.0))
    for batch_size, rates in (
        (64, {10: 0.02, 20: 0.02, 50: 0.01, 100: 0.006}),
        (256, {200: 0.006, 300: 0.004, 400: 0.003}),
    )
    for size, lr in rates.items()
}
"""By hidden units; few units need more and larger steps. 500 is the protocol's I-AutoRec."""

_DEEP = _ITEM.but(hidden=(500, 100, 500), init="xavier", lr=0.004, batch_size=64)
DEPTH = {
    "500, 100, 500": (_DEEP, (30.0, 60.0)),
    "500, 100, 500, tanh": (_DEEP.but(encoder="tanh", batch_size=256), (50.0, 100.0)),
    "500, 500": (_ITEM.but(hidden=(500, 500), init="xavier", lr=0.004), (30.0, 60.0)),
}

PRETRAINED = Variant(
    "depth",
    "500, 100, 500, pre-trained",
    _ITEM.but(hidden=(500, 100, 500), lr=0.001, num_epochs=20),
    (60.0, 100.0, 200.0),
    pretrained=True,
)
OUTER = _ITEM
"""The AutoRec of one hidden layer that gives it its first and its last layer."""
INNER = _ITEM.but(
    decoder="sigmoid", init="xavier", lam=1.0, lr=0.004, batch_size=64, clip=None, default=None
)
"""The autoencoder of the codes between them."""

QUESTIONS = (
    *(Variant("activations", name, *what) for name, what in ACTIVATIONS.items()),
    *(Variant("hidden", str(size), *what) for size, what in HIDDEN.items()),
    *(Variant("depth", name, *what) for name, what in DEPTH.items()),
    PRETRAINED,
)
"""Only for the data given with ``--data``."""

_DROPPED = _ITEM.but(dropout=0.05)
_WIDE = _DROPPED.but(hidden=(1000,), num_epochs=50)
_ABOVE_BIASES = _DROPPED.but(targets="biases", lam=100.0, lr=0.002, num_epochs=30)

REACH = {
    "500 units, dropout 0.05": _DROPPED,
    "1000 units, dropout 0.05": _WIDE,
    "1000 units, dropout 0.3": _WIDE.but(dropout=0.3, lr=0.004),
    "user-based": _USER.but(dropout=0.05, lam=100.0),
    "above biases": _ABOVE_BIASES,
}
"""The networks of the blend, each a single change of I-AutoRec."""

STACKED = {
    name: REACH[name] for name in ("1000 units, dropout 0.05", "user-based", "above biases")
}
"""Those of the stack: the fewest that differ."""

TRIED = {
    **REACH,
    "500 units, dropout 0.3": _DROPPED.but(dropout=0.3),
    "input dropout 0.2": _DROPPED.but(input_dropout=0.2),
    "bias starts at the mean": _DROPPED.but(start="mean"),
    "above the mean": _ABOVE_BIASES.but(targets="mean"),
    "above biases, relu": _ABOVE_BIASES.but(encoder="relu"),
    "above biases, tanh": _ABOVE_BIASES.but(encoder="tanh"),
    "batches of 128, λ 300": _DROPPED.but(batch_size=128, lam=300.0),
    "lr 0.002 over 80 epochs, λ 250": _DROPPED.but(lr=0.002, num_epochs=80, lam=250.0),
}
"""Recipes scored on the validation ratings of the first split, each at its best epoch."""


def protocol(num_ratings: int) -> tuple[Variant, ...]:
    """Return the networks of the protocol for data of a size."""
    return LARGE if num_ratings >= NUM_LARGE else SMALL


OTHERS = ("myFM", "myFM, SVD++ features")
"""Contenders that are run on the same splits, each with its defaults."""
