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
# # 5 · Mistakes
#
# *60 minutes. You need lesson 4.*
#
# Each of the eight programs of this lesson defines `AutoRec` and `evaluator`, runs to its end and
# prints an RMSE. Each is wrong in one place, and people really make these mistakes. After this
# lesson you can
#
# - test a network and an evaluator without training them for long,
# - tell from a few numbers what is wrong,
# - distrust a good score.
#
# The next cell installs what is missing, as in a hosted notebook. It takes about a minute there,
# on Python 3.9 to 3.14, and leaves NumPy, pandas and Matplotlib as they are.

# %%
import importlib.util
import subprocess
import sys
from pathlib import Path

# What pip installs: a wheel that lies beside this notebook, this repository, or a name.
wheels = sorted(Path().glob("d2l_autorec-*.whl"))
source = wheels[-1] if wheels else ".." if Path("../d2l_autorec").is_dir() else "d2l-autorec"

if not all(importlib.util.find_spec(name) for name in ("d2l_autorec", "cloudpickle")):
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", f"{source}[course]"], check=True
    )
if importlib.util.find_spec("mxnet") is None:
    subprocess.run([sys.executable, "-m", "d2l_autorec", "install-mxnet"], check=True)

# %%
import d2l_autorec

print("d2l_autorec", d2l_autorec.__version__)  # imported before MXNet, it lets that run here

# %%
import mxnet as mx
import pandas as pd
from mxnet import autograd, gluon, np, npx

from d2l_autorec.chapter import autorec as right
from d2l_autorec.course import mistakes
from d2l_autorec.course import pictures_network as pictures
from d2l_autorec.course.checker import check_file
from d2l_autorec.course.lesson import draws, show, small_matrix
from d2l_autorec.course.questions import synthetic
from d2l_autorec.runtime import seed_everything

npx.set_np()

# %% [markdown]
# Your own number decides which program gets which letter, A to H.

# %%
STUDENT = 0

# %% [markdown]
# ## The eight
#
# In an order of their own, and not that of the letters:
#
# | name | what is wrong |
# | --- | --- |
# | `no_mask` | the network has no mask at all |
# | `mask_in_prediction` | the mask is on in training and in prediction |
# | `sigmoid_output` | the output passes through a sigmoid |
# | `softmax` | the output passes through a softmax over the users |
# | `dropout_always_on` | dropout acts in prediction, too |
# | `mean_over_all_entries` | the evaluator divides by the number of all cells |
# | `fed_test_ratings` | the evaluator shows the network the held-out ratings |
# | `matrix_transposed` | the evaluator swaps users and films |
#
# `versions["A"].AutoRec` and `versions["A"].evaluator` are the two pieces of program A. You will
# find out the names by measuring. (Python could tell you a module's name. That would be a pity.)

# %%
versions = {**mistakes.shuffled(draws(STUDENT, "letters")), "right": right}

# %% [markdown]
# ## What they report, and what is true
#
# First each program does what it was written for: it trains, and reports its score. The ratings
# are made up: 80 films of two kinds and 80 users of two kinds, half of the ratings held out. Then
# the right evaluator scores the same network.

# %%
train, held_out = (np.array(part) for part in synthetic(draws(STUDENT, "ratings"), 80, 80))


def train_small(AutoRec, num_epochs=60, batch_size=20):
    """Train a small network for a moment."""
    seed_everything(STUDENT)
    net = AutoRec(16, train.shape[1], 0.05)
    net.initialize(mx.init.Normal(0.1))
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.02})
    loss = gluon.loss.L2Loss()
    for _ in range(num_epochs):
        for begin in range(0, len(train), batch_size):
            rows = train[begin : begin + batch_size]
            with autograd.record():
                losses = loss(net(rows), rows)
            losses.backward()
            trainer.step(len(rows))
    return net


cpu = [mx.cpu()]
nets = {name: train_small(version.AutoRec) for name, version in versions.items()}
scores = {
    name: (
        version.evaluator(nets[name], [train], held_out, cpu),
        right.evaluator(nets[name], [train], held_out, cpu),
    )
    for name, version in versions.items()
}
mean = float(train.sum() / (train > 0).sum())
of_mean = float((((held_out - mean) * (held_out > 0)) ** 2).sum() / (held_out > 0).sum()) ** 0.5

# %%
show(
    pictures.reported_and_true(scores, of_mean),
    "Some versions predict badly; others predict well and report a wrong score.",
)

# %%
assert scores["right"][0] == scores["right"][1] < 0.6 < of_mean

# %% [markdown]
# Where the two points are far apart, the evaluator is wrong; where both are far to the right, the
# network is. But some programs look alike, and some look fine: there the score does not show the
# error. So look inside.
#
# ## Task 1: the output at empty cells (4 points)
#
# In training, the output at the empty cells must be 0. In prediction it must not. Return both
# shares: of the empty cells of `rows`, how many have an output of exactly 0 in training, and how
# many in prediction? Use `autograd.record()` for training.


# %% task="zeros"
def zeros_at_empty(net, rows):
    """Return the shares (in training, in prediction) of empty cells with an output of 0."""
    ### BEGIN SOLUTION
    with autograd.record():
        in_training = net(rows)
    empty = rows == 0
    return tuple(
        float(((output == 0) * empty).sum() / empty.sum()) for output in (in_training, net(rows))
    )
    ### END SOLUTION


# %%
rows = np.array(small_matrix(STUDENT, "rows", num_items=6, num_users=80))  # drawn for you
pd.DataFrame(
    {name: zeros_at_empty(net, rows) for name, net in nets.items()},
    index=["in training", "in prediction"],
).T

# %% check="zeros" points=2
assert tuple(zeros_at_empty(nets["right"], rows)) == (1, 0)

# %% check="zeros" points=2
assert tuple(zeros_at_empty(lambda rows: rows, rows)) == (1, 1)
### BEGIN HIDDEN TESTS
hidden_names = {m.__name__.rpartition(".")[2]: name for name, m in versions.items()}
assert tuple(zeros_at_empty(nets[hidden_names["no_mask"]], rows)) == (0, 0)
assert tuple(zeros_at_empty(nets[hidden_names["mask_in_prediction"]], rows)) == (1, 1)
hidden_share = zeros_at_empty(lambda rows: rows + (np.arange(80) < 20), rows)
hidden_count = int(((rows == 0).asnumpy()[:, 20:]).sum()) / int((rows == 0).sum())
assert abs(hidden_share[0] - hidden_count) < 1e-6
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: the output itself (4 points)
#
# Return four numbers about the predictions for `rows`: the lowest, the highest, the mean of the
# sums of the rows, and how far two predictions of the same rows are apart at most.


# %% task="outputs"
def outputs(net, rows):
    """Return (lowest, highest, mean sum of a row, largest difference of two predictions)."""
    ### BEGIN SOLUTION
    first, second = net(rows), net(rows)
    numbers = first.min(), first.max(), first.sum(axis=1).mean(), abs(first - second).max()
    return tuple(float(number) for number in numbers)
    ### END SOLUTION


# %%
names = ["lowest", "highest", "sum of a row", "apart"]
pd.DataFrame({name: outputs(net, rows) for name, net in nets.items()}, index=names).T.round(3)

# %% check="outputs" points=2
low, high, total, apart = outputs(nets["right"], rows)
assert low < high and apart == 0 and total > 80

# %% check="outputs" points=2
assert outputs(lambda rows: rows, rows)[0] == 0
### BEGIN HIDDEN TESTS
hidden_names = {m.__name__.rpartition(".")[2]: name for name, m in versions.items()}
hidden_found = outputs(lambda rows: rows, rows)
assert hidden_found[1] == float(rows.max()) and hidden_found[3] == 0
assert abs(hidden_found[2] - float(rows.sum()) / 6) < 1e-3
assert outputs(nets[hidden_names["dropout_always_on"]], rows)[3] > 0
### END HIDDEN TESTS

# %% [markdown]
# ## Task 3: a spy for the evaluator (6 points)
#
# Give an evaluator a network of which you know everything, and look at what it is shown. `Spy`
# stands for a network: it predicts `guess` for every cell, and keeps each batch it is called with
# in the list `seen`.


# %% task="spy"
class Spy:
    """A network that predicts the same for every cell, and remembers what it was shown."""

    def __init__(self, guess=3.0):
        self.guess = guess
        self.seen = []

    def __call__(self, rows):
        """Return the guess in the shape of the rows."""
        ### BEGIN SOLUTION
        self.seen.append(rows)
        return np.full_like(rows, self.guess)
        ### END SOLUTION


# %%
def spied(evaluator):
    """Return what the spy saw, against what it should see, and the score of its guess."""
    spy = Spy(guess=held_out.max() + 1)
    score = evaluator(spy, [train[:40], train[40:]], held_out, cpu)
    seen = np.concatenate(spy.seen)
    return {
        "saw training ratings": bool((seen == train).all()),
        "saw held-out ratings": bool((seen == held_out).all()),
        "saw users as rows": bool((seen == train.T).all()),
        "score": round(score, 3),
    }


expected = float((((held_out.max() + 1 - held_out) * (held_out > 0)) ** 2).sum()) ** 0.5
expected /= float((held_out > 0).sum()) ** 0.5
print(f"the score should be {expected:.3f}")
pd.DataFrame({name: spied(version.evaluator) for name, version in versions.items()}).T

# %% check="spy" points=3
spy = Spy(2.0)
assert spy(rows).shape == rows.shape and float(spy(rows).mean()) == 2
assert len(spy.seen) == 2 and (spy.seen[0] == rows).all()

# %% check="spy" points=3
assert abs(spied(right.evaluator)["score"] - expected) < 0.002
### BEGIN HIDDEN TESTS
hidden_names = {m.__name__.rpartition(".")[2]: name for name, m in versions.items()}
assert spied(versions[hidden_names["fed_test_ratings"]].evaluator)["saw held-out ratings"]
assert spied(versions[hidden_names["matrix_transposed"]].evaluator)["saw users as rows"]
assert spied(versions[hidden_names["mean_over_all_entries"]].evaluator)["score"] < expected * 0.8
### END HIDDEN TESTS

# %% [markdown]
# ## Task 4: name them (8 points)
#
# Write down which program has which mistake; a point for each.

# %% task="verdict"
verdict = {"A": "", "B": "", "C": "", "D": "", "E": "", "F": "", "G": "", "H": ""}
### BEGIN SOLUTION
for name, version in versions.items():
    in_training, in_prediction = zeros_at_empty(nets[name], rows)
    low, high, total, apart = outputs(nets[name], rows)
    found = spied(version.evaluator)
    if name == "right":
        continue
    verdict[name] = (
        "no_mask" if in_training < 1
        else "mask_in_prediction" if in_prediction > 0
        else "softmax" if abs(total - 1) < 1e-3
        else "sigmoid_output" if high <= 1
        else "dropout_always_on" if apart > 0
        else "fed_test_ratings" if found["saw held-out ratings"]
        else "matrix_transposed" if found["saw users as rows"]
        else "mean_over_all_entries"
    )  # fmt: skip
### END SOLUTION
verdict

# %% check="verdict" points=8
assert sorted(verdict) == list("ABCDEFGH"), "one name for each letter"
points = 8
### BEGIN HIDDEN TESTS
hidden_names = {m.__name__.rpartition(".")[2]: name for name, m in versions.items()}
points = sum(verdict[letter] == name for name, letter in hidden_names.items() if name != "autorec")
### END HIDDEN TESTS
assert set(verdict.values()) <= set(mistakes.MISTAKES) and points, "names from the table"
points

# %% [markdown]
# ## What the checker says
#
# `d2l-autorec check` does the same with arrays that it draws anew, from outside the program. Here
# is what it says of one of the eight:

# %%
report = check_file(mistakes.source("no_mask"))
print("\n".join(str(report).splitlines()[:14]))
assert report.finding("mask").state == "wrong"

# %% [markdown]
# ## Summary
#
# - Programs that are wrong run, learn something and print a score.
# - Four of the eight report a score that is not true of their predictions, and one of these comes
#   near the truth by chance. A good score shows little; a score that is too good deserves doubt.
# - Small inputs with known answers find in a second what a long training hides: give the network a
#   row with gaps, and the evaluator a network that you know.
#
# Next: is a difference of a hundredth luck?
#
# ## If you have time
#
# 1. Two of the wrong evaluators are harmless in one case each. With which matrices?
# 2. Write a ninth version, with a mistake of your own, and give it to your neighbour.
# 3. Train `no_mask` on MovieLens 100K with the code of lesson 4. What does it predict?
