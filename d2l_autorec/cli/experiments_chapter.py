"""Questions that the chapter leaves open: study, compare, exercises, draws and fidelity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from d2l_autorec.cli.common import Data, Out, Quiet, app

if TYPE_CHECKING:
    from d2l_autorec.data.formats import Ratings

Seeds = Annotated[int, typer.Option(min=2, help="Random splits: seeds 0, 1, ...")]
Quick = Annotated[bool, typer.Option("--quick", help="Tiny and few runs, to see that it works.")]

Splits = Annotated[Optional[Path], typer.Option(help="Folder for the row numbers of each split.")]


def _begin(
    name: str, out: Path | None, quick: bool, data: Path | None, quiet: bool
) -> tuple[Path, Ratings]:
    """Look whether all is there; return the experiment's folder and MovieLens 100K."""
    from d2l_autorec import doctor

    doctor.preflight()
    from d2l_autorec.data.sources import load_ml100k

    usual = Path("runs" if quick else "results") / (f"{name}-quick" if quick else name)
    return out or usual, load_ml100k(data, quiet=quiet)


@app.command()
def study(
    seeds: Annotated[int, typer.Option(min=2, help="Random splits: seeds 0, 1, ...")] = 30,
    splits: Splits = None,
    quick: Quick = False,
    data: Data = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Run the chapter on many splits, and say where the book's 0.901 lies."""
    from d2l_autorec.config import CHAPTER
    from d2l_autorec.experiments import study as experiment

    folder, ratings = _begin("study", out, quick, data, quiet)
    seeds, epochs = (2, 1) if quick else (seeds, CHAPTER.num_epochs)
    for sentence in experiment.study(folder, ratings, seeds, epochs, splits, quiet):
        typer.echo(sentence)
    typer.echo(f"Table and figure are in {folder}.")


@app.command()
def compare(
    splits: Annotated[int, typer.Option(min=2, help="Random splits: seeds 0, 1, ...")] = 10,
    quick: Quick = False,
    data: Data = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Set AutoRec beside matrix factorization and others, all on the same ratings."""
    from d2l_autorec.experiments import compare as experiment
    from d2l_autorec.experiments.contenders import QUICK

    folder, ratings = _begin("compare", out, quick, data, quiet)
    splits, names = (2, QUICK) if quick else (splits, None)
    for sentence in experiment.compare(folder, ratings, splits, names, quiet)[1]:
        typer.echo(sentence)
    typer.echo(f"Tables and figure are in {folder}.")


@app.command()
def exercises(
    seeds: Seeds = 5,
    quick: Quick = False,
    data: Data = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Answer the chapter's three exercises: hidden size, depth, activations."""
    from d2l_autorec.experiments import exercises as experiment

    folder, ratings = _begin("exercises", out, quick, data, quiet)
    plan, max_epochs = experiment.networks(), experiment.MAX_EPOCHS
    if quick:
        plan = experiment.networks((2, 4), (2, 4), ("identity", "sigmoid"))
        max_epochs, seeds = 2, 2
    for sentence in experiment.exercises(folder, ratings, seeds, plan, max_epochs, quiet):
        typer.echo(sentence)
    typer.echo(f"Tables and figures are in {folder}.")


@app.command()
def draws(
    seeds: Annotated[int, typer.Option(min=2, help="Random splits: seeds 0, 1, ...")] = 30,
    quick: Quick = False,
    data: Data = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Compare NumPy's random draws with MXNet's in the sparse engine."""
    from d2l_autorec.experiments import draws as experiment
    from d2l_autorec.models.recipe import Recipe

    folder, ratings = _begin("draws", out, quick, data, quiet)
    seeds, recipe = (2, Recipe(num_epochs=1)) if quick else (seeds, Recipe())
    for sentence in experiment.draws(folder, ratings, seeds, recipe, quiet):
        typer.echo(sentence)
    typer.echo(f"The table is in {folder}.")


@app.command()
def fidelity(
    seeds: Seeds = 10,
    quick: Quick = False,
    data: Data = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Price each departure of the printed code from formula and paper; write docs/fidelity.md."""
    from d2l_autorec.config import CHAPTER
    from d2l_autorec.experiments import fidelity as experiment

    folder, ratings = _begin("fidelity", out, quick, data, quiet)
    doc = Path("docs/fidelity.md") if out is None and not quick else folder / "fidelity.md"
    num_epochs = CHAPTER.num_epochs
    if quick:
        seeds, num_epochs = 2, 1
    experiment.fidelity(folder, ratings, doc, seeds, num_epochs, quiet)
    typer.echo(f"The ledger is {doc}; tables and figure are in {folder}.")
