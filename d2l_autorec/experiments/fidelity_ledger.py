"""The ledger: every departure of the printed code, what it costs, and where it can be switched.

Texts are here, numbers are not: they come from ``results/fidelity/summary.csv``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from d2l_autorec.config import CHAPTER
from d2l_autorec.experiments.stats import Interval

if TYPE_CHECKING:
    import pandas as pd

_LAMBDA = CHAPTER.wd * 943 * 1682  # both sides of the objective times 2 x users x items


class Numbers:
    """What the texts read from the summary."""

    def __init__(self, summary: pd.DataFrame) -> None:
        self.rows = {row["key"]: row for row in summary.to_dict("records")}

    def mean(self, key: str) -> float:
        """Return the mean as it is."""
        return float(self.rows[key]["value"])

    def rmse(self, key: str) -> str:
        """Return a mean with its interval and number of runs."""
        row = self.rows[key]
        return str(Interval(row["value"], row["sd"], row["half_width"], int(row["n"])))

    def less(self, key: str) -> str:
        """Return a paired difference with its sign and interval."""
        row = self.rows[key]
        difference = round(row["difference"], 4) + 0.0  # no minus before zero
        return f"{difference:+.4f} ± {row['difference_half_width']:.4f}"

    def span(self, key: str, form: str = ",.0f") -> str:
        """Return the smallest and the largest value."""
        row = self.rows[key]
        return f"{row['low']:{form}} to {row['high']:{form}}"


@dataclass(frozen=True)
class Departure:
    """One line of the ledger.

    Attributes
    ----------
    key : str
        Its row in the summary.
    short : str
        What the figure calls the code with the departure undone; empty where it is not drawn.
    printed, elsewhere : str
        What the printed code does; what the formula, the paper or good practice says.
    effect : callable
        `Numbers` to the measured effect, in words.
    anchor : str
        ``module:function`` or ``module:function:argument`` in this package.
    """

    key: str
    short: str
    printed: str
    elsewhere: str
    effect: Callable[[Numbers], str]
    anchor: str


def _undone(key: str) -> Callable[[Numbers], str]:
    return lambda n: n.less(key)


_SPARSE = "training.sparse.loop:train_sparse"
_NET = "models.autorec:AutoRec"
_LAYERS = "models.architecture:Architecture"

DEPARTURES = (
    Departure(
        "sum", "sum over observed ratings, wd as printed",
        "`L2Loss`: half the mean over all 943 columns of a row, rated or not.",
        "Formula and paper: the sum over the observed ratings. With the printed `wd` the decay "
        "then weighs 943 times less.",
        _undone("sum"), f"{_SPARSE}:objective",
    ),
    Departure(
        "sum_balanced", "sum over observed ratings, wd x 943",
        "The same mean: gradients are 943 times smaller, nearer to Adam's epsilon.",
        "The sum, with `wd` times 943: the same balance of loss and decay. In the formula's terms "
        f"the printed `wd` is λ = {_LAMBDA:.1f}; in the paper's, who halves it, "
        f"{2 * _LAMBDA:.1f}.",
        _undone("sum_balanced"), f"{_SPARSE}:wd",
    ),
    Departure(
        "no_bias_decay", "no decay of biases",
        "`wd` reaches all parameters, the biases too.",
        "Formula and paper: λ on W and V only.",
        _undone("no_bias_decay"), f"{_SPARSE}:decay_biases",
    ),
    Departure(
        "no_decay", "no decay at all",
        f"`wd` is {CHAPTER.wd:g}.",
        "Not a departure; what leaving decay out would do.",
        _undone("no_decay"), f"{_SPARSE}:wd",
    ),
    Departure(
        "no_dropout", "no dropout",
        f"Dropout of {CHAPTER.dropout_rate} on the hidden code.",
        "Neither formula nor paper has any.",
        _undone("no_dropout"), f"{_LAYERS}:dropout",
    ),
    Departure(
        "input_dropout", "dropout on the input in place of the code",
        "The dropout is on the code.",
        "A denoising autoencoder has it on the input.",
        _undone("input_dropout"), f"{_LAYERS}:input_dropout",
    ),
    Departure(
        "no_rollover", "each item once an epoch",
        "`last_batch='rollover'`: rows that fill no batch open the next epoch, and after the last "
        "one they are dropped.",
        "The sum over all items; here each once an epoch, in a short last batch.",
        _undone("no_rollover"), f"{_SPARSE}:batches",
    ),
    Departure(
        "clipped", "predictions clipped to 1..5",
        "Predictions are scored as they come.",
        "Paper: clipped to 1..5.",
        _undone("clipped"), "training.sparse.evaluate:evaluate_sparse:clip",
    ),
    Departure(
        "defaulted", "3 for cold items",
        "An item without training ratings is read as a row of zeros and predicted all the same.",
        "Paper: 3 for users and items without training ratings.",
        lambda n: f"{n.less('defaulted')}; a split has {n.span('cold_items')} such items, with "
        f"{n.mean('cold_ratings'):.1f} test ratings in the mean, and "
        f"{n.mean('cold_users'):.1f} such users",
        "models.recipe:Recipe:default",
    ),
    Departure(
        "best_on_test", "epoch chosen on the test data",
        f"Test RMSE is watched in training, and {CHAPTER.num_epochs} epochs are given without a "
        "reason.",
        "Not allowed anywhere: the best of "
        f"{4 * CHAPTER.num_epochs} epochs on the test ratings themselves. A bound, no result.",
        lambda n: f"{n.less('best_on_test')}, at epoch {n.span('best_epoch')}",
        "experiments.fidelity:fidelity:num_epochs",
    ),
    Departure(
        "validation", "epoch chosen on validation data",
        "No validation data.",
        "Paper: tuned on a tenth of the training ratings. Here the epoch, after which all "
        "training ratings are trained on up to it.",
        lambda n: f"{n.less('validation')}, at epoch {n.span('validation_epoch')}",
        "training.fit:fit_network:validation",
    ),
    Departure(
        "centred_sign", "",
        "The mask is the sign of the input.",
        "The mask says what is observed. On ratings 1 to 5 it is the same. With 3 taken off all "
        "ratings, threes count as not rated and what is below comes back with the wrong sign.",
        lambda n: f"none on ratings 1 to 5; with 3 taken off, {n.rmse('centred_sign')} by sign "
        f"and {n.rmse('centred_mask')} by an explicit mask, {n.less('centred_sign')}; printed "
        f"is {n.span('centred_sign_printed', '.3f')}",
        f"{_NET}.hybrid_forward:mask",
    ),
)  # fmt: skip

PRINTED = (
    Departure(
        "printed_loss", "",
        "\"train loss\": the *cumulative* loss after each batch is added up, and divided by the "
        "number of rows.",
        "The mean of the batches' losses, which the figure shows. Both are half a mean over all "
        "cells, observed or not.",
        lambda n: f"{n.mean('printed_loss'):.5f}, printed as 0.000; the mean is "
        f"{n.mean('mean_loss'):.4f}; the RMSE on the training ratings, {n.rmse('train_rmse')}",
        "chapter.quiet:Training.printed_train_loss",
    ),
    Departure(
        "cells_per_second", "",
        "\"examples/sec\" counts matrix cells (`values.size`).",
        "An example is a row, that is an item.",
        lambda n: f"{n.mean('cells_per_second') / 1e6:.1f} million cells are "
        f"{n.mean('rows_per_second'):,.0f} rows a second",
        "experiments.reproduce:Reproduction:rows_per_second",
    ),
    Departure(
        "wall_cells_per_second", "",
        "The timer runs between a batch's arrival and its step; loading and evaluation are not in "
        "it. The last epoch's cells are taken for every epoch's.",
        "All cells over all the time that training takes.",
        lambda n: f"{n.mean('wall_cells_per_second') / 1e6:.1f} in place of "
        f"{n.mean('cells_per_second') / 1e6:.1f} million cells a second, two runs at a time",
        "experiments.reproduce:Reproduction:seconds",
    ),
    Departure(
        "num_test", "",
        "Each rating is held out by the toss of a coin.",
        "Paper: 10% are held out.",
        lambda n: f"{n.span('num_test')} test ratings",
        "data.split:holdout_split",
    ),
    Departure(
        "other_draws", "",
        "One split and no seed.",
        "Paper: the mean over 5 splits.",
        lambda n: f"SD {n.rows['printed']['sd']:.4f} over splits, "
        f"{n.span('printed', '.4f')}; SD {n.rows['other_draws']['sd']:.4f} on one split with "
        "other weights, dropout and order",
        "runtime:seed_everything",
    ),
    Departure(
        "float_gap", "",
        "The evaluator adds up 10,000 squares in single precision.",
        "Double precision.",
        lambda n: f"at most {n.rows['float_gap']['high']:.1g} on the RMSE",
        "experiments.stats:pooled_rmse",
    ),
    Departure(
        "devices", "",
        "`d2l.try_all_gpus()` gives an empty list where there is no GPU; its docstring promises "
        "the CPU.",
        "One CPU.",
        lambda n: "the printed code ends in a ZeroDivisionError without a GPU",
        "chapter.autorec:train_autorec:devices",
    ),
    Departure(
        "whole", "",
        "`load_data_ml100k` cuts ratings to whole numbers.",
        "Half stars are ratings.",
        lambda n: "none on MovieLens 100K, which has whole stars only",
        "data.matrices:interaction_matrix",
    ),
)  # fmt: skip

FACTORIZATION = (
    Departure(
        "mf", "",
        "Its evaluator averages over the batches a running figure, which is itself an average of "
        "the batches' RMSEs.",
        "One RMSE over all test ratings.",
        lambda n: f"prints {n.rmse('mf_printed')}, pooled {n.rmse('mf')}: printed less pooled "
        f"{n.less('mf_printed')}",
        "chapter.mf:evaluator",
    ),
    Departure(
        "mf_seq_aware", "",
        "Its section splits seq-aware, AutoRec's at random.",
        "The same ratings for both.",
        lambda n: f"pooled {n.rmse('mf_seq_aware')} seq-aware (prints "
        f"{n.rmse('mf_seq_aware_printed')}), {n.rmse('mf')} at random",
        "data.split:seq_aware_split",
    ),
    Departure(
        "seq_aware", "",
        "AutoRec is shown on the random split only.",
        "Both models on both splits.",
        lambda n: f"AutoRec {n.rmse('seq_aware')} seq-aware, {n.rmse('printed')} at random: "
        f"matrix factorization less AutoRec {n.less('mf_seq_aware')} and {n.less('mf')}",
        "experiments.fidelity_runs:Variant:seq_aware",
    ),
)  # fmt: skip


def ledger(summary: pd.DataFrame) -> str:
    """Write the ledger, in Markdown.

    Parameters
    ----------
    summary : pandas.DataFrame
        From `fidelity.summarize`, or ``results/fidelity/summary.csv``.
    """
    n = Numbers(summary)
    runs = int(n.rows["printed"]["n"])
    return f"""# Where the printed code differs from the formula and the paper

Made by `d2l-autorec fidelity` from `results/fidelity/summary.csv`; a test holds the two together.
To change the words, edit `d2l_autorec/experiments/fidelity_ledger.py`.

The chapter prints a formula, cites a paper and runs a code. Below is each place where the code
does something else, and what that costs. The code as printed has a test RMSE of
{n.rmse("printed")}: mean ± half the width of the 95% interval over {runs} random splits of
MovieLens 100K, {CHAPTER.num_epochs} epochs. Our engine, which the other runs use, ends within
{n.rows["engine_gap"]["high"]:.1g} of the printed code on every split.

An effect is the test RMSE with that one thing changed less that of the printed code, on the same
splits: **below zero, the printed code loses by its departure.** Effects do not add up.

![Differences in test RMSE](../results/fidelity/summary.png)

## What moves the test RMSE

{_table(DEPARTURES, n)}
## What moves only what is printed

{_table(PRINTED, n)}
## What AutoRec is compared with

The chapter says that its RMSE is lower than matrix factorization's, and means the section before.

{_table(FACTORIZATION, n)}
## Not priced here

- The optimizer: Adam at a constant rate in the code, RProp or L-BFGS over all rows in the paper.
- The data: MovieLens 1M, 10M and Netflix in the paper. `d2l-autorec paper` goes there.
"""


def _table(entries: tuple[Departure, ...], n: Numbers) -> str:
    lines = [
        "| The printed code | Formula, paper or good practice | Effect | Switch |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {entry.printed} | {entry.elsewhere} | {entry.effect(n)} | {_switch(entry.anchor)} |"
        for entry in entries
    ]
    return "\n".join(lines) + "\n"


def _switch(anchor: str) -> str:
    module, name, *argument = anchor.split(":")
    path = f"d2l_autorec/{module.replace('.', '/')}.py"
    return f"`{name}{f'({argument[0]})' if argument else ''}` in [{path}](../{path})"
