"""What arrays say about a network and an evaluator. Pure NumPy: no MXNet, no process.

Each function returns None where all is right, else what was seen and what it means. It names the
misconception, not the remedy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray

TOLERANCE = 1e-3  # of float32 arithmetic, on numbers of a few units
SCORE_TOLERANCE = 1e-4  # relative
TRAINED_RMSE = 0.75  # on `synthetic`; right ones end near 0.31, the mean at 1.42
MOVIELENS_RMSE = (0.87, 0.93)  # 30 splits: mean 0.9001, standard deviation 0.0073
NOISE = 0.3
MAX_PARAMETERS = 8  # arrays; with more, there are too many networks that they may stand for


def _softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda values: values,
    "sigmoid": lambda values: 1 / (1 + np.exp(-values)),
    "softmax": _softmax,
    "tanh": np.tanh,
    "relu": lambda values: np.maximum(values, 0),
    "softplus": lambda values: np.log1p(np.exp(values)),
}


class Anatomy(NamedTuple):
    """What a network turned out to compute."""

    hidden: str
    output: str
    hidden_bias: bool
    output_bias: bool


RIGHT = Anatomy("sigmoid", "identity", True, True)


def ratings(rng: np.random.Generator, num_items: int, num_users: int, share: float) -> Array:
    """Draw a matrix of ratings 1 to 5; every row and column has known and unknown entries."""
    while True:
        known = rng.random((num_items, num_users)) < share
        if all(known.any(axis).all() and not known.all(axis).any() for axis in (0, 1)):
            return (rng.integers(1, 6, known.shape) * known).astype("f4")


def synthetic(rng: np.random.Generator, num_items: int, num_users: int) -> tuple[Array, Array]:
    """Draw ratings that two kinds of users give two kinds of items, and hide half of them.

    Returns
    -------
    train, held_out : numpy.ndarray, shape (num_items, num_users)
        0 where there is none.
    """
    taste = rng.choice([-1, 1], (num_items, 1)) * rng.choice([-1, 1], (1, num_users))
    full = 3 + 1.4 * taste + NOISE * rng.standard_normal(taste.shape)
    full = np.clip(full, 1, 5).astype("f4")
    known = rng.random(full.shape) < 0.5
    return full * known, full * ~known


def values(rng: np.random.Generator, shapes: Sequence[Sequence[int]]) -> list[Array]:
    """Draw parameters under which the activations can be told apart."""
    return [
        (rng.standard_normal(shape) * (0.25 if len(shape) > 1 else 1.0)).astype("f4")
        for shape in shapes
    ]


def networks(
    rows: Array, parameters: Sequence[Array], num_hidden: int
) -> Iterator[tuple[Anatomy, Array]]:
    """Yield every autoencoder of one hidden layer that these parameters may stand for."""
    num_users = rows.shape[1]
    matrices = [array for array in parameters if array.ndim == 2 and min(array.shape) > 1]
    vectors = [array.ravel() for array in parameters if array.size in (num_hidden, num_users)]
    ways = [m if m.shape == (num_users, num_hidden) else m.T for m in matrices]
    ways = [way for way in ways if way.shape == (num_users, num_hidden)]  # V^T or W
    if len(ways) == 1:  # tied
        ways = ways * 2
    inner = [array for array in vectors if len(array) == num_hidden]
    outer = [array for array in vectors if len(array) == num_users]
    for encoder, decoder in itertools.permutations(ways, 2):
        for mu, bias in itertools.product([*inner, None], [*outer, None]):
            code = rows @ encoder + (0 if mu is None else mu)
            for hidden, g in ACTIVATIONS.items():
                reconstruction = g(code) @ decoder.T + (0 if bias is None else bias)
                for output, f in ACTIVATIONS.items():
                    anatomy = Anatomy(hidden, output, mu is not None, bias is not None)
                    yield anatomy, f(reconstruction)


def dissect(
    rows: Array, output: Array, parameters: Sequence[Array], num_hidden: int
) -> tuple[Anatomy | None, float]:
    """Find out what a network computes, from its parameters and its output for known ratings.

    Returns
    -------
    anatomy : Anatomy or None
        None if it is no autoencoder with one hidden layer and these activations.
    distance : float
        The largest difference from the right network.
    """
    known = rows > 0
    nearest = np.inf
    found = None
    if len(parameters) > MAX_PARAMETERS:
        return None, nearest
    rows, parameters = rows.astype("f8"), [array.astype("f8") for array in parameters]
    with np.errstate(all="ignore"):
        for anatomy, expected in networks(rows, parameters, num_hidden):
            distance = np.abs(expected - output)[known].max()
            if anatomy == RIGHT:
                nearest = min(nearest, distance)
            if distance < TOLERANCE and (found is None or anatomy == RIGHT):
                found = anatomy
    return found, float(nearest)


def activation(
    rows: Array, output: Array, parameters: Sequence[Array], num_hidden: int
) -> str | None:
    """Judge the place of the activation and the parts of the network."""
    anatomy, distance = dissect(rows, output, parameters, num_hidden)
    if anatomy == RIGHT:
        return None
    seen = output[rows > 0]
    low, high = float(seen.min()), float(seen.max())
    if anatomy is None:
        if low >= 0 and high <= 1:
            return _squeezed(high)
        if low >= 1 and high <= 5:
            return (
                f"All outputs lie between {low:.2f} and {high:.2f}, whatever the parameters: they "
                "are cut to the rating range, and where they are cut nothing is learned."
            )
        how_many = len(parameters)
        away = f"up to {distance:.2g} away from" if np.isfinite(distance) else "not"
        return (
            f"With the {how_many} arrays of parameters that the network holds, its output is "
            f"{away} that of one encoder and one decoder. A layer is missing, doubled or in "
            "another place."
        )
    if anatomy.output == "softmax":
        total = output.sum(1).mean() if (output != 0).all() else 1.0
        return (
            f"The outputs of a row add up to {total:.2f}: they are shares of one whole. Users do "
            "not compete for an item; each rating is a number of its own."
        )
    if anatomy.output == "sigmoid":
        return _squeezed(high)
    if anatomy.output != "identity":
        return (
            f"The output passes through {anatomy.output} (smallest {low:.2f}, largest {high:.2f})."
            " It is the rating itself, and nothing may bend it."
        )
    if anatomy.hidden == "identity":
        return (
            "Twice the input moves the hidden code twice as far: it has no activation. Two linear "
            "layers are one linear layer, however wide."
        )
    if anatomy.hidden != "sigmoid":
        return (
            f"The hidden code comes from {anatomy.hidden}. The chapter's code lies between 0 and "
            "1, and its results are from that one."
        )
    which = "hidden code" if not anatomy.hidden_bias else "output"
    return (
        f"The {which} has no bias: 0 parameters do what the mean rating asks for. Without it a "
        "network must learn the level of each user from the weights."
    )


def _squeezed(high: float) -> str:
    return (
        f"Every output lies between 0 and 1 (largest {high:.3f}), and ratings go up to 5. The "
        "output is taken for a probability, and it is a rating."
    )


def shape(rows: Array, output: Array) -> str | None:
    """Judge the shape of the output."""
    if output.shape == rows.shape:
        return None
    seen, wanted = output.shape, rows.shape
    text = f"A batch of shape {wanted} gave an output of shape {seen}. "
    if seen in (wanted[::-1], (wanted[1], wanted[1])):
        return text + "Rows and columns have changed places: a row is an item, a column a user."
    if len(seen) == 2 and seen[0] == wanted[0]:
        return text + "The hidden code is not the end: there is one output for each user."
    return text + "Each input has an output in the same place."


def mask(rows: Array, training: Array, prediction: Array) -> str | None:
    """Judge the output in training."""
    unknown = rows == 0
    share = float((training[unknown] != 0).mean())
    if not (training[~unknown] != 0).any():
        return (
            f"In training, all {int((~unknown).sum())} outputs for known ratings are 0. The mask "
            "keeps what it should hide."
        )
    if share:
        return (
            f"In training, {share:.0%} of the outputs for unknown ratings are not 0. So a missing "
            "rating is learned as a rating of zero."
        )
    if np.abs(training - prediction)[~unknown].max() > TOLERANCE:
        away = float(np.abs(training - prediction)[~unknown].max())
        return (
            f"With no dropout, the outputs for known ratings in training are up to {away:.2g} "
            "away from those in prediction. The mask may leave them alone, and nothing else."
        )
    return None


def prediction(rows: Array, output: Array) -> str | None:
    """Judge the output in prediction."""
    unknown = rows == 0
    share = float((output[unknown] == 0).mean())
    if share == 0 or not (output[~unknown] != 0).all():  # an activation makes zeros anywhere
        return None
    return (
        f"In prediction, {share:.0%} of the outputs for unknown ratings are 0. The unknown "
        "ratings are those that one wants to know, and here they are hidden."
    )


def gradient(at_unknown: Sequence[Array], at_known: Sequence[Array]) -> str | None:
    """Judge the gradients of a loss on the unknown and of one on the known entries alone."""
    largest = max((float(np.abs(array).max()) for array in at_unknown), default=0.0)
    if largest != 0:
        return (
            f"A loss on unknown ratings alone gives a gradient of {largest:.2g}, where it must be "
            "exactly 0. What nobody rated moves the parameters."
        )
    dead = sum(1 for array in at_known if not np.abs(array).max() > 0)
    if dead:
        return (
            f"A loss on known ratings gives no gradient to {dead} of the {len(at_known)} arrays "
            "of parameters. The way from the output back to them is cut, so they never learn."
        )
    return None


def dropout(predictions: Sequence[Array], trainings: Sequence[Array], away: float) -> str | None:
    """Judge repeated outputs for the same rows, at a dropout rate of one half.

    `away` is how far the prediction is from that of the same network without dropout.
    """
    spread = float(np.ptp(np.stack(predictions), axis=0).max())
    if spread:
        return (
            f"The same row, predicted {len(predictions)} times, gives answers up to {spread:.2g} "
            "apart. Dropout is noise for learning, and it is on in prediction too."
        )
    if not np.ptp(np.stack(trainings), axis=0).max():
        return (
            f"At a rate of 0.5, {len(trainings)} passes in training give the same output to the "
            "last digit. The rate is asked for and has no effect."
        )
    if away > TOLERANCE:
        return (
            f"The rate of dropout moves the prediction, by up to {away:.2g}. The rate is a matter "
            "of training alone."
        )
    return None


def rmse(predicted: Array, held_out: Array) -> float:
    """Root of the mean squared error over the held-out ratings."""
    known = held_out > 0
    return float(np.sqrt(np.mean((predicted.astype("f8") - held_out)[known] ** 2)))


def trained(predicted: Array, train: Array, held_out: Array) -> str | None:
    """Judge what a network learned of `synthetic`."""
    error = rmse(predicted, held_out)
    if error < TRAINED_RMSE:
        return None
    mean = rmse(np.full_like(held_out, train[train > 0].mean()), held_out)
    if not np.isfinite(error):
        return (
            "After a short training the predictions are no numbers any more. Something in the "
            "network grows without bound."
        )
    return (
        f"After a short training the RMSE is {error:.2f}; it should be below {TRAINED_RMSE}, and "
        f"the mean of all ratings gives {mean:.2f}. The network computes, and does not learn."
    )


def movielens(predicted: Array, held_out: Array) -> str | None:
    """Judge what a network learned of MovieLens 100K in the chapter's run."""
    error, (low, high) = rmse(predicted, held_out), MOVIELENS_RMSE
    if low < error < high:
        return None
    return (
        f"After the chapter's 25 epochs the RMSE on MovieLens 100K is {error:.3f}; runs of the "
        f"chapter end between {low} and {high}. The network learns, and something else."
    )


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
    ours = {row.tobytes() for row in train}
    columns = {row.tobytes() for row in np.ascontiguousarray(train.T)}
    tests = [row for row in held_out if row.any()]
    tests += [row for row in train + held_out]
    theirs = {row.tobytes() for row in tests} - ours
    for call in calls:
        width = call.shape[1] if call.ndim == 2 else call.size
        bare = [np.ascontiguousarray(row).tobytes() for row in np.atleast_2d(call)]
        if width != num_users or (set(bare) & columns and not set(bare) & ours):
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
        leaked = sum(row in theirs for row in bare)
        if leaked:
            return (
                f"The evaluator showed the network {leaked} rows with held-out ratings in them. "
                "Who has seen the answers is not tested by the questions."
            )
        strange = sum(row not in ours for row in bare)
        if strange:
            return (
                f"{strange} rows that the evaluator showed the network are none of the training "
                "matrix. They were changed on the way."
            )
    seen = {np.ascontiguousarray(row).tobytes() for call in calls for row in call}
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
    for number, meaning in wrong:
        if abs(value - number) < SCORE_TOLERANCE * number:
            return (
                f"The score is {value:.3f}, and the held-out ratings give {right:.3f}: {meaning}."
            )
    return (
        f"The score is {value:.3f}, and the held-out ratings give {right:.3f}. It is not the root "
        "of the mean squared error over the held-out ratings alone."
    )


def devices(
    outputs: Sequence[Array], used: Sequence[str], value: float, one: float, num_devices: int = 2
) -> str | None:
    """Judge a network and an evaluator on several devices."""
    away = max(float(np.abs(output - outputs[0]).max()) for output in outputs)
    if not away < TOLERANCE:
        return (
            f"The same row gives answers up to {away:.2g} apart on two devices. Something in the "
            "network has a value of its own on each."
        )
    if len(set(used)) < num_devices:
        where = next(iter(used), "none")[:40]
        return (
            f"Of {num_devices} devices only {where} got rows. The list of devices says where the "
            "work goes, and a part of it stays idle."
        )
    if not abs(value - one) < SCORE_TOLERANCE * one:
        return (
            f"On two devices the score is {value:.3f}, on one it is {one:.3f}. Rows were lost, or "
            "they came back in another order."
        )
    return None


def error(raised: dict[str, Any], where: str) -> str:
    """Say in a sentence what the submission raised."""
    told = raised.get("kinds")
    kinds = [str(kind)[:80] for kind in told] if isinstance(told, list) and told else ["Exception"]
    line = raised.get("line")
    at = f" in line {line}" if isinstance(line, int) else ""
    text = str(raised.get("text", ""))[:300].rstrip(".")
    while text.startswith(f"{kinds[0]}: "):  # MXNet says it twice
        text = text[len(kinds[0]) + 2 :]
    if "refused: " in text:  # other errors pass it on
        wish = text.split("refused: ", 1)[1].rstrip(">")
        if "d2l_autorec" in wish:
            return f"{where} tried{at} to {wish}: the package's own solution is out of reach."
        return f"{where} tried{at} to {wish}, which a checked submission may not."
    if "SystemExit" in kinds or "KeyboardInterrupt" in kinds:
        return f"{where} ended the program{at} ({kinds[0]}). It is called, and must return."
    if "MemoryError" in kinds or "bad_alloc" in text or "allocate CPU" in text:
        return f"{where} asked{at} for more memory than a submission may have."
    if "require gradients" in text or "computational graph" in text:
        return (
            f"{where} reaches 0 parameters. The way from the output back to them is cut, so they "
            "never learn."
        )
    if "SyntaxError" in kinds:
        return f"Python cannot read the file: {text}{at}."
    if "ModuleNotFoundError" in kinds:
        missing = str(raised.get("missing"))[:80]
        return (
            f"{where} imports {missing}{at}, which is not there. A submission is one file, beside "
            "MXNet and its packages."
        )
    return f"{where} stopped{at} with {kinds[0]}: {text[:160] or 'no text'}."
