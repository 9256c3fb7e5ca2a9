"""Made-up ratings of any size, shaped like MovieLens: for tests of scale, never for results.

Who rates how much, and which items are rated how often, has long tails. Each user has 20 ratings
and a Weibull-distributed number beyond; each item is rated once, and beyond that picked with a
Weibull-distributed popularity. The two shape parameters were chosen by the Gini coefficients and
the shares of the top 1, 10 and 50 % in MovieLens 100K and 1M; `benchmarks/marginals.py` measures
them in any ratings and in made-up ones of the same size.

A rating is a mean, a bias of its user, a bias of its item (which rises with popularity), the inner
product of two tastes and noise, rounded to stars, so that a model has something to learn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from d2l_autorec.data.formats import Ratings
from d2l_autorec.errors import InputError

LIKE = {
    "ml-100k": (943, 1682, 100_000),
    "ml-1m": (6040, 3706, 1_000_209),
    "ml-10m": (69_878, 10_677, 10_000_054),
    "ml-20m": (138_493, 26_744, 20_000_263),
}
"""Users, items and ratings of MovieLens's sets."""

MIN_ACTIVITY = 20  # GroupLens left out users with fewer ratings
MAX_ACTIVITY = 0.7  # of the items, for one user
ACTIVITY_SHAPE = 0.75  # Weibull
POPULARITY_SHAPE = 0.58  # Weibull
RANK = 10
MEAN, USER_BIAS, ITEM_BIAS, POPULARITY_PULL, TASTE, NOISE = 3.65, 0.45, 0.45, 0.2, 0.5, 0.85

_CHUNK = 1_000_000  # ratings made at a time; another number would give other ratings
_ROUNDS = 8

Chunk = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Synthetic:
    """Settings of made-up ratings. Equal settings give equal ratings.

    Every user and every item has at least one rating, and no pair has two. Raises an InputError if
    there cannot be as many ratings. With ``half_stars`` they are 0.5, 1, ... 5, else 1, 2, ... 5.
    """

    num_users: int
    num_items: int
    num_ratings: int
    seed: int = 0
    half_stars: bool = False

    @property
    def name(self) -> str:
        """The name of the data."""
        size = f"{self.num_users}x{self.num_items}-{self.num_ratings}"
        return f"synthetic-{size}{'-half' if self.half_stars else ''}-seed{self.seed}"

    def __post_init__(self) -> None:
        users, items, ratings = self.num_users, self.num_items, self.num_ratings
        if min(users, items) < 1:
            raise InputError(f"{users} users and {items} items: give at least one of each.")
        if not max(users, items) <= ratings <= users * items:
            raise InputError(
                f"--ratings is {ratings}; {users} users and {items} items, each with a rating and "
                f"no pair with two, need {max(users, items)} to {users * items}."
            )


def chunks(what: Synthetic) -> Iterator[Chunk]:
    """Make the ratings, user by user, about a million at a time.

    Yields arrays of users, items (int32, codes from 0; users rising, a user's items rising) and
    ratings (float32).
    """
    rng = np.random.default_rng(what.seed)
    counts = _activity(what, rng)
    popularity = rng.weibull(POPULARITY_SHAPE, what.num_items)
    popularity = np.maximum(popularity / popularity.sum(), 1e-9)
    bias = ITEM_BIAS * rng.standard_normal(what.num_items)
    standing = np.log(popularity)
    bias += POPULARITY_PULL * (standing - np.average(standing, weights=popularity))
    taste = rng.standard_normal((what.num_items, RANK), np.float32)
    # Each item gets one of all the places, so that none goes without a rating.
    ends = np.cumsum(counts)
    places = rng.permutation(rng.choice(what.num_ratings, what.num_items, replace=False))
    owner = np.searchsorted(ends, places, side="right")
    by_owner = np.argsort(owner, kind="stable")
    owner = owner[by_owner]

    first = 0
    while first < what.num_users:
        start = ends[first] - counts[first]
        stop = max(int(np.searchsorted(ends, start + _CHUNK, side="right")), first + 1)
        own = np.random.default_rng([what.seed, first])
        given = slice(*np.searchsorted(owner, [first, stop]))
        key = np.sort((owner[given] - first) * what.num_items + by_owner[given])
        user, item = np.divmod(_pick(counts[first:stop], popularity, key, own), what.num_items)
        user_bias = USER_BIAS * own.standard_normal(stop - first)
        of_user = own.standard_normal((stop - first, RANK), np.float32)
        value = MEAN + user_bias[user] + bias[item] + NOISE * own.standard_normal(len(user))
        value += TASTE / RANK**0.5 * np.einsum("ij,ij->i", of_user[user], taste[item])
        steps = 2 if what.half_stars else 1
        rating = np.clip(np.rint(value * steps), 1, 5 * steps) / steps
        yield (user + first).astype(np.int32), item.astype(np.int32), rating.astype(np.float32)
        first = stop


def _activity(what: Synthetic, rng: np.random.Generator) -> np.ndarray:
    """Draw the number of ratings of each user; they add up to the number asked for."""
    users, items, ratings = what.num_users, what.num_items, what.num_ratings
    least = max(min(MIN_ACTIVITY, ratings // (2 * users)), 1)
    most = int(MAX_ACTIVITY * items)
    if ratings > 0.5 * most * users:  # so dense that the tail has no room
        most = items
    excess = rng.weibull(ACTIVITY_SHAPE, users)
    room, left = float(most - least), float(ratings - least * users)
    excess *= left / excess.sum()
    while excess.max() > room:  # what is over goes to the others
        full = excess >= room
        excess[full] = room
        if full.all():
            break
        excess[~full] *= (left - room * full.sum()) / excess[~full].sum()
        if np.isclose(excess.max(), room):
            break
    total = np.rint(np.cumsum(np.minimum(excess, room))).astype(np.int64)
    total[-1] = int(left)
    return least + np.diff(total, prepend=0)


def _pick(
    counts: np.ndarray, popularity: np.ndarray, keys: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw ``counts[u]`` different items for each user, ``keys`` among them.

    A key is ``user * num_items + item``. Items are drawn with their popularity, and drawn anew
    where a user has them already; after some rounds, the few users who lack many of the items left
    get theirs in a race of exponential times, which is the same distribution.
    """
    num_items = len(popularity)
    shares = np.cumsum(popularity)
    for _ in range(_ROUNDS):
        missing = counts - np.bincount(keys // num_items, minlength=len(counts))
        user = np.repeat(np.arange(len(counts)), missing)
        draws = np.searchsorted(shares, rng.random(len(user)) * shares[-1], side="right")
        drawn = np.unique(user * num_items + np.minimum(draws, num_items - 1))
        # two sorted runs, which the stable sort only merges
        new = np.setdiff1d(drawn, keys, assume_unique=True)
        keys = np.sort(np.concatenate([keys, new]), kind="stable")
    missing = counts - np.bincount(keys // num_items, minlength=len(counts))
    more = [keys]
    for user in np.flatnonzero(missing):
        lo, hi = np.searchsorted(keys, [user * num_items, (user + 1) * num_items])
        times = rng.exponential(size=num_items) / popularity
        times[keys[lo:hi] - user * num_items] = np.inf
        more.append(user * num_items + np.argpartition(times, missing[user] - 1)[: missing[user]])
    return np.sort(np.concatenate(more))


def synthetic_ratings(
    num_users: int, num_items: int, num_ratings: int, seed: int = 0, half_stars: bool = False
) -> Ratings:
    """Make ratings in memory; see `Synthetic` for the parameters.

    Their ids are codes + 1, their name begins with "synthetic", their digest is of the three
    columns (int32, int32, float32).
    """
    import pandas as pd

    what = Synthetic(num_users, num_items, num_ratings, seed, half_stars)
    user, item, rating = (np.concatenate(column) for column in zip(*chunks(what)))
    digest = hashlib.sha256()
    for column, kind in ((user, "<i4"), (item, "<i4"), (rating, "<f4")):
        digest.update(column.astype(kind, copy=False).tobytes())
    columns = {"user": user, "item": item, "rating": rating}
    table = pd.DataFrame({**columns, "timestamp": np.zeros(len(user), np.int64)}, copy=False)
    ids = np.arange(1, num_users + 1), np.arange(1, num_items + 1)
    return Ratings(table, *ids, items=None, name=what.name, digest=digest.hexdigest())
