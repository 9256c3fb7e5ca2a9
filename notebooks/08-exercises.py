# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 8 · Exercises
#
# *60 minutes. You need lessons 4 and 6.*
#
# The chapter ends with three exercises: change the size of the hidden layer, add hidden layers,
# try other activations. There is no answer in the book. Here you make short runs, look at long
# ones, and end with an experiment of your own. After this lesson you can
#
# - choose the number of epochs fairly when networks of different sizes are compared,
# - say which changes to the chapter's network help and which cannot,
# - plan an experiment in which the test ratings choose nothing.
#
# The next cell installs the course's package where it is missing, as in a hosted notebook.

# %%
import importlib.util
import subprocess
import sys
from pathlib import Path

# What pip installs: a wheel that lies beside this notebook, this repository, or a name.
wheels = sorted(Path().glob("d2l_autorec-*.whl"))
source = wheels[-1] if wheels else ".." if Path("../d2l_autorec").is_dir() else "d2l-autorec"

if importlib.util.find_spec("d2l_autorec") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", source], check=True)

# %%
import numpy as np
import pandas as pd

from d2l_autorec.course import pictures_results as pictures
from d2l_autorec.course.lesson import draws, movielens, show, stored
from d2l_autorec.data.split import holdout_split
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.training.run import Plan, train

# %% [markdown]
# Your own number: the seed of the split and of the network's initial weights.

# %%
STUDENT = 0

# %% [markdown]
# ## A run in a second
#
# The book's loop takes about ten seconds for 25 epochs. The package's sparse engine makes the
# same updates in about a second, because it works on the known ratings only. A tenth of the
# ratings is for the test; of the rest another tenth is for validation, and the validation RMSE is
# known after each epoch. `run` trains the chapter's network with some changes.

# %%
ratings = movielens()
split = holdout_split(len(ratings.table), 0.1, seed=STUDENT)
chapter = RECIPES["chapter"].but(draws="numpy", val_ratio=0.1, num_epochs=50)


def run(**changes):
    """Train with some changes; return the result and the validation RMSE of each epoch."""
    plan = Plan(chapter.but(**changes), engine="sparse", seed=STUDENT)
    _, result, epochs = train(ratings, plan, rows=split)
    return result, [epoch.rmse for epoch in epochs]


# %% [markdown]
# ## Exercise 1: the size of the hidden layer
#
# The chapter has 500 hidden units. Before you look: which would be better, 10, 100 or 500? Why?

# %%
curves = {"500 units": run(hidden=(500,))[1]}

# %%
curves.update((f"{size} units", run(hidden=(size,))[1]) for size in (100, 10))
at_25 = {name: round(curve[24], 3) for name, curve in curves.items()}
assert at_25["10 units"] > at_25["100 units"] > at_25["500 units"]
at_25

# %% [markdown]
# After the book's 25 epochs, 500 units are far ahead. But is that the size, or the time?

# %%
last_ten = {name: curve[-11] - curve[-1] for name, curve in curves.items()}
assert last_ten["500 units"] < 0.008 < 0.03 < last_ten["10 units"]
show(
    pictures.validation_curves(curves),
    "10 units still fall fast after 50 epochs, 100 units slowly; 500 units have come to an end.",
)

# %% [markdown]
# Small networks learn more slowly here, and have not come to their end. A fixed number of epochs
# favours the large one. So each network is given as many epochs as it needs: its training goes on
# until the validation RMSE has stopped falling, and the best epoch counts.
#
# ## Task 1: stop in time (4 points)
#
# `curve` holds the validation RMSE of the epochs 1, 2, .... Training stops as soon as `patience`
# epochs in a row were no better than the best before them; what comes later is never seen. Return
# the number of the best epoch, and its RMSE. Of equal epochs the first is the best.


# %% task="stop"
def best_epoch(curve, patience):
    """Return the number of the best epoch that training would see, and its RMSE."""
    ### BEGIN SOLUTION
    best, lowest = 0, float("inf")
    for epoch, rmse in enumerate(curve, 1):
        if rmse < lowest:
            best, lowest = epoch, rmse
        elif epoch - best >= patience:
            break
    return best, lowest
    ### END SOLUTION


# %%
{name: best_epoch(curve, patience=5) for name, curve in curves.items()}

# %% check="stop" points=1
assert best_epoch([1.0, 0.9, 0.95, 0.97], patience=5) == (2, 0.9)

# %% check="stop" points=3
assert best_epoch([1.0, 0.9, 0.95, 0.97, 0.8], patience=2) == (2, 0.9), "it has stopped by then"
assert best_epoch([1.0, 0.9, 0.95, 0.97, 0.8], patience=3) == (5, 0.8)
### BEGIN HIDDEN TESTS
assert best_epoch([0.9, 0.9, 0.9, 0.7], patience=2) == (1, 0.9)
hidden_curve = (1 + draws(STUDENT, "stop").normal(size=40).round(3)).tolist()
for hidden_patience in (1, 2, 4, 50):
    hidden_seen = next(
        (
            end
            for end in range(hidden_patience + 1, 41)
            if min(hidden_curve[end - hidden_patience : end])
            >= min(hidden_curve[: end - hidden_patience])
        ),
        40,
    )
    hidden_lowest = min(hidden_curve[:hidden_seen])
    hidden_want = (hidden_curve.index(hidden_lowest) + 1, hidden_lowest)
    assert best_epoch(hidden_curve, hidden_patience) == hidden_want
### END HIDDEN TESTS

# %% [markdown]
# The long runs: eight sizes, five splits each, up to 600 epochs, patience 20. They are kept in
# `results/exercises`. A bar is a 95% interval (lesson 6).

# %%
runs = stored("exercises/runs.csv")
book = {"encoder": "sigmoid", "decoder": "identity", "init": "normal", "targets": "stars"}
sizes = runs[(runs[list(book)] == pd.Series(book)).all(axis=1) & runs["hidden"].str.isdigit()]
by_size = sizes.astype({"hidden": int}).groupby("hidden")
assert by_size["val_rmse"].mean().idxmin() == 500 and by_size["epoch"].median()[10] > 300
show(
    pictures.by_size(by_size),
    "Left: the test RMSE falls up to 200 units, is flat to 1000 and rises at 2000. Right: the "
    "best epoch falls from about 350 to 29.",
)

# %% [markdown]
# From 100 to 1,000 units the size hardly matters, once each network has its own number of epochs.
# Validation chooses 500, the book's size. Too few units cannot hold what there is to know, and
# 2,000 are worse again.
#
# ## Exercise 2: more layers
#
# A second hidden layer makes the network deeper. Does it also make it larger?
#
# ## Task 2: count the parameters (3 points)
#
# A layer from $a$ to $b$ units has $a \cdot b$ weights and $b$ biases. The network goes from
# `num_users` inputs through the `hidden` layers, such as `(200, 200)`, to `num_users` outputs. How
# many parameters does it have?


# %% task="count"
def num_parameters(hidden, num_users):
    """Return the number of weights and biases."""
    ### BEGIN SOLUTION
    layers = (num_users, *hidden, num_users)
    return sum((a + 1) * b for a, b in zip(layers, layers[1:]))
    ### END SOLUTION


# %%
for hidden in [(500,), (200, 200), (500, 500), (500, 500, 500)]:
    print(hidden, f"{num_parameters(hidden, ratings.num_users):,}")

# %% check="count" points=1
assert num_parameters((2,), 3) == 3 * 2 + 2 + 2 * 3 + 3

# %% check="count" points=2
assert num_parameters((2, 4), 3) == 3 * 2 + 2 + 2 * 4 + 4 + 4 * 3 + 3
### BEGIN HIDDEN TESTS
for hidden_layers in [(5,), (7, 2, 7), tuple(draws(STUDENT, "count").integers(1, 9, 4).tolist())]:
    hidden_shapes = Architecture(hidden=hidden_layers).weight_shapes(11).values()
    hidden_total = sum(int(np.prod(shape)) for shape in hidden_shapes)
    assert num_parameters(hidden_layers, 11) == hidden_total
### END HIDDEN TESTS

# %% [markdown]
# A network of two layers with 200 units has less than half of the parameters of the chapter's. Now
# a short run with two layers of 100 units, and with two kinds of initial weights: the chapter's,
# drawn with a standard deviation of 0.01, and Xavier's, which are larger.

# %%
deep = {
    "100 units": curves["100 units"],
    "100-100, the chapter's": run(hidden=(100, 100))[1],
    "100-100, Xavier's": run(hidden=(100, 100), init="xavier")[1],
}
assert deep["100-100, Xavier's"][-1] < deep["100-100, the chapter's"][-1] - 0.01
show(
    pictures.validation_curves(deep, highest=1.2),
    "Two layers with the chapter's weights stop at 0.95; with Xavier's they are as good as one.",
)

# %% [markdown]
# Two layers with small initial weights come to a halt, for now. A likely reason: each layer passes
# on little of what comes in, and little of the gradient comes back, the more so the more layers
# there are. The long runs:

# %%
depth = stored("exercises/depth.csv")
best_of = depth.loc[depth.groupby("init")["val_rmse"].idxmin()].set_index("init")
assert best_of.loc["normal", "hidden"] == "500" and best_of.loc["xavier", "hidden"] == "200-200"
show(
    pictures.by_depth(depth),
    "Left: with the chapter's weights each layer more makes it worse. Right: with Xavier's, two "
    "layers are as good as one or better, three are worse.",
)

# %% [markdown]
# The best network of one layer has a test RMSE of 0.8819 ± 0.0061 (5), the best of two 0.8811 ±
# 0.0069 (5). That is no difference. A third layer costs more than a hundredth. On these ratings
# depth does not pay, and with unsuitable initial weights it harms.
#
# ## Exercise 3: activations
#
# The hidden layer of the chapter has a sigmoid, the output has none (`identity`). There are five
# other functions to try in each place. Some can be ruled out by thinking.
#
# ## Task 3: what an output cannot say (3 points)
#
# The output of a sigmoid or a tanh is below 1. Ratings are 1 to 5. Let `stars` be some ratings and
# `top` the largest number that an output can have. What is the lowest RMSE that any such network
# can reach, if it hits every rating as nearly as it can? It can say any number from 0 to `top`.


# %% task="floor"
def lowest_rmse(stars, top):
    """Return the RMSE of the best predictions between 0 and top."""
    ### BEGIN SOLUTION
    return np.sqrt(np.mean((np.minimum(stars, top) - stars) ** 2))
    ### END SOLUTION


# %%
stars = ratings.table["rating"].to_numpy()
f"no output above 1: test RMSE at least {lowest_rmse(stars[split[1]], 1):.2f}"

# %% check="floor" points=1
assert lowest_rmse(np.array([1.0, 3.0]), 5) == 0
assert lowest_rmse(np.array([2.0, 2.0]), 1) == 1

# %% check="floor" points=2
assert abs(lowest_rmse(np.array([1.0, 5.0]), 3) - 2**0.5) < 1e-9
### BEGIN HIDDEN TESTS
hidden_stars = draws(STUDENT, "floor").integers(1, 6, 30)
hidden_errors = [max(star - 2.5, 0) ** 2 for star in hidden_stars.tolist()]
assert abs(lowest_rmse(hidden_stars, 2.5) - (sum(hidden_errors) / 30) ** 0.5) < 1e-9
### END HIDDEN TESTS

# %% [markdown]
# So on ratings as they are, 12 of the 36 pairs cannot work. Divide the ratings by 5, and they can.
# The long runs, with both:

# %%
activations = stored("exercises/activations.csv")
pairs = activations[activations["init"] == "normal"]
closed = pairs[(pairs["targets"] == "stars") & pairs["decoder"].isin(["sigmoid", "tanh"])]
assert closed["test_rmse"].min() > 2.7 and len(closed) == 12
best_pair = pairs.loc[pairs["val_rmse"].idxmin()]
assert (best_pair["encoder"], best_pair["targets"]) == ("sigmoid", "stars")
unit = pairs[pairs["targets"] == "unit"]
assert (unit.loc[unit.groupby("encoder")["test_rmse"].idxmin(), "decoder"] == "sigmoid").all()
show(
    pictures.activation_tables(activations),
    "Left: a sigmoid in the hidden layer is best with any open output; closed outputs are 2.77. "
    "Right: with ratings divided by 5 a sigmoid output is best in every row.",
)

# %% [markdown]
# On the left, a sigmoid in the hidden layer is best, with any output that can say 5. That
# identity, relu, elu and selu come to the same in its row is no wonder: an output in stars is
# above 0, and there they are straight lines. On the right a sigmoid output is best in every row,
# and within a hundredth of the best on the left: it cannot leave the scale of the ratings. The
# book's pair stands.
#
# ## Task 4: your own experiment (4 points)
#
# Try at least three changes of your own with `run`. You can change `hidden`, `encoder`, `decoder`,
# `dropout`, `lr`, `wd`, `batch_size`, `init`, `num_epochs`, and stop in time with `patience=5`.
# Keep the first of what `run` returns in `results`, under a name of your own. Then put the name of
# the one that you would keep into `chosen`. Choose by `result.val_rmse`, and do not look at
# `result.test_rmse` before.

# %% task="own"
results = {}
### BEGIN SOLUTION
results["300 units"], _ = run(hidden=(300,))
results["relu"], _ = run(encoder="relu", patience=5)
results["less dropout, faster"], _ = run(dropout=0.02, lr=0.004, patience=5)
chosen = min(results, key=lambda name: results[name].val_rmse)
### END SOLUTION

# %% check="own" points=2
assert len(results) >= 3 and all(0.8 < result.val_rmse < 4 for result in results.values())
### BEGIN HIDDEN TESTS
assert len({result.val_rmse for result in results.values()}) >= 3
### END HIDDEN TESTS

# %% check="own" points=2
assert chosen in results
### BEGIN HIDDEN TESTS
assert results[chosen].val_rmse == min(result.val_rmse for result in results.values())
### END HIDDEN TESTS

# %% [markdown]
# Now, and only for the one that you have chosen, the test ratings (this needs task 4):

# %%
print(f"{chosen}: validation {results[chosen].val_rmse:.3f}", end=", ")
print(f"test RMSE {results[chosen].test_rmse:.3f}, two biases {results[chosen].biases_rmse:.3f}")

# %% [markdown]
# One split, one run: you know from lesson 6 what a difference of 0.005 is worth here. To know
# whether your change helps, you would compare it with the chapter's network on many splits, as in
# lesson 7.
#
# ## Summary
#
# - Give each network the epochs it needs, chosen on validation ratings. A fixed number favours
#   some.
# - Size: 100 to 1,000 hidden units differ little. Depth: two layers are no better than one.
# - Activations: an output that cannot say 5 cannot predict 5. The book's pair is among the best.
# - The settings of the book are good; its 25 epochs are too few. Stopped at its best epoch, about
#   the 51st, the same network has 0.882 in place of 0.900.
#
# Next: what the network says about films.
#
# ## If you have time
#
# 1. Find a network with at most 50,000 parameters that has the lowest validation RMSE you can get.
# 2. Dropout: compare 0, 0.05, 0.3 and 0.6, each with its own best epoch.
# 3. In the picture of the activations, which row changes most between left and right? Why?
