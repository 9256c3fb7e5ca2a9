"""The options that say which ratings a model is scored on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer


def _of_split(text: str, **more: Any) -> Any:
    return typer.Option(help=text, rich_help_panel="What is held out to score", **more)


Split = Annotated[
    str,
    _of_split(
        "random, seq-aware, time, leave-last, MovieLens 100K's u1 to u5, ua or ub, or a file of "
        "`study --splits`."
    ),
]
TestRatio = Annotated[float, _of_split("Share held out, for random and time.")]
TestFile = Annotated[
    Optional[Path], _of_split("File of ratings to score with instead, read with the same options.")
]
Folds = Annotated[
    Optional[int], _of_split("Train once for each of so many parts, held out in turn.", min=2)
]
