"""The commands ``study``, ``compare``, ``canonical``, ``exercises``, ``draws``, ``fidelity``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from d2l_autorec.cli.common import Data, Quiet, app

if TYPE_CHECKING:
    from d2l_autorec.data.formats import Ratings

Seeds = Annotated[int, typer.Option(min=2, help="Random splits: seeds 0, 1, ...")]
Quick = Annotated[
    bool, typer.Option("--quick", help="A smoke run of less than a minute, without a conclusion.")
]
Folder = Annotated[
    Optional[Path],
    typer.Option("--out", help="Folder of the results; runs stored there are read. runs/NAME."),
]
SplitRows = Annotated[
    Optional[Path], typer.Option(help="Folder for the row numbers of each split.")
]
Ledger = Annotated[
    Optional[Path], typer.Option(help="The ledger. FOLDER/fidelity.md if left out.")
]


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


def _load(data: Path | None, quiet: bool) -> Ratings:
    from d2l_autorec.data.sources import load_ml100k

    return load_ml100k(data, quiet=quiet)


@app.command()
def study(
    seeds: Seeds = 30,
    splits: SplitRows = None,
    quick: Quick = False,
    data: Data = None,
    out: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Run the chapter on many splits and compare with its 0.901 (about 4 minutes on two cores)."""
    from d2l_autorec.config import CHAPTER
    from d2l_autorec.experiments import study as experiment

    folder = begin("study", out, quick)
    seeds, epochs = (2, 1) if quick else (seeds, CHAPTER.num_epochs)
    end(
        folder,
        experiment.study(folder, _load(data, quiet), seeds, epochs, splits, quiet, quick),
    )


@app.command()
def compare(
    splits: Annotated[int, typer.Option(min=2, help="Random splits: seeds 0, 1, ...")] = 10,
    quick: Quick = False,
    data: Data = None,
    out: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Compare AutoRec with matrix factorization and others (about 45 minutes on two cores)."""
    from d2l_autorec.experiments import compare as experiment
    from d2l_autorec.experiments.contenders import QUICK

    folder = begin("compare", out, quick)
    splits, names = (2, QUICK) if quick else (splits, None)
    end(folder, experiment.compare(folder, _load(data, quiet), splits, names, quiet, quick))


@app.command()
def canonical(
    blends: Annotated[
        int, typer.Option(min=1, help="Splits for the blend, from u1 on; stored ones count too.")
    ] = 7,
    quick: Quick = False,
    data: Data = None,
    out: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Score all models on the splits u1 to u5, ua and ub (about 8 minutes on two cores)."""
    from d2l_autorec.experiments import canonical as experiment

    folder = begin("canonical", out, quick)
    splits, names = (("u1",), experiment.QUICK) if quick else (experiment.CANONICAL, None)
    ratings = _load(data, quiet)
    end(folder, experiment.canonical(folder, ratings, splits, names, blends, quiet, quick))


@app.command()
def exercises(
    seeds: Seeds = 5,
    quick: Quick = False,
    data: Data = None,
    out: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Answer the chapter's three exercises (about 30 minutes on two cores)."""
    from d2l_autorec.experiments import exercises as experiment

    folder = begin("exercises", out, quick)
    plan, max_epochs = experiment.networks(), experiment.MAX_EPOCHS
    if quick:
        plan = experiment.networks((2, 4), (2, 4), ("identity", "sigmoid"))
        max_epochs, seeds = 2, 2
    ratings = _load(data, quiet)
    end(folder, experiment.exercises(folder, ratings, seeds, plan, max_epochs, quiet, quick))


@app.command()
def draws(
    seeds: Seeds = 30,
    quick: Quick = False,
    data: Data = None,
    out: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Compare NumPy's random draws with MXNet's in the sparse engine (about 1 minute)."""
    from d2l_autorec.experiments import draws as experiment
    from d2l_autorec.models.recipe import Recipe

    folder = begin("draws", out, quick)
    seeds, recipe = (2, Recipe(num_epochs=1)) if quick else (seeds, Recipe())
    ratings = _load(data, quiet)
    end(folder, experiment.draws(folder, ratings, seeds, recipe, quiet, quick))


@app.command()
def fidelity(
    seeds: Seeds = 10,
    ledger: Ledger = None,
    quick: Quick = False,
    data: Data = None,
    out: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Measure each departure of the printed code (about 7 minutes on two cores)."""
    from d2l_autorec.config import CHAPTER
    from d2l_autorec.experiments import fidelity as experiment

    folder = begin("fidelity", out, quick)
    doc = None if quick else ledger or folder / "fidelity.md"
    seeds, num_epochs = (2, 1) if quick else (seeds, CHAPTER.num_epochs)
    ratings = _load(data, quiet)
    end(folder, experiment.fidelity(folder, ratings, doc, seeds, num_epochs, quiet, quick))
    if doc is not None:
        typer.echo(f"The ledger is {doc}.")
