"""The options of ``train`` that name a recipe and change it."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import typer


def of_recipe(text: str, *names: str) -> Any:
    """Make an option that changes the recipe; what is left out is the recipe's."""
    return typer.Option(*names, help=text, rich_help_panel="The recipe", show_default=False)


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

By = Annotated[Optional[str], of_recipe("What a row is: item or user.")]
Hidden = Annotated[Optional[str], of_recipe("Sizes of the hidden layers: 500,100,500.")]
Encoder = Annotated[
    Optional[str], of_recipe("Hidden layers: identity, sigmoid, tanh, relu, elu or selu.")
]
Decoder = Annotated[Optional[str], of_recipe("Output: one of the same.")]
Dropout = Annotated[Optional[float], of_recipe("Share of the code dropped.")]
InputDropout = Annotated[Optional[float], of_recipe("Share of the ratings dropped.")]
Objective = Annotated[Optional[str], of_recipe("Squared errors: mean over columns, or sum.")]
Targets = Annotated[Optional[str], of_recipe("What is learned: stars, unit, mean or biases.")]
Lr = Annotated[Optional[float], of_recipe("Adam's learning rate.")]
Schedule = Annotated[Optional[str], of_recipe("Of it: constant or cosine.")]
Wd = Annotated[Optional[float], of_recipe("Weight decay.")]
Lam = Annotated[Optional[float], of_recipe("λ in its place, for the sum.")]
BatchSize = Annotated[Optional[int], of_recipe("Rows in a batch.")]
Epochs = Annotated[Optional[int], of_recipe("Passes over the rows.")]
RatingRange = Annotated[Optional[str], of_recipe("LOW,HIGH to keep predictions in.")]
Init = Annotated[Optional[str], of_recipe("First weights: normal or xavier.")]
Start = Annotated[Optional[str], of_recipe("First output bias: zero or mean.")]
Draws = Annotated[Optional[str], of_recipe("Random draws: numpy, mxnet or book.")]
ValRatio = Annotated[Optional[float], of_recipe("Share held out to choose the epoch on.")]
Patience = Annotated[Optional[int], of_recipe("With it: epochs to wait for a better one.")]
Refit = Annotated[
    Optional[bool],
    of_recipe(
        "With it: before the test, train again on training and validation ratings, up to the "
        "epoch chosen.",
        "--refit/--no-refit",
    ),
]
Seeds = Annotated[Optional[int], of_recipe("Networks to average.")]
