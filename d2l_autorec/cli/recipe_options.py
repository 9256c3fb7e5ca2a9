"""The options of ``train`` that name a recipe and change it."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import typer

from d2l_autorec.cli.common import with_options

RecipeName = Annotated[
    Optional[str],
    typer.Option(
        "--recipe",
        help="A name from `d2l-autorec recipes` or a TOML file. If left out: chapter, or default "
        "with --data.",
    ),
]
Engine = Annotated[
    Optional[str], typer.Option(help="fast (dense) or sparse. The quicker if left out.")
]
ToPrint = Annotated[Optional[str], typer.Argument(help="Print this one as TOML.")]

_AGAIN = "before the test, train again on training and validation ratings, up to the epoch chosen."
CHANGES = {
    "by": (str, "What a row is: item or user."),
    "hidden": (str, "Sizes of the hidden layers: 500,100,500."),
    "encoder": (str, "Hidden layers: identity, sigmoid, tanh, relu, elu or selu."),
    "decoder": (str, "Output: one of the same."),
    "dropout": (float, "Share of the code dropped."),
    "input_dropout": (float, "Share of the ratings dropped."),
    "objective": (str, "Squared errors: mean over columns, or sum."),
    "targets": (str, "What is learned: stars, unit, mean or biases."),
    "lr": (float, "Adam's learning rate."),
    "schedule": (str, "Of it: constant or cosine."),
    "wd": (float, "Weight decay."),
    "lam": (float, "λ in its place, for the sum."),
    "batch_size": (int, "Rows in a batch."),
    "epochs": (int, "Passes over the rows."),
    "rating_range": (str, "LOW,HIGH to keep predictions in."),
    "init": (str, "First weights: normal or xavier."),
    "start": (str, "First output bias: zero or mean."),
    "draws": (str, "Random draws: numpy, mxnet or book."),
    "val_ratio": (float, "Share held out to choose the epoch on."),
    "patience": (int, "With it: epochs to wait for a better one."),
    "refit": (bool, f"With it: {_AGAIN}"),
    "seeds": (int, "Networks to average."),
}
"""Options that change a field of the recipe: type and help. What is left out is the recipe's."""


def _of_recipe(kind: type, text: str) -> Any:
    option = typer.Option(help=text, rich_help_panel="The recipe", show_default=False)
    return Annotated[Optional[kind], option]


def _changes(said: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the recipe that are given, by their names there."""
    from d2l_autorec.training.plan import parse_hidden, parse_range

    fields = {"epochs": "num_epochs", "seeds": "num_seeds", "rating_range": "clip"}
    parsers = {"hidden": parse_hidden, "rating_range": parse_range}
    return {
        fields.get(name, name): parsers[name](value) if name in parsers else value
        for name, value in said.items()
        if value is not None
    }


changes_recipe = with_options(
    "changes", {name: (_of_recipe(*of), None) for name, of in CHANGES.items()}, _changes
)
"""Gives a command the options of ``CHANGES``, as one dictionary of a recipe's fields."""
