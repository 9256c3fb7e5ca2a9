"""The options of ``train`` on the model that is kept, and on what goes on during training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Optional

import typer

_of_kept = partial(typer.Option, rich_help_panel="The model that is kept")
_during = partial(typer.Option, rich_help_panel="During training")

Save = Annotated[bool, _of_kept("--save", help="Keep the model, for recommend and others.")]
AllRatings = Annotated[
    Optional[bool],
    _of_kept(
        "--all-ratings/--no-all-ratings",
        show_default=False,
        help="With --save: after the test, train again on all ratings, those of the test too, and "
        "keep that model (the default; about as long again), or keep the model that was tested.",
    ),
]
CheckpointEvery = Annotated[
    int, _during(min=0, help="Epochs between two checkpoints, for --resume; 0 for none.")
]
Resume = Annotated[
    Optional[Path], _during(help="Go on with the run in this folder, where it was stopped.")
]
TensorBoard = Annotated[Optional[Path], _during(help="Folder to log RMSE and loss in.")]
