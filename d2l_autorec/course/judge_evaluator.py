"""What arrays say about an evaluator; see `judge`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from d2l_autorec.course.anatomy import TOLERANCE

Array = np.ndarray

SCORE_TOLERANCE = 1e-4  # relative


def rows_shown(
    calls: Sequence[Array], modes: Sequence[bool], train: Array, held_out: Array
) -> str | None:
    """Judge what an evaluator showed the network."""
    if not calls:
        return (
            "The evaluator made 0 calls of the network. A score that does not come from its "
            "predictions says nothing about it."
        )
    num_users = train.shape[1]
    ours, columns = set(_bare(train)), set(_bare(train.T))
    theirs = {*_bare(held_out[held_out.any(1)]), *_bare(train + held_out)} - ours
    for call in calls:
        width = call.shape[1] if call.ndim == 2 else call.size
        rows = _bare(np.atleast_2d(call))
        if width != num_users or (set(rows) & columns and not set(rows) & ours):
            if call.ndim == 2 and call.shape[0] == num_users:
                return (
                    f"The evaluator showed the network an array of shape {call.shape}, where a row"
                    f" has {num_users} numbers. Users and items have changed places: a row is all "
                    "users' ratings of one item."
                )
            return (
                f"The evaluator showed the network an array of shape {call.shape}, where a batch "
                f"has rows of {num_users} numbers."
            )
        leaked = sum(row in theirs for row in rows)
        if leaked:
            return (
                f"The evaluator showed the network {leaked} rows with held-out ratings in them. "
                "Who has seen the answers is not tested by the questions."
            )
        strange = sum(row not in ours for row in rows)
        if strange:
            return (
                f"{strange} rows that the evaluator showed the network are none of the training "
                "matrix. They were changed on the way."
            )
    seen = {row for call in calls for row in _bare(call)}
    if len(seen) < len(ours):
        return (
            f"The evaluator showed the network {len(seen)} of the {len(ours)} training rows. The "
            "ratings of the others are never scored."
        )
    if any(modes):
        return (
            f"{sum(modes)} of {len(modes)} calls of the evaluator put the network in training "
            "mode. There it masks and drops out, and neither belongs in a score."
        )
    return None


def _bare(rows: Array) -> list[bytes]:
    return [row.tobytes() for row in np.ascontiguousarray(rows)]


def score(value: float, predicted: Array, train: Array, held_out: Array, batch: int) -> str | None:
    """Judge the number that an evaluator returned."""
    known = held_out > 0
    predicted, held_out = predicted.astype("f8"), held_out.astype("f8")
    squares = (predicted - held_out) ** 2
    right = float(np.sqrt(squares[known].mean()))
    if abs(value - right) < SCORE_TOLERANCE * right:
        return None
    starts = range(0, len(held_out), batch)
    parts = [(squares[i : i + batch], known[i : i + batch]) for i in starts]
    per_batch = [np.sqrt(part[of].mean()) for part, of in parts if of.any()]
    errors = np.abs(predicted - held_out)[known]
    masked = np.where(known, squares, 0)
    wrong: list[tuple[float, str]] = [
        (
            float(np.sqrt(masked.mean())),
            f"the squared errors are divided by all {known.size} entries, and only "
            f"{int(known.sum())} are held-out ratings",
        ),
        (
            float(np.sqrt(squares.mean())),
            f"all {known.size} entries are scored, and where nothing is held out a prediction is "
            "compared with zero",
        ),
        (
            float(np.sqrt(((predicted - train) ** 2)[train > 0].mean())),
            "it is the error on the training ratings, which the network has been shown",
        ),
        (right**2, "it is the mean of the squares, not its root"),
        (float(np.sqrt(squares[known].sum())), "the squares are added up, not averaged"),
        (float(errors.mean()), "it is the mean absolute error"),
        (
            float(np.mean(per_batch)),
            "it is the mean of the batches' errors, and the root of a mean is no mean of roots",
        ),
    ]
    said = f"The score is {value:.3f}, and the held-out ratings give {right:.3f}"
    for number, meaning in wrong:
        if abs(value - number) < SCORE_TOLERANCE * number:
            return f"{said}: {meaning}."
    return f"{said}. It is not the root of the mean squared error over the held-out ratings alone."


def devices(outputs: Sequence[Array], used: Sequence[str], value: float, one: float) -> str | None:
    """Judge a network and an evaluator on two devices."""
    away = max(float(np.abs(output - outputs[0]).max()) for output in outputs)
    if not away < TOLERANCE:
        return (
            f"The same row gives answers up to {away:.2g} apart on two devices. Something in the "
            "network has a value of its own on each."
        )
    if len(set(used)) < 2:
        where = next(iter(used), "none")[:40]
        return (
            f"Of 2 devices only {where} got rows. The list of devices says where the "
            "work goes, and a part of it stays idle."
        )
    if not abs(value - one) < SCORE_TOLERANCE * one:
        return (
            f"On two devices the score is {value:.3f}, on one it is {one:.3f}. Rows were lost, or "
            "they came back in another order."
        )
    return None
