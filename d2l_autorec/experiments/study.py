"""Is 0.901 right? The chapter's run, over many splits.

Each run is the book's own code from the seed on: its split, its weights, its loop. A split is
published by the digest of its held-out row numbers; the numbers themselves can be kept, so that
another model can be scored on exactly these ratings (`d2l_autorec.data.split.load_split`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.config import CHAPTER
from d2l_autorec.experiments.runner import run_jobs, save_results
from d2l_autorec.experiments.stats import interval, next_run, share_below
from d2l_autorec.runtime import seed_everything

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from d2l_autorec.data.formats import Ratings

BOOK = float(CHAPTER.test_rmse)


def study(
    folder: Path,
    ratings: Ratings,
    num_seeds: int = 30,
    num_epochs: int = CHAPTER.num_epochs,
    splits: Path | None = None,
    quiet: bool = False,
) -> list[str]:
    """Run the chapter with the seeds 0, 1, ..., and say where the book's number lies.

    Parameters
    ----------
    folder : Path
        For the results; what is there is not run again.
    ratings : Ratings
        MovieLens 100K.
    num_seeds, num_epochs : int
    splits : Path, optional
        Folder in which to keep the row numbers of each split, ``seed-0.npz`` and so on.
    quiet : bool
        Show no progress.

    Returns
    -------
    list of str
        The answer.
    """
    if splits is not None:
        save_splits(splits, ratings, num_seeds)
    jobs = [{"num_epochs": num_epochs, "seed": seed} for seed in range(num_seeds)]
    runs = run_jobs(
        folder, partial(run_one, ratings), jobs, data_digest=ratings.digest, label="study",
        quiet=quiet,
    )  # fmt: skip
    told = answer(runs["test_rmse"])
    save_results(
        folder,
        f"d2l-autorec study --seeds {num_seeds}",
        "The book prints a test RMSE of 0.901, from one split without a seed. Is that right?",
        told,
        {
            "data": ratings.name,
            "data digest": ratings.digest,
            "splits": f"the book's random split, seeds 0 to {num_seeds - 1}; splits.csv has the "
            "digest of each one's held-out row numbers, and --splits keeps the numbers",
            "epochs": num_epochs,
            "score": "as the book's evaluator has it: pooled over the held-out ratings, unclipped",
        },
        {"summary": summary(runs), "splits": runs[["seed", "test_rmse", "split_digest"]]},
        {"histogram": histogram(runs["test_rmse"].to_numpy())},
    )
    return told


def save_splits(folder: Path, ratings: Ratings, num_seeds: int) -> None:
    """Keep the row numbers of the chapter's split for each seed."""
    from d2l_autorec.data.split import random_split, save_split
    from d2l_autorec.errors import InputError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--splits {folder} cannot be made ({error.strerror}); name another folder."
        ) from None
    for seed in range(num_seeds):
        seed_everything(seed)
        rows = random_split(ratings.table, CHAPTER.test_ratio)
        save_split(folder / f"seed-{seed}.npz", *rows, ratings)


def run_one(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, Any]:
    """Do the chapter's run with one seed."""
    from d2l_autorec.experiments.reproduce import reproduce

    done, _ = reproduce(ratings, int(job["seed"]), num_epochs=int(job["num_epochs"]), quiet=True)
    return {
        "test_rmse": done.test_rmse,
        "train_loss": done.train_loss,
        "printed_train_loss": done.printed_train_loss,
        "split_digest": done.split_digest,
    }


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate what the answer says, and its neighbours."""
    import pandas as pd

    rmse = runs["test_rmse"].to_numpy()
    center, (low, high) = interval(rmse), next_run(rmse)
    share, (least, most) = share_below(rmse, BOOK)
    return pd.DataFrame(
        [
            ("mean ± half-width of its 95% interval (runs)", str(center)),
            ("standard deviation over the splits", f"{center.sd:.4f}"),
            ("smallest and largest", f"{rmse.min():.4f} and {rmse.max():.4f}"),
            ("where one more run ends, with 95%", f"{low:.4f} to {high:.4f}"),
            (f"share of runs below {BOOK}", f"{share:.0%} ({least:.0%} to {most:.0%})"),
            ("train loss as d2l prints it", ", ".join(sorted(set(_printed(runs))))),
            ("train loss, mean of a batch", str(interval(runs["train_loss"]))),
        ],
        columns=["of the chapter's run", "value"],
    )


def _printed(runs: pd.DataFrame) -> list[str]:
    return [f"{float(loss):.3f}" for loss in runs["printed_train_loss"]]


def answer(test_rmse: np.ndarray | pd.Series) -> list[str]:
    """Say where the book's number lies among the runs."""
    rmse = np.asarray(test_rmse, float)
    center, (low, high) = interval(rmse), next_run(rmse)
    share, (least, most) = share_below(rmse, BOOK)
    above = (BOOK - center.mean) / center.sd
    where = "within" if low <= BOOK <= high else "outside"
    usual = "an ordinary draw" if low <= BOOK <= high else "no ordinary draw"
    return [
        f"The chapter's code ends at {center} over splits, with a standard deviation of "
        f"{center.sd:.4f}; one more run ends between {low:.4f} and {high:.4f} with 95%.",
        f"The book's {BOOK} is {usual}: it lies {where} that range, {abs(above):.1f} standard "
        f"deviations {'above' if above > 0 else 'below'} the mean, and {share:.0%} of the runs "
        f"({least:.0%} to {most:.0%}) end below it.",
    ]


def histogram(rmse: np.ndarray) -> Figure:
    """Draw the runs' RMSEs, with the book's on them."""
    from matplotlib.figure import Figure

    center, (low, high) = interval(rmse), next_run(rmse)
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    width = 0.0025
    ends = np.arange(
        np.floor(min(rmse.min(), low, BOOK) / width), np.ceil(max(rmse.max(), BOOK) / width) + 1
    )
    axes.hist(rmse, bins=list(ends * width), color="tab:blue", edgecolor="white", zorder=2)
    axes.plot(rmse, np.full(len(rmse), -0.2), "|", color="tab:blue", ms=9)
    axes.axvspan(
        center.low, center.high, color="tab:orange", alpha=0.3, lw=0, zorder=1,
        label=f"mean and its 95% interval: {center.mean:.4f} ± {center.half_width:.4f}",
    )  # fmt: skip
    axes.axvline(center.mean, color="tab:orange", lw=1.5, zorder=3)
    axes.axvline(BOOK, color="black", ls="--", zorder=3, label=f"the book: {BOOK}")
    axes.axvspan(
        low, high, ymax=0.03, color="tab:green", alpha=0.6, lw=0,
        label=f"where one more run ends, with 95%: {low:.3f} to {high:.3f}",
    )  # fmt: skip
    axes.set(
        xlabel="test RMSE after 25 epochs", ylabel="runs",
        title=f"The chapter's run on {len(rmse)} random splits of MovieLens 100K",
    )  # fmt: skip
    axes.set_ylim(bottom=-0.45)
    axes.locator_params(axis="y", integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside lower center", fontsize=9)
    return figure
