"""The experiments' commands, from ``study`` to ``own-data``."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Callable, Optional, Union

import typer

from d2l_autorec.cli.common import Data, Json, Quiet, app, give_options
from d2l_autorec.config import CHAPTER

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.data.formats import Ratings
    from d2l_autorec.experiments.experiment import Experiment

Seeds = Annotated[int, typer.Option(min=2, help="Random splits: seeds 0, 1, ...")]
Draws = Annotated[int, typer.Option(min=2, help="Draws of the new users.")]
SplitRows = Annotated[
    Optional[Path], typer.Option(help="Folder for the row numbers of each split.")
]
Ledger = Annotated[
    Optional[Path], typer.Option(help="The ledger. FOLDER/fidelity.md if left out.")
]
Blends = Annotated[
    int, typer.Option(min=1, help="Splits for the blend, from u1 on; stored ones count too.")
]
Named = Annotated[
    Optional[Path],
    typer.Option(help="ml-1m.zip or a CSV: all questions. MovieLens 100K is always measured."),
]
Searched = Annotated[
    Optional[int],
    typer.Option(min=2, help="Splits with a search inside the training part, if fewer."),
]
Slow = Annotated[
    Optional[int],
    typer.Option(
        min=1, help="Of deep pre-training and other libraries, if fewer; stored ones count too."
    ),
]
SlowSplits = Annotated[
    Optional[int],
    typer.Option(
        min=0, help="Of all models but the mean and biases, if fewer; stored ones count too."
    ),
]
Sets = Annotated[list[str], typer.Argument(help="Data sets, each as NAME=FILE.")]
Quick = Annotated[
    bool, typer.Option("--quick", help="A smoke run of less than a minute, without a conclusion.")
]
Folder = Annotated[
    Optional[Path],
    typer.Option("--out", help="Folder of the results; runs stored there are read. runs/NAME."),
]


OPTIONS = {
    "quick": (Quick, False),
    "data": (Data, None),
    "out": (Folder, None),
    "as_json": (Json, False),
    "quiet": (Quiet, False),
}
"""The options that `runs_experiment` gives to a command, and their defaults."""

Found = Union["list[str]", "pd.DataFrame"]


def runs_experiment(*more: str) -> Callable[[Callable[..., Found]], Callable[..., None]]:
    """Make a command of a function that runs an `Experiment` and returns its answer or table.

    The experiment, and ``ratings`` where the function takes those of MovieLens 100K, come from the
    options --quick, --out and --quiet. ``more`` names further ones: ``data``, for the place of
    these ratings, and ``as_json``.
    """

    def register(function: Callable[..., Found]) -> Callable[..., None]:
        name, own = function.__name__.replace("_", "-"), inspect.signature(function)

        @functools.wraps(function)
        def command(
            quick: bool, out: Path | None, quiet: bool, as_json: bool = False, **given: Any
        ) -> None:
            folder = begin(name, out, quick)
            from d2l_autorec.data.sources import load_ml100k
            from d2l_autorec.experiments.experiment import Experiment

            experiment = Experiment(folder, quiet, quick)
            if "ratings" in own.parameters:
                place = given.pop("data") if "data" in more else None
                given["ratings"] = load_ml100k(place, quiet=quiet)
            found = function(experiment, **given)
            if isinstance(found, list):
                end(folder, found)
            else:
                _show(name, found, folder, as_json, quick)
            for note in experiment.notes:
                typer.echo(note)

        asked = ("quick", "out", "quiet", *more)
        shared = {option: what for option, what in OPTIONS.items() if option in asked}
        give_options(command, own, {"experiment", "ratings"}, shared)
        return app.command()(command)

    return register


def begin(name: str, out: Path | None, quick: bool = False) -> Path:
    """Check the installation and return the folder of an experiment."""
    from d2l_autorec import doctor

    doctor.preflight()
    return out or Path("runs") / (f"{name}-quick" if quick else name)


def end(folder: Path, answer: Iterable[str] = ()) -> None:
    """Print the answer, how many runs were read and made, and where the results are."""
    from d2l_autorec.cli.tables import say
    from d2l_autorec.experiments.runner import tally

    for sentence in answer:
        say(sentence)
    say(f"{tally} The results are in {folder}, see README.md there.")


def _show(name: str, table: pd.DataFrame, folder: Path, as_json: bool, quick: bool) -> None:
    """Print the table of an experiment, and how many runs were read and made."""
    from d2l_autorec.experiments.runner import tally
    from d2l_autorec.experiments.stored import SMOKE
    from d2l_autorec.serving.records import records

    if as_json:
        counts = {"read": len(tally.read), "made": len(tally.made)}
        record = {"command": name, "folder": str(folder), "quick": quick, **counts}
        typer.echo(json.dumps({**record, "rows": records(table)}))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(table.columns):
        grid.add_column(heading, no_wrap=i > 0)  # a number is never broken
    for row in table.itertuples(index=False):
        grid.add_row(*map(str, row))
    Console().print(grid)
    end(folder, [SMOKE] if quick else [])


@runs_experiment("data")
def study(
    experiment: Experiment, ratings: Ratings, seeds: Seeds = 30, splits: SplitRows = None
) -> Found:
    """Run the chapter on many splits and compare with its 0.901 (about 4 minutes on two cores)."""
    from d2l_autorec.experiments.study import study

    seeds, epochs = (2, 1) if experiment.quick else (seeds, CHAPTER.num_epochs)
    return study(experiment, ratings, seeds, epochs, splits)


@runs_experiment("data")
def compare(experiment: Experiment, ratings: Ratings, splits: Seeds = 10) -> Found:
    """Compare AutoRec with matrix factorization and others (about 45 minutes on two cores)."""
    from d2l_autorec.experiments.compare import compare
    from d2l_autorec.experiments.contenders import QUICK

    splits, names = (2, QUICK) if experiment.quick else (splits, None)
    return compare(experiment, ratings, splits, names)


@runs_experiment("data")
def canonical(experiment: Experiment, ratings: Ratings, blends: Blends = 7) -> Found:
    """Score all models on the splits u1 to u5, ua and ub (about 8 minutes on two cores)."""
    from d2l_autorec.experiments.canonical import CANONICAL, QUICK, canonical

    splits, names = (("u1",), QUICK) if experiment.quick else (CANONICAL, None)
    return canonical(experiment, ratings, splits, names, blends)


@runs_experiment("data")
def exercises(experiment: Experiment, ratings: Ratings, seeds: Seeds = 5) -> Found:
    """Answer the chapter's three exercises (about 30 minutes on two cores)."""
    from d2l_autorec.experiments.exercises import exercises, networks

    if experiment.quick:
        plan = networks((2, 4), (2, 4), ("identity", "sigmoid"))
        return exercises(experiment, ratings, 2, plan, max_epochs=2)
    return exercises(experiment, ratings, seeds)


@runs_experiment("data")
def draws(experiment: Experiment, ratings: Ratings, seeds: Seeds = 30) -> Found:
    """Compare NumPy's random draws with MXNet's in the sparse engine (about 1 minute)."""
    from d2l_autorec.experiments.draws import draws
    from d2l_autorec.models.recipe import Recipe

    seeds, recipe = (2, Recipe(num_epochs=1)) if experiment.quick else (seeds, Recipe())
    return draws(experiment, ratings, seeds, recipe)


@runs_experiment("data")
def fidelity(
    experiment: Experiment, ratings: Ratings, seeds: Seeds = 10, ledger: Ledger = None
) -> Found:
    """Measure each departure of the printed code (about 7 minutes on two cores)."""
    from d2l_autorec.experiments.fidelity import fidelity

    if experiment.quick:
        return fidelity(experiment, ratings, None, 2, 1)
    doc = ledger or experiment.folder / "fidelity.md"
    experiment.notes.append(f"The ledger is {doc}.")
    return fidelity(experiment, ratings, doc, seeds)


@runs_experiment("as_json")
def paper(
    experiment: Experiment, data: Named = None, splits: Seeds = 5, slow_splits: Slow = None
) -> Found:
    """Compare with the paper's results (about a minute on two cores; with ML-1M over an hour)."""
    from d2l_autorec.experiments.paper import paper

    return paper(experiment, data, 2 if experiment.quick else splits, slow_splits)


@runs_experiment("as_json")
def best(
    experiment: Experiment, ratings: Ratings, splits: Seeds = 10, searched: Searched = None
) -> Found:
    """Lower AutoRec's RMSE on MovieLens 100K step by step (about 30 minutes on two cores)."""
    from d2l_autorec.experiments.best import best

    return best(experiment, ratings, 2 if experiment.quick else splits, searched)


@runs_experiment("as_json")
def foldin(experiment: Experiment, ratings: Ratings, seeds: Draws = 5) -> Found:
    """Measure the predictions for new users (about a minute on two cores)."""
    from d2l_autorec.experiments.foldin import foldin

    return foldin(experiment, ratings, 2 if experiment.quick else seeds)


@runs_experiment("as_json")
def updating(experiment: Experiment, ratings: Ratings, splits: Seeds = 10) -> Found:
    """Measure `update` against training again (about 3 minutes on two cores)."""
    from d2l_autorec.experiments.updating import updating

    return updating(experiment, ratings, 2 if experiment.quick else splits)


@runs_experiment()
def own_data(
    experiment: Experiment, sets: Sets, splits: Seeds = 5, slow_splits: SlowSplits = None
) -> Found:
    """Score recipes and libraries on data of your own (about 5 minutes on two cores a set)."""
    from d2l_autorec.experiments.own_data import QUICK, own_data, parse_sets

    splits, names = (2, QUICK) if experiment.quick else (splits, None)
    return own_data(experiment, parse_sets(sets), splits, slow_splits, names)
