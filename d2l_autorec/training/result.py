"""The outcome of a training run, and what its folder says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.models.biases import fit_biases
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.plan import Plan

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """The outcome of a training run.

    Attributes
    ----------
    test_rmse : float
        Pooled RMSE of the model over the held-out ratings, in the ratings' unit.
    mean_rmse, biases_rmse : float
        The same of the mean of all training ratings, and of plain user and item biases, each
        averaged with ten ratings of no effect.
    val_rmse : float or None
        The same over the validation ratings, where there are some, before a refit.
    epoch : int or None
        The last one, or the best on validation; None where there are several networks.
    train_loss : float
        Mean batch loss of that epoch, or of the last one where there are several networks.
    networks : int
        How many the model has.
    seconds, total_seconds : float
        Training alone, over all epochs run; and from the split on, evaluation included.
    num_train, num_val, num_test : int
        Ratings. With a refit, those for validation are trained on too.
    draws : {"mxnet", "numpy"}
        Where random numbers came from.
    data_digest, split_digest : str
        SHA-256 of the ratings file and of the held-out row numbers.
    gain : float or None
        The first network's, where it is damped; see `d2l_autorec.models.biases.Scale`.
    single_users : float
        Share of the users with training ratings who have only one.
    computed_with : sequence of (int, int)
        Numbers of threads and of workers: the first ones, and each time that they changed.
    """

    test_rmse: float
    mean_rmse: float
    biases_rmse: float
    val_rmse: float | None
    epoch: int | None
    train_loss: float
    networks: int
    seconds: float
    total_seconds: float
    num_train: int
    num_val: int
    num_test: int
    draws: str
    data_digest: str
    split_digest: str
    gain: float | None = None
    single_users: float = 0.0
    computed_with: Sequence[tuple[int, int]] = ()

    def warning(self) -> str | None:
        """Say by what the model is not beaten, and why that may be; None where it is good."""
        told = []
        others = {"the mean rating": self.mean_rmse}
        others["plain user and item biases"] = self.biases_rmse
        if beaten := [name for name, rmse in others.items() if self.test_rmse >= rmse]:
            told.append(f"The model is no better than {' and than '.join(beaten)}.")
        if self.single_users > 0.5:
            told.append(
                f"{100 * self.single_users:.0f} % of the users have one training rating: about "
                "them there is nothing to learn, and no model can be much better than biases."
            )
        return " ".join(told) or None


def record(plan: Plan, result: Result) -> dict[str, Any]:
    """Return what ``run.json`` and ``--json`` hold."""
    draws = "seeded for each epoch" if plan.checkpoint_every else "the book's"
    if plan.recipe.parts[0].draws != "book" and not plan.checkpoint_every:
        draws = "seeded for each network"
    return {"command": "train", "plan": plan.to_dict(), "draws": draws, "result": asdict(result)}


def history_table(history: Sequence[Epoch]) -> tuple[list[str], list[list[Any]]]:
    """Return columns and rows of ``history.csv``: an RMSE's column says what it is over."""
    found: dict[str, list[Any]] = {
        "epoch": [e.epoch for e in history],
        "train_loss": [e.train_loss for e in history],
        "test_rmse": [e.rmse if e.scored == "test" else None for e in history],
        "val_rmse": [e.rmse if e.scored == "validation" else None for e in history],
        "seconds": [e.seconds for e in history],
    }
    # an RMSE that no epoch has gets no column
    kept = {name: column for name, column in found.items() if set(column) != {None}}
    if len({(e.network, e.refit) for e in history}) > 1:
        kept["network"] = [e.network for e in history]
        kept["refit"] = [int(e.refit) for e in history]
    return list(kept), [list(row) for row in zip(*kept.values())]


def pooled_rmse(predicted: np.ndarray, stars: np.ndarray) -> float:
    """Return the root of the mean squared error over all ratings, in double precision."""
    return float(np.sqrt(np.mean(np.square(np.asarray(predicted, float) - stars))))


def baselines(
    table: pd.DataFrame, shape: tuple[int, int], test: pd.DataFrame
) -> tuple[float, float]:
    """Return the test RMSE of the training ratings' mean, and of plain user and item biases."""
    items, users, ratings = (table[name].to_numpy() for name in ("item", "user", "rating"))
    mean, of_item, of_user = fit_biases(items, users, ratings, (shape[1], shape[0]))
    stars = test["rating"].to_numpy()
    guess = mean + of_item[test["item"].to_numpy()] + of_user[test["user"].to_numpy()]
    return pooled_rmse(np.full(len(stars), mean), stars), pooled_rmse(guess, stars)
