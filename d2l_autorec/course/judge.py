"""What arrays say about a network. Pure NumPy: no MXNet, no process.

Each function returns None where all is right, else what was seen and what it means. It names the
misconception, not the remedy. `anatomy.activation` and `judge_evaluator` are of the same kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from d2l_autorec.course.anatomy import TOLERANCE

Array = np.ndarray

TRAINED_RMSE = 0.75  # on `questions.synthetic`; right ones end near 0.31, the mean at 1.42
MOVIELENS_RMSE = (0.87, 0.93)  # 30 splits: mean 0.9001, standard deviation 0.0073


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
    if (away := float(np.abs(training - prediction)[~unknown].max())) > TOLERANCE:
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
    """Judge what a network learned of `questions.synthetic`."""
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
    out_of_memory = ("bad_alloc", "allocate CPU", "Allocation failed")  # MXNet's words
    if "MemoryError" in kinds or any(words in text for words in out_of_memory):
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
