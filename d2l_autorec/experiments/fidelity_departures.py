"""The departures of the printed code: what each is, and where it can be switched."""

from __future__ import annotations

from dataclasses import dataclass

from d2l_autorec.config import CHAPTER

_LAMBDA = CHAPTER.wd * 943 * 1682  # both sides of the objective times 2 x users x items


@dataclass(frozen=True)
class Departure:
    """One line of the ledger.

    Attributes
    ----------
    key : str
        Its row in the summary.
    printed, elsewhere : str
        What the printed code does; what the formula, the paper or good practice does.
    anchor : str
        ``module:function`` or ``module:function:argument`` in this package.
    short : str
        The label in the figure, for the code with the departure undone. Empty if not drawn.
    effect : str
        The measured effect: a Jinja2 text in which ``n`` is `fidelity_ledger.Numbers`. By default
        the difference.
    """

    key: str
    printed: str
    elsewhere: str
    anchor: str
    short: str = ""
    effect: str = "{{ n.less(key) }}"


_SPARSE = "training.sparse.loop:train_sparse"
_NET = "models.autorec:AutoRec"
_LAYERS = "models.architecture:Architecture"

DEPARTURES = (
    Departure(
        "sum",
        "`L2Loss`: half the mean over all 943 columns of a row, rated or not.",
        "Formula and paper: the sum over the observed ratings. With the printed `wd` the decay "
        "then weighs 943 times less.",
        f"{_SPARSE}:objective",
        "sum over observed ratings, wd as printed",
    ),
    Departure(
        "sum_balanced",
        "The mean over 943 columns makes gradients 943 times smaller, nearer to Adam's epsilon.",
        "The sum, with `wd` times 943: the same balance of loss and decay. In the formula's terms "
        f"the printed `wd` is λ = {_LAMBDA:.1f}; in those of the paper, which halves it, "
        f"{2 * _LAMBDA:.1f}.",
        f"{_SPARSE}:wd",
        "sum over observed ratings, wd x 943",
    ),
    Departure(
        "no_bias_decay",
        "`wd` applies to all parameters, biases included.",
        "Formula and paper: λ on W and V only.",
        f"{_SPARSE}:decay_biases",
        "no decay of biases",
    ),
    Departure(
        "no_decay",
        f"`wd` is {CHAPTER.wd:g}.",
        "Not a departure: the effect of no weight decay.",
        f"{_SPARSE}:wd",
        "no decay at all",
    ),
    Departure(
        "no_dropout",
        f"Dropout of {CHAPTER.dropout_rate} on the hidden code.",
        "Formula and paper: none.",
        f"{_LAYERS}:dropout",
        "no dropout",
    ),
    Departure(
        "input_dropout",
        "Dropout on the hidden code.",
        "A denoising autoencoder has it on the input.",
        f"{_LAYERS}:input_dropout",
        "dropout on the input instead of the code",
    ),
    Departure(
        "no_rollover",
        "`last_batch='rollover'`: rows that do not fill a batch start the next epoch, and after "
        "the last epoch they are dropped.",
        "The sum over all items: each item once an epoch, with a short last batch.",
        f"{_SPARSE}:batches",
        "each item once an epoch",
    ),
    Departure(
        "clipped",
        "Predictions are scored as they are.",
        "Paper: clipped to 1..5.",
        "training.sparse.evaluate:evaluate_sparse:clip",
        "predictions clipped to 1..5",
    ),
    Departure(
        "defaulted",
        "An item without training ratings is a row of zeros, and the network predicts for it.",
        "Paper: 3 for users and items without training ratings.",
        "models.recipe:Recipe:default",
        "3 for items without ratings",
        "{{ n.less(key) }}; a split has {{ n.span('cold_items') }} such items with "
        "{{ n.mean('cold_ratings', '.1f') }} test ratings on average, and "
        "{{ n.mean('cold_users', '.1f') }} such users",
    ),
    Departure(
        "best_on_test",
        f"Test RMSE is shown during training, and {CHAPTER.num_epochs} epochs are used without a "
        "reason.",
        f"Not allowed anywhere: the best of {4 * CHAPTER.num_epochs} epochs on the test ratings. "
        "A bound, not a result.",
        "experiments.fidelity:fidelity:num_epochs",
        "epoch chosen on test ratings",
        "{{ n.less(key) }}, at epoch {{ n.span('best_epoch') }}",
    ),
    Departure(
        "validation",
        f"No validation ratings: {CHAPTER.num_epochs} epochs.",
        "Paper: tuned on a tenth of the training ratings. Here these choose the epoch; then the "
        "network is trained again on all training ratings up to it.",
        "training.fit:fit_network:validation",
        "epoch chosen on validation ratings",
        "{{ n.less(key) }}, at epoch {{ n.span('validation_epoch') }}",
    ),
    Departure(
        "centred_sign",
        "The mask is the sign of the input.",
        "The mask marks what is observed. On ratings 1 to 5 it is the same. With 3 subtracted "
        "from all ratings, threes count as not rated, and the predictions for lower ratings have "
        "the wrong sign.",
        f"{_NET}.hybrid_forward:mask",
        effect="none on ratings 1 to 5; with 3 subtracted, {{ n.rmse(key) }} by sign and "
        "{{ n.rmse('centred_mask') }} by an explicit mask, {{ n.less(key) }}; the code prints "
        "{{ n.span('centred_sign_printed', '.3f') }}",
    ),
)
"""Departures that can change the test RMSE."""

PRINTED = (
    Departure(
        "printed_loss",
        '"train loss": the *cumulative* loss after each batch is added up and divided by the '
        "number of rows.",
        "The mean of the batches' losses, as in the figure. Both are half a mean over all cells, "
        "observed or not.",
        "chapter.quiet:Training.printed_train_loss",
        effect="{{ n.mean(key, '.5f') }}, printed as 0.000; the mean is "
        "{{ n.mean('mean_loss') }}; the RMSE on the training ratings is "
        "{{ n.rmse('train_rmse') }}",
    ),
    Departure(
        "cells_per_second",
        '"examples/sec" counts matrix cells (`values.size`).',
        "An example is a row, that is an item.",
        "experiments.reproduce:Reproduction:rows_per_second",
        effect="{{ n.mean(key, '.1f', 1e-6) }} million cells are "
        "{{ n.mean('rows_per_second', ',.0f') }} rows a second",
    ),
    Departure(
        "wall_cells_per_second",
        "The timer runs from a batch's arrival to its step, so loading and evaluation are left "
        "out. Every epoch is counted with the cells of the last one.",
        "All cells over the whole time of training.",
        "experiments.reproduce:Reproduction:seconds",
        effect="{{ n.mean(key, '.1f', 1e-6) }} instead of "
        "{{ n.mean('cells_per_second', '.1f', 1e-6) }} million cells a second, with two runs at a "
        "time",
    ),
    Departure(
        "num_test",
        "Each rating is held out with a chance of one tenth.",
        "Paper: exactly 10% are held out.",
        "data.split:holdout_split",
        effect="{{ n.span(key) }} test ratings",
    ),
    Departure(
        "other_draws",
        "One split and no seed.",
        "Paper: the mean over 5 splits.",
        "runtime:seed_everything",
        effect="standard deviation {{ '%.4f' % n.rows.printed.sd }} over splits "
        "({{ n.span('printed', '.4f') }}) and {{ '%.4f' % n.rows.other_draws.sd }} on one split "
        "with other initial weights, dropout and order",
    ),
    Departure(
        "float_gap",
        "The evaluator adds up 10,000 squares in single precision.",
        "Double precision.",
        "experiments.stats:pooled_rmse",
        effect="at most {{ '%.1g' % n.rows.float_gap.high }} on the RMSE",
    ),
    Departure(
        "devices",
        "`d2l.try_all_gpus()` returns an empty list where there is no GPU; its docstring promises "
        "the CPU.",
        "One CPU.",
        "chapter.autorec:train_autorec:devices",
        effect="the printed code ends in a ZeroDivisionError without a GPU",
    ),
    Departure(
        "whole",
        "`load_data_ml100k` truncates ratings to whole numbers.",
        "Half stars are ratings.",
        "data.matrices:interaction_matrix",
        effect="none on MovieLens 100K, which has whole stars only",
    ),
)
"""Departures that change only what is printed."""

FACTORIZATION = (
    Departure(
        "mf_seq_aware",
        "The section on matrix factorization uses the seq-aware split, AutoRec's a random one.",
        "The same ratings for both.",
        "data.split:seq_aware_split",
        effect="pooled {{ n.rmse(key) }} on the seq-aware split (printed "
        "{{ n.rmse('mf_seq_aware_printed') }}), {{ n.rmse('mf') }} on random splits",
    ),
    Departure(
        "seq_aware",
        "AutoRec is shown on a random split only.",
        "Both models on both splits.",
        "experiments.fidelity_runs:Change:seq_aware",
        effect="AutoRec {{ n.rmse(key) }} on the seq-aware split, {{ n.rmse('printed') }} on "
        "random splits: matrix factorization differs by {{ n.less('mf_seq_aware') }} and "
        "{{ n.less('mf') }}",
    ),
    Departure(
        "mf",
        "The evaluator of matrix factorization averages, over the batches, a running average of "
        "the batches' RMSEs.",
        "One RMSE over all test ratings.",
        "chapter.mf:evaluator",
        effect="printed {{ n.rmse('mf_printed') }}, pooled {{ n.rmse(key) }}: "
        "{{ n.less('mf_printed') }}",
    ),
)
"""Departures in what AutoRec is compared with, the largest first."""
