"""The words of the report: titles, captions, column headings and definitions."""

from __future__ import annotations

TITLES = {
    "study": "Is 0.901 right?",
    "compare": "Does AutoRec beat matrix factorization?",
    "canonical": "The splits that the literature uses",
    "exercises": "The book's exercises",
    "paper": "Are the paper's results reached?",
    "best": "How good can an AutoRec get?",
    "fidelity": "Where the code differs from the formula and the paper",
    "foldin": "Users who were not in training",
    "updating": "New ratings without training again",
    "draws": "Training without MXNet",
    "own-data": "Ratings of one's own",
    "benchmark": "What does it cost?",
    "serving": "How fast does the service answer?",
    "netflix": "A hundred million ratings",
    "attack": "Do the promises hold under attack?",
    "reproduce": "The chapter's run",
}
"""Titles of the experiments, in the order of the report."""

CAPTIONS = {
    "study/histogram": "Test RMSE of the chapter's run on each random split. Each tick below the "
    "bars is a run.",
    "study/summary": "The chapter's run over all splits.",
    "study/splits": "Each split: its seed, the result, and the SHA-256 digest of its held-out row "
    "numbers.",
    "compare/summary.png": "Mean test RMSE of each model. A bar is the 95% interval, on the left "
    "over the random splits, on the right over resampled users of the one seq-aware split.",
    "compare/summary": "All models on the same ratings, the best first. Differences are from the "
    "chapter's AutoRec.",
    "compare/tuning": "The settings that each tuned model could choose from, its choice first.",
    "canonical/u1.png": "Test RMSE on u1: what was run here, and what is published.",
    "canonical/u1": "Test RMSE on u1, the lowest first. Validation ratings are taken from the "
    "training part.",
    "canonical/summary": "All splits of MovieLens 100K for the models that were run here. The "
    "libraries have their defaults, and are not tuned as in the experiment compare.",
    "exercises/hidden_size.png": "Exercise 1: test RMSE against the size of the hidden layer.",
    "exercises/depth.png": "Exercise 2: test RMSE of networks with one, two and three hidden "
    "layers, and of the paper's deep network.",
    "exercises/activations.png": "Exercise 3: test RMSE of each pair of activations.",
    "exercises/hidden_size": "Exercise 1: one hidden layer of different sizes.",
    "exercises/depth": "Exercise 2: one, two and three hidden layers.",
    "exercises/activations": "Exercise 3: pairs of activations.",
    "paper/hidden.png": "Test RMSE of I-AutoRec against the size of the hidden layer.",
    "paper/activations.png": "Test RMSE of I-AutoRec by activations, beside the paper's.",
    "paper/summary": "Item-based and user-based AutoRec with the paper's protocol.",
    "paper/activations": "I-AutoRec by activations.",
    "paper/hidden": "I-AutoRec by size of the hidden layer.",
    "paper/depth": "I-AutoRec with more hidden layers, with and without layer-wise pre-training.",
    "paper/reach": "Networks beyond the paper, their blend, and the stack.",
    "paper/others": "myFM with rank 10 and 200 samples, from the ids of users and items alone, "
    "and from these and who has rated what (SVD++). Below zero the stack is better.",
    "paper/tried": "Recipes scored on the validation ratings of the first split.",
    "best/ladder": "Test RMSE after each step. Each step adds one change to the one above.",
    "best/summary": "Each step adds one change to the one above.",
    "best/aside": "Changes that were tried at the step of the cosine and not kept.",
    "best/weights": "The networks of the blend.",
    "best/candidates": "All recipes that the search scored, each on its best epoch.",
    "best/nested": "The recipes as published, and searched inside the training part of each "
    "split, on the same splits and with one network for each recipe.",
    "fidelity/summary.png": "Change of the test RMSE when one departure is undone. Left of zero, "
    "the printed code is worse because of it.",
    "fidelity/summary": "Every quantity that was measured. The ledger docs/fidelity.md explains "
    "them.",
    "draws/summary": "RMSE on held-out ratings with MXNet's and with NumPy's random draws.",
    "own-data/summary.png": "Test RMSE of each model beside that of plain biases. Models that are "
    "more than 10% worse are in the table only.",
    "own-data/summary": "Each set's models on the same ratings, the best first.",
    "own-data/sets": "The data sets.",
    "foldin/summary": "RMSE on held-out ratings of users by what the model knows of them.",
    "updating/summary": "RMSE on held-out ratings before new ratings come, with them put into the "
    "model, and with the model trained again.",
    "benchmark/cost": "Seconds of an epoch against the number of ratings and of matrix cells, on "
    "logarithmic axes. The slope is the exponent of the power law through three points or more.",
    "benchmark/ratios": "What was measured, beside the marks that were set.",
    "attack/table": "Tries at random by area, and those that broke no promise.",
    "serving/table": "Times to answer, over all questions and for each kind.",
    "netflix/steps": "Each command: seconds, the most memory that it held, what it wrote, and "
    "the share of the cores that other processes took.",
    "netflix/epochs": "Test RMSE after each epoch, and that of the biases on the same ratings.",
    "reproduce/curve": "RMSE on held-out ratings and train loss after each epoch.",
    "reproduce/history": "RMSE on held-out ratings and train loss after each epoch.",
}
"""A sentence for each ``experiment/table``, and for each ``experiment/figure.png`` of its name."""

HEADINGS = {
    "hidden": "hidden units",
    "init": "initialization",
    "targets": "ratings are read as",
    "val_rmse": "validation RMSE",
    "test_rmse": "test RMSE",
    "biases_rmse": "test RMSE of the biases",
    "peak_gb": "peak memory, GB",
    "written_gb": "written, GB",
    "epoch": "epoch",
    "less_first": "difference from the first row",
    "less AutoRec": "difference from the chapter's AutoRec",
    "less as published": "difference from those as published",
    "less the step above": "difference from the step above",
    "less plain biases": "difference from plain biases",
    "less that step": "difference from that step",
    "random RMSE": "RMSE, random splits",
    "seq-aware RMSE": "RMSE, seq-aware split",
    "seq-aware less AutoRec": "difference there",
    "unclipped": "random splits, not clipped",
    "fit, s": "seconds to fit",
    "n": "runs",
    "key": "quantity",
    "sd": "standard deviation",
    "low": "lowest",
    "high": "highest",
    "difference": "difference from the code it is compared with",
    "p_value": "p",
    "split_digest": "digest of the split",
    "of the chapter's run": "quantity",
    "train_loss": "train loss",
    "the paper": "the paper's",
    "verdict": "",
    "I-AutoRec with, or": "network",
}
"""What the columns of the tables are called for readers."""

QUANTITIES = {
    "printed": "test RMSE, code as printed",
    "sum": "test RMSE, sum over observed ratings, wd as printed",
    "sum_balanced": "test RMSE, sum over observed ratings, wd x 943",
    "no_bias_decay": "test RMSE, no decay of biases",
    "no_decay": "test RMSE, no decay at all",
    "no_dropout": "test RMSE, no dropout",
    "input_dropout": "test RMSE, dropout on the input instead of the code",
    "no_rollover": "test RMSE, each item once an epoch",
    "centred_mask": "test RMSE, ratings minus 3, explicit mask",
    "centred_sign": "test RMSE, ratings minus 3, mask by sign",
    "centred_sign_printed": "RMSE printed, ratings minus 3, mask by sign",
    "validation": "test RMSE, epoch chosen on validation ratings",
    "validation_epoch": "epoch chosen on validation ratings",
    "best_on_test": "test RMSE, epoch chosen on test ratings",
    "best_epoch": "epoch chosen on test ratings",
    "clipped": "test RMSE, predictions clipped to 1..5",
    "defaulted": "test RMSE, 3 for items without ratings",
    "seq_aware": "test RMSE, seq-aware split",
    "other_draws": "test RMSE, one split, other draws",
    "mf": "test RMSE, matrix factorization",
    "mf_printed": "RMSE printed, matrix factorization",
    "mf_seq_aware": "test RMSE, matrix factorization, seq-aware split",
    "mf_seq_aware_printed": "RMSE printed, matrix factorization, seq-aware split",
    "train_rmse": "RMSE on the training ratings",
    "num_test": "test ratings",
    "cold_items": "items without training ratings",
    "cold_users": "users without training ratings",
    "cold_ratings": "test ratings of these items and users",
    "printed_loss": "train loss as printed",
    "mean_loss": "train loss, mean of a batch",
    "cells_per_second": "cells a second as printed",
    "wall_cells_per_second": "cells a second of the whole training",
    "rows_per_second": "rows a second",
    "engine_gap": "gap of this package's engine from the printed code, test RMSE",
    "float_gap": "gap of single from double precision, test RMSE",
}
"""What the quantities of ``fidelity/summary.csv`` are called for readers."""

TERMS = {
    "RMSE": (
        r"RMSE",
        "Root of the mean squared error, in stars, over all held-out ratings at once. Lower is "
        "better.",
    ),
    "a ± b (n)": (
        r"±",
        "Mean, half-width of its 95% confidence interval, and number of runs. The splits of a "
        "data set overlap, so the interval describes the luck of the split, not other people's "
        "ratings.",
    ),
    "random split": (
        r"random split",
        "The book's: each rating is held out for testing with a chance of one tenth.",
    ),
    "seq-aware split": (
        r"seq-aware",
        "The book's split for matrix factorization: the latest rating of each user is held out.",
    ),
    "u1 to u5, ua, ub": (
        r"\bu1\b",
        "The splits that MovieLens 100K comes with. u1 to u5 hold out a fifth of the ratings "
        "each, ua and ub ten ratings of each user.",
    ),
    "validation": (
        r"[Vv]alidation",
        "Ratings taken from the training part, usually a tenth, on which epochs and settings are "
        "chosen. The test ratings are not used for this.",
    ),
    "tuned": (
        r"\btuned\b",
        "The settings, and where possible the epoch, are chosen on validation ratings.",
    ),
    "item-based, user-based": (
        r"(item|user)-based|[IU]-AutoRec",
        "A row that the network reads is an item with its users' ratings (the book's; I-AutoRec "
        "in the paper), or a user with the ratings given (U-AutoRec).",
    ),
    "clipped": (r"clipp", "Predictions below 1 are set to 1, those above 5 to 5."),
    "λ": (r"λ", "The weight of the squared weights in the paper's objective."),
    "p, Holm": (
        r"p, Holm",
        "Wilcoxon's signed-rank test of the paired differences, two-sided, with Holm's correction "
        "for the number of models: below 0.05, the chance that any of them is found different by "
        "luck is below 5%.",
    ),
    "a (b to c)": (
        r"\d \([-+]\d\S* to [-+]",
        "A difference on the seq-aware split and its 95% interval, from resampling the users.",
    ),
    "p": (
        r"\bp\b(?!, Holm)",
        "Wilcoxon's signed-rank test of the paired differences, two-sided, not corrected for the "
        "number of comparisons.",
    ),
    "user and item biases": (
        r"[Uu]ser and item bias",
        "The mean of all ratings, plus how far the ratings of this user and of this item lie from "
        "it. Both are shrunken, that is averaged with ratings of no effect: ten of them where the "
        "biases are plain, as many as the training ratings suggest where that is estimated.",
    ),
    "above biases": (
        r"above biases|(, |^)above the mean",
        "The network predicts what is left after the mean of all ratings, or after the mean and "
        "the shrunken biases of user and item.",
    ),
    "blend": (
        r"\b[Bb]lend",
        "A weighted sum of several models, with weights chosen on validation ratings.",
    ),
    "stack": (
        r"\b[Ss]tack of \d",
        "A blend whose weights depend on the number, mean and spread of the user's and the item's "
        "ratings and on the blend's prediction: feature-weighted linear stacking.",
    ),
    "cosine": (r"cosine", "The learning rate falls to zero along the first half of a cosine."),
    "triad": (
        r"triad",
        "A loop that reads two long arrays and writes a third: the most that memory can move.",
    ),
    "dist_sync": (
        r"dist_sync",
        "MXNet's training with several processes that wait for one another's sums in each step.",
    ),
    "over": (
        r" over (the (book|memory|machine|rate)|PyTorch|fast|1M|1 process)",
        "A ratio: the time (or memory) of the first divided by that of the second.",
    ),
}
"""Term: where it is used (a regular expression), and its definition in a line."""
