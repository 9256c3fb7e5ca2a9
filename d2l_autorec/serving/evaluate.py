"""How good a saved model is on ratings that it has not seen: errors, and rankings at k."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from d2l_autorec.data.formats import Ratings
from d2l_autorec.errors import InputError
from d2l_autorec.evaluation.ranking import MEASURES, ir_measures, rank_users
from d2l_autorec.models.biases import fit_biases
from d2l_autorec.serving.held_out import ERRORS_OF, HeldOut
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.recommend import best_unrated

RANKINGS_OF = ("model", "biases", "popularity")
RELEVANT_SHARE = 0.75
"""Where on the scale, from its lowest to its highest rating, an item begins to be relevant."""

_CELLS = 4 * 1024**2  # predictions held at once, for each of the rankings


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model's score on a file of test ratings.

    Attributes
    ----------
    num_ratings, num_users, num_items : int
        In the test ratings.
    unknown_users, unknown_items, unknown_ratings : int
        Of these, the users and the items that have no training rating in the model, and the test
        ratings of such a user or item.
    errors : dict of dict
        For each of `ERRORS_OF`: ``rmse`` and ``mae`` over all test ratings, in the ratings' unit,
        and ``rmse_known``, over those of known users and known items; nan where there are none.
    k : int
        Length of the lists; 0 where no ranking was asked for.
    relevant : float
        The lowest rating of a relevant item.
    ranked_users : int
        Known users with a relevant test rating: the ranking measures are means over these.
    rankings : dict of dict
        For each of `RANKINGS_OF`: ``ndcg``, ``recall``, ``mrr``, and ``coverage``, the share of
        the items with training ratings that are on at least one user's list.
    per_user : pandas.DataFrame
        A row for each user of the test ratings: ``user``, ``training_ratings``, ``test_ratings``,
        ``rmse`` and ``mae`` of the model, ``biases_rmse``, ``mean_rmse``, and with a ranking
        ``relevant``, the number of relevant items, and the model's `MEASURES`, which are missing
        for users who are not ranked.
    """

    num_ratings: int
    num_users: int
    num_items: int
    unknown_users: int
    unknown_items: int
    unknown_ratings: int
    errors: dict[str, dict[str, float]]
    k: int
    relevant: float
    ranked_users: int
    rankings: dict[str, dict[str, float]]
    per_user: pd.DataFrame

    def as_json(self) -> dict[str, Any]:
        """Return all but the users' rows as JSON can hold it."""
        said = {name: value for name, value in vars(self).items() if name != "per_user"}
        said["errors"] = {
            name: {key: None if np.isnan(value) else value for key, value in errors.items()}
            for name, errors in self.errors.items()
        }
        return said


def evaluate(
    model: Model,
    test: Ratings,
    k: int = 10,
    relevant: float | None = None,
    advance: Callable[[int], object] = lambda users: None,
) -> Evaluation:
    """Score a model on test ratings, beside the mean, user and item biases, and popularity.

    A user or an item that the model lacks is predicted as the biases do: the training mean, plus
    the bias of the other side where that is known. The ranked candidates are the items with
    training ratings, without those that the user has rated in training; a relevant item that is
    no candidate counts as missed.

    Parameters
    ----------
    k : int
        Length of the lists; 0 for no ranking.
    relevant : float, optional
        The lowest rating of a relevant item. By default three quarters up the model's scale, which
        is 4 on a scale of 1 to 5.
    advance : callable
        Told how many more users have been ranked.

    Raises
    ------
    InputError
        If k is negative, a library is missing, no test rating is relevant, or the model was
        trained on some of the test ratings.
    """
    if k < 0:
        raise InputError(f"-k is {k}; give the length of the lists, or 0 for no ranking.")
    if k:
        ir_measures()
    if relevant is None:
        relevant = model.low + RELEVANT_SHARE * (model.high - model.low)
    held_out = HeldOut.of(model, test)
    held_out.check_unseen(model, test.name)
    wanted = held_out.relevant(relevant) if k else {}
    if k and not wanted:
        raise InputError(
            f"{test.name} has no rating of {relevant:g} or more by a user whom the model knows, "
            "so that nothing is relevant; give another --relevant, or -k 0 for no ranking."
        )
    at = model.ratings.tocoo()
    biases = fit_biases(at.row, at.col, at.data.astype(float), model.ratings.shape)
    guesses = predictions(model, held_out, biases)
    lists = _lists(model, list(wanted), biases[1], k, advance)
    values = {name: rank_users(each, wanted, k) for name, each in lists.items()}
    return Evaluation(
        num_ratings=len(held_out.stars),
        num_users=test.num_users,
        num_items=test.num_items,
        unknown_users=int((~held_out.user_known).sum()),
        unknown_items=int((~held_out.item_known).sum()),
        unknown_ratings=int((~held_out.known).sum()),
        errors={name: _errors(guess, held_out) for name, guess in guesses.items()},
        k=k,
        relevant=float(relevant),
        ranked_users=len(wanted),
        rankings={name: _ranking(model, each, lists[name]) for name, each in values.items()},
        per_user=_per_user(model, test, held_out, guesses, wanted, values.get("model", {})),
    )


def predictions(
    model: Model, held_out: HeldOut, fitted: tuple[float, np.ndarray, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return what each of `ERRORS_OF` predicts, given what `fit_biases` has returned.

    The model's own predictions are clipped to its range.
    """
    mean, of_item, of_user = fitted
    users, items = held_out.users, held_out.items
    biases = mean + np.where(users < 0, 0, of_user[users]) + np.where(items < 0, 0, of_item[items])
    guess = biases.copy()
    both = (users >= 0) & (items >= 0)
    guess[both] = model.trained.score_pairs(users[both], items[both])
    guess = guess.clip(model.low, model.high)
    return dict(zip(ERRORS_OF, (guess, biases, np.full(len(users), mean))))


def _errors(guess: np.ndarray, held_out: HeldOut) -> dict[str, float]:
    missed = guess - held_out.stars
    known = missed[held_out.known]
    return {
        "rmse": float(np.sqrt(np.mean(missed**2))),
        "mae": float(np.abs(missed).mean()),
        "rmse_known": float(np.sqrt(np.mean(known**2))) if len(known) else float("nan"),
    }


def _lists(
    model: Model, users: list[int], of_item: np.ndarray, k: int, advance: Callable[[int], object]
) -> dict[str, dict[int, list[int]]]:
    """Return the k best unrated items of each user, as each of `RANKINGS_OF` has them."""
    if not k:
        return {}
    counts = model.trained.counts("item")
    lists: dict[str, dict[int, list[int]]] = {name: {} for name in RANKINGS_OF}
    step = max(1, _CELLS // len(counts))
    for start in range(0, len(users), step):
        some = np.array(users[start : start + step])
        scored = model.trained.score_users(some), of_item, counts.astype(float)
        for own, scores in zip(lists.values(), scored):
            scores = np.broadcast_to(scores, (len(some), len(counts))).copy()
            row, item, _ = best_unrated(model, some, scores, counts == 0, k)
            ends = np.cumsum(np.bincount(row, minlength=len(some)))[:-1]
            for user, best in zip(some.tolist(), np.split(item, ends)):
                own[user] = best.tolist()
        advance(len(some))
    return lists


def _ranking(
    model: Model, values: dict[int, dict[str, float]], lists: dict[int, list[int]]
) -> dict[str, float]:
    """Return the means of `MEASURES`, and the coverage."""
    means = {key: float(np.mean([each[key] for each in values.values()])) for key in MEASURES}
    shown = {item for best in lists.values() for item in best}
    return {**means, "coverage": len(shown) / int((model.trained.counts("item") > 0).sum())}


def _per_user(
    model: Model,
    test: Ratings,
    held_out: HeldOut,
    guesses: dict[str, np.ndarray],
    wanted: dict[int, list[int]],
    values: dict[int, dict[str, float]],
) -> pd.DataFrame:
    number = np.bincount(held_out.test_user, minlength=test.num_users)

    def mean(of_rating: np.ndarray) -> np.ndarray:
        return np.bincount(held_out.test_user, of_rating, test.num_users) / number

    missed = {name: guess - held_out.stars for name, guess in guesses.items()}
    trained = np.where(held_out.user_known, model.trained.counts("user")[held_out.user_code], 0)
    columns: dict[str, Any] = {
        "user": test.user_ids,
        "training_ratings": trained,
        "test_ratings": number,
        "rmse": np.sqrt(mean(missed["model"] ** 2)),
        "mae": mean(np.abs(missed["model"])),
        "biases_rmse": np.sqrt(mean(missed["biases"] ** 2)),
        "mean_rmse": np.sqrt(mean(missed["mean"] ** 2)),
    }
    codes = held_out.user_code.tolist()
    if wanted:
        columns["relevant"] = [len(wanted.get(code, ())) for code in codes]
        for key in MEASURES:
            columns[key] = [values[code][key] if code in values else None for code in codes]
    return pd.DataFrame(columns)
