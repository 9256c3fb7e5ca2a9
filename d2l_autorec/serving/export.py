"""A model as an ONNX file, checked against MXNet and `recommend` before it is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from d2l_autorec import runs
from d2l_autorec.errors import InputError
from d2l_autorec.models.network import Network
from d2l_autorec.packages import require
from d2l_autorec.serving.model import Model, flat_arrays
from d2l_autorec.serving.onnx_graph import onnx_graph, reads_rows
from d2l_autorec.serving.recommend import best_columns, recommend

TOLERANCE = 1e-5  # of scores up to 10; beyond, 1e-6 of the largest, as float32 has no more digits
LIST = 10  # items of a user's list that is compared

_MAX_BYTES = 2**31 - 2**20  # Protocol Buffers end at 2 GiB
_BATCH = 256
_NUM_PAIRS = 50_000  # that a model of pairs is compared with MXNet on
_LISTED_PAIRS = 5_000_000  # of which the lists of a model of pairs are made, at most
_PAIRS_AT_ONCE = 2**16


@dataclass(frozen=True)
class Checked:
    """How closely an ONNX file agrees with MXNet and `recommend`.

    Attributes
    ----------
    difference : float
        The largest one between the scores of onnxruntime and those of MXNet, before clipping.
    num_users : int
        Users whose ten best items are those of `recommend`.
    ties : int
        Of these, users in whose list items of equal score, up to rounding, are in another order.
    """

    difference: float
    num_users: int
    ties: int

    def __str__(self) -> str:
        ties = f", {self.ties:,} times with equal scores in another order" if self.ties else ""
        return (
            f"predicts what MXNet does, to {self.difference:.1e} at most\n"
            f"The {LIST} best items of {self.num_users:,} users are those of recommend{ties}"
        )


def export_onnx(model: Model, path: str | Path) -> Checked:
    """Write a model as an ONNX file, after checking its results in onnxruntime against MXNet's.

    A single network that reads ratings as they are becomes a graph with the input ``ratings``,
    float32, (batch, num_inputs): zero where there is no rating. Any other model, a blend for one,
    becomes a graph with the inputs ``users`` and ``items``, int64, (batch,). They are codes:
    places in the sorted ids. The hidden codes of the ratings trained on are in the file.

    The outputs are float32, (batch, num_inputs) or (batch,): ``score`` is what `recommend` ranks
    by; ``rating`` is the prediction, clipped to the rating range. Rank by ``score``: many
    predictions may be clipped to the same value. The file's metadata is what
    `d2l_autorec.serving.onnx_graph.describe` says.

    Parameters
    ----------
    model : Model
    path : str or Path
        What was there is replaced, when the new file is complete.

    Returns
    -------
    Checked
        Scores are compared over all rows that the model was trained on, or over 50,000 pairs of
        user and item. The lists of all users are compared; for a model of pairs, those of as many
        users as have 5 million pairs with all items.

    Raises
    ------
    InputError
        If onnx or onnxruntime is missing, the weights exceed ONNX's 2 GiB, the scores differ from
        MXNet's by 1e-5 or more (for scores beyond 10, by 1e-6 of the largest), a user's list is
        another one than from `recommend`, or the file cannot be written; nothing is written then.
    """
    _, onnxruntime = (require(name, "onnx", "--onnx") for name in ("onnx", "onnxruntime"))
    if sum(values.nbytes for values in flat_arrays(model.trained).values()) > _MAX_BYTES:
        raise InputError(f"{path} would exceed ONNX's 2 GiB; export with --safetensors.")
    content = onnx_graph(model).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    check = _check_rows if reads_rows(model) else _check_pairs
    difference, largest, users, best = check(session, model)
    limit = max(TOLERANCE, 1e-6 * max(largest, abs(model.low), abs(model.high)))
    if not difference < limit:
        raise InputError(
            f"{path} was not written: onnxruntime's predictions differ from MXNet's by "
            f"{difference:.1e}; report this with your model's architecture."
        )
    others, ties = _compare_lists(model, users, best, 2 * limit)
    if others:
        raise InputError(
            f"{path} was not written: for {others:,} of {len(users):,} users it recommends other "
            "items than recommend; report this with your model's architecture."
        )
    runs.write(Path(path), content)
    return Checked(difference, len(users), ties)


# What a check returns: the largest difference from MXNet, the largest score, the codes of the
# users whose lists it made, and these lists: items (len(users), LIST), -1 where there is none.
_Check = tuple[float, float, np.ndarray, np.ndarray]


def _check_rows(session: Any, model: Model) -> _Check:
    network, inputs = model.trained.networks[0], model.trained.inputs[0]
    difference = largest = 0.0
    users = np.arange(len(model.user_ids))
    lists = _Lists(model, users)
    for start, batch, expected in _mxnet_batches(network, inputs):
        [seen] = session.run(["score"], {"ratings": batch})
        # max() of Python would pass over a NaN
        difference = float(np.maximum(difference, np.abs(seen - expected).max()))
        largest = float(np.maximum(largest, np.abs(expected).max()))
        if network.by == "user":
            lists.add_users(start, seen)
        else:
            lists.add_items(start, seen.T)
    return difference, largest, users, lists.best


def _check_pairs(session: Any, model: Model) -> _Check:
    trained = model.trained
    num_items, num_users = trained.ratings.shape
    draws = np.random.default_rng(0)
    users = draws.integers(0, num_users, _NUM_PAIRS)
    items = draws.integers(0, num_items, _NUM_PAIRS)

    def stars(k: int) -> np.ndarray:
        network, raw = trained.networks[k], np.empty(_NUM_PAIRS)
        rows, cols = network.rows_and_cols(users, items)
        for start, batch, said in _mxnet_batches(network, trained.inputs[k]):
            here = np.flatnonzero((rows >= start) & (rows < start + len(batch)))
            raw[here] = said[rows[here] - start, cols[here]]
        return network.to_stars(raw, rows, cols)

    expected = trained.combine(stars, users, items)
    [seen] = session.run(["score"], {"users": users, "items": items})
    difference, largest = np.abs(seen - expected).max(), np.abs(expected).max()
    count = min(num_users, max(1, _LISTED_PAIRS // num_items))
    listed = np.sort(draws.choice(num_users, count, replace=False))
    lists, step = _Lists(model, listed), max(1, _PAIRS_AT_ONCE // num_items)
    for start in range(0, count, step):
        some = listed[start : start + step]
        pairs = np.repeat(some, num_items), np.tile(np.arange(num_items), len(some))
        [score] = session.run(["score"], dict(zip(("users", "items"), pairs)))
        lists.add_users(start, score.reshape(len(some), num_items))
    return float(difference), float(largest), listed, lists.best


def _mxnet_batches(network: Network, inputs: Any) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield batches of rows, each after the number of its first and before what MXNet predicts."""
    import mxnet as mx

    from d2l_autorec.models.autorec import to_net

    net = to_net(network.recipe.architecture, network.weights)
    for start in range(0, inputs.shape[0], _BATCH):
        batch = inputs[start : start + _BATCH].toarray()  # (batch, num_inputs)
        yield start, batch, net(mx.np.array(batch)).asnumpy()


class _Lists:
    """The best items of some users, collected from scores by user or by item."""

    def __init__(self, model: Model, users: np.ndarray) -> None:
        self.seen = model.trained.oriented("user")[users].astype(bool)  # what is stored is rated
        self.seen.data[:] = True
        self.unrated = model.trained.counts("item") == 0
        self.best = np.full((len(users), LIST), -1)
        self.scores = np.full((len(users), LIST), -np.inf, np.float32)

    def add_users(self, start: int, scores: np.ndarray) -> None:
        """Take in all items' scores for the users from `start` on, (users, items)."""
        self._add(slice(start, start + len(scores)), 0, scores)

    def add_items(self, start: int, scores: np.ndarray) -> None:
        """Take in all users' scores for the items from `start` on, (users, items)."""
        self._add(slice(None), start, scores)

    def _add(self, users: slice, first: int, scores: np.ndarray) -> None:
        end = first + scores.shape[1]
        items = np.arange(first, end)
        left_out = self.seen[users, first:end].toarray() | self.unrated[first:end]
        codes = np.hstack([self.best[users], np.broadcast_to(items, scores.shape)])
        scores = np.hstack([self.scores[users], np.where(left_out, -np.inf, scores)])
        row, col, rank = best_columns(scores, LIST)
        best, kept = np.full((len(scores), LIST), -1), np.full((len(scores), LIST), -np.inf)
        best[row, rank - 1], kept[row, rank - 1] = codes[row, col], scores[row, col]
        self.best[users], self.scores[users] = best, kept


def _compare_lists(
    model: Model, users: np.ndarray, best: np.ndarray, tolerance: float
) -> tuple[int, int]:
    """Count the users whose list differs from that of `recommend`, and those with ties alone."""
    table = recommend(model, model.user_ids[users], LIST)
    expected = np.full_like(best, -1)
    place = np.searchsorted(model.user_ids[users], table["user"].to_numpy())
    items = np.searchsorted(model.item_ids, table["item"].to_numpy())
    expected[place, table["rank"].to_numpy() - 1] = items
    row, rank = np.nonzero(best != expected)
    ours, theirs = best[row, rank], expected[row, rank]
    both = (ours >= 0) & (theirs >= 0)
    near = np.zeros(len(row), bool)
    score = model.trained.score_pairs
    apart = score(users[row[both]], ours[both]) - score(users[row[both]], theirs[both])
    near[both] = np.abs(apart) <= tolerance
    others = len(np.unique(row[~near]))
    return others, len(np.unique(row)) - others
