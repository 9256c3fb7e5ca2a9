"""Is 0.901 right? The chapter's run over many random splits.

Each run seeds both generators and then runs the book's own code: its split, its initial weights
and its training loop. The results hold the digest of each split's held-out row numbers. The row
numbers can be saved as well, so that another model can be scored on the same ratings
(`d2l_autorec.data.split.load_split`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from d2l_autorec import plots
from d2l_autorec.config import CHAPTER
from d2l_autorec.data.formats import Ratings
from d2l_autorec.data.split import save_split
from d2l_autorec.errors import refused
from d2l_autorec.experiments.experiment import Experiment, frame
from d2l_autorec.experiments.parts import split_rows
from d2l_autorec.experiments.reproduce import reproduce
from d2l_autorec.experiments.stats import interval, next_run, share_below

BOOK = float(CHAPTER.test_rmse)


def study(
    experiment: Experiment,
    ratings: Ratings,
    num_seeds: int = 30,
    num_epochs: int = CHAPTER.num_epochs,
    splits: Path | None = None,
) -> list[str]:
    """Run the chapter with the seeds 0, 1, ... and compare the results with the book's number.

    ``splits`` is a folder for the row numbers of each split, ``seed-0.npz`` and so on.
    """
    experiment.begin("study", f"--seeds {num_seeds}")
    if splits is not None:
        save_splits(splits, ratings, num_seeds)
    jobs = [{"num_epochs": num_epochs, "seed": seed} for seed in range(num_seeds)]
    runs = experiment.run(partial(run_one, ratings), jobs, ratings)
    return experiment.save(
        "The book prints a test RMSE of 0.901, from one split without a seed. Is that right?",
        answer(runs["test_rmse"]),
        {
            "data": ratings.name,
            "data digest": ratings.digest,
            "splits": f"the book's random split, seeds 0 to {num_seeds - 1}; splits.csv has the "
            "digest of each split's held-out row numbers, and --splits saves the numbers",
            "epochs": num_epochs,
            "score": "the book's evaluator: RMSE pooled over the held-out ratings, not clipped",
        },
        {"summary": summary(runs), "splits": runs[["seed", "test_rmse", "split_digest"]]},
        {"histogram": histogram(runs["test_rmse"].to_numpy())},
    )


def save_splits(folder: Path, ratings: Ratings, num_seeds: int) -> None:
    """Save the row numbers of the chapter's split for each seed."""
    with refused(f"--splits {folder} cannot be made", "name another folder"):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in range(num_seeds):
        save_split(folder / f"seed-{seed}.npz", *split_rows(ratings, "random", seed), ratings)


def run_one(ratings: Ratings, job: Mapping[str, Any]) -> dict[str, Any]:
    """Run the chapter with one seed."""
    done, _ = reproduce(ratings, int(job["seed"]), num_epochs=int(job["num_epochs"]), quiet=True)
    measured = ("test_rmse", "train_loss", "printed_train_loss", "split_digest")
    return {name: getattr(done, name) for name in measured}


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of the answer, and a few more, as a table."""
    rmse = runs["test_rmse"].to_numpy()
    center, (low, high) = interval(rmse), next_run(rmse)
    share, (least, most) = share_below(rmse, BOOK)
    printed = {f"{float(loss):.3f}" for loss in runs["printed_train_loss"]}
    rows = {
        "mean ± half-width of its 95% interval (runs)": center,
        "standard deviation over the splits": f"{center.sd:.4f}",
        "smallest and largest": f"{rmse.min():.4f} and {rmse.max():.4f}",
        "95% prediction interval of one more run": f"{low:.4f} to {high:.4f}",
        f"share of runs below {BOOK}": f"{share:.0%} ({least:.0%} to {most:.0%})",
        "train loss as d2l prints it": ", ".join(sorted(printed)),
        "train loss, mean of a batch": interval(runs["train_loss"]),
    }
    return frame(["of the chapter's run", "value"], list(rows.items()))


def answer(test_rmse: np.ndarray | pd.Series) -> list[str]:
    """Compare the book's number with the runs."""
    rmse = np.asarray(test_rmse, float)
    center, (low, high) = interval(rmse), next_run(rmse)
    share, (least, most) = share_below(rmse, BOOK)
    above = (BOOK - center.mean) / center.sd
    where, usual = "outside", "not a typical result"
    if low <= BOOK <= high:
        where, usual = "within", "a typical result"
    return [
        f"The chapter's code has a test RMSE of {center} over random splits, with a standard "
        f"deviation of {center.sd:.4f}. The 95% prediction interval of one more run is {low:.4f} "
        f"to {high:.4f}.",
        f"The book's {BOOK} is {usual}: it lies {where} that interval, {abs(above):.1f} standard "
        f"deviations {'above' if above > 0 else 'below'} the mean, and {share:.0%} of the runs "
        f"({least:.0%} to {most:.0%}) are below it.",
    ]


def histogram(rmse: np.ndarray) -> Figure:
    """Draw the RMSEs of the runs beside the book's."""
    center, (low, high) = interval(rmse), next_run(rmse)
    figure, (axes,) = plots.frame(4.6)
    width = 0.0025
    ends = np.arange(
        np.floor(min(rmse.min(), low, BOOK) / width), np.ceil(max(rmse.max(), BOOK) / width) + 1
    )
    axes.hist(rmse, bins=list(ends * width), color=plots.OTHER, edgecolor="white", zorder=2)
    axes.plot(rmse, np.full(len(rmse), -0.2), "|", color=plots.OTHER, ms=9)
    label = f"mean and its 95% interval: {center.mean:.4f} ± {center.half_width:.4f}"
    mean = (center.low, center.high)
    axes.axvspan(*mean, color=plots.AUTOREC, alpha=0.3, lw=0, zorder=1, label=label)
    axes.axvline(center.mean, color=plots.AUTOREC, lw=1.5, zorder=3)
    plots.book_line(axes)
    label = f"95% prediction interval of one more run: {low:.3f} to {high:.3f}"
    axes.axvspan(low, high, ymax=0.03, color="tab:green", alpha=0.6, lw=0, label=label)
    axes.set(xlabel="test RMSE after 25 epochs", ylabel="runs")
    axes.set(title=f"The chapter's run on {len(rmse)} random splits of MovieLens 100K")
    axes.set_ylim(bottom=-0.45)
    axes.locator_params(axis="y", integer=True)
    axes.grid(False)
    plots.legend(figure, axes, 1)
    return figure
