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
# # 3 · Matrix factorization
#
# *60 minutes. You need lesson 2, and to have trained some network before, in any framework.*
#
# Biases say the same of everyone. Matrix factorization learns taste: it gives each user and each
# film a few numbers and lets them meet. After this lesson you can
#
# - write the model as a Gluon block, and its training loop,
# - say why the loop never meets an empty cell,
# - see when a model starts to learn its ratings by heart.
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
from mxnet import autograd, gluon, init, np, npx
from mxnet.gluon import nn

from d2l_autorec.course import pictures
from d2l_autorec.course.lesson import draws, movielens, show
from d2l_autorec.data.split import holdout_split
from d2l_autorec.models.biases import fit_biases
from d2l_autorec.runtime import seed_everything

npx.set_np()

# %% [markdown]
# `np` is MXNet's own NumPy here: the same names, and arrays that gradients can be taken of. Your
# own number seeds the split, the initial weights and the order of the ratings:

# %%
STUDENT = 0

# %% [markdown]
# ## The idea
#
# Let every user have a vector $\mathbf{p}_u$ and every film a vector $\mathbf{q}_i$ of the same
# length. Think of each place as a kind of film: $\mathbf{q}_i$ says how much of it is in the film,
# $\mathbf{p}_u$ how much the user likes it. Nobody writes down what the kinds are; they are
# learned. The prediction is their product, plus the two biases of lesson 2:
#
# $$\hat{R}_{ui} = \mathbf{p}_u \cdot \mathbf{q}_i + b_u + b_i$$
#
# All products at once are a product of two thin matrices:

# %%
show(
    pictures.factors(draws(STUDENT, "picture")),
    "A film's row of Q and a user's column of P, multiplied, give one cell of the rating matrix.",
)

# %% [markdown]
# A million and a half cells are made of 2,625 vectors. So the model cannot store the cells: to
# be right about many of them, users of like taste must share their numbers.
#
# ## Task 1: the model (5 points)
#
# An embedding, `nn.Embedding(n, k)`, is a table of `n` vectors of length `k`; called with an array
# of places, it looks their vectors up. Fill in the four tables and the prediction. `users` and
# `items` are arrays of places, shape `(batch,)`, and so is the result: one rating for each pair.


# %% task="model"
class MF(nn.Block):
    """Matrix factorization with biases."""

    def __init__(self, num_factors, num_users, num_items):
        super().__init__()
        ### BEGIN SOLUTION
        self.P = nn.Embedding(num_users, num_factors)
        self.Q = nn.Embedding(num_items, num_factors)
        self.user_bias = nn.Embedding(num_users, 1)
        self.item_bias = nn.Embedding(num_items, 1)
        ### END SOLUTION

    def forward(self, users, items):
        """Predict the ratings of pairs."""
        ### BEGIN SOLUTION
        match = (self.P(users) * self.Q(items)).sum(axis=1)  # (batch,)
        return match + self.user_bias(users)[:, 0] + self.item_bias(items)[:, 0]
        ### END SOLUTION


# %%
small = MF(3, num_users=5, num_items=4)
small.initialize(init.Normal(1))
small(np.array([0, 1, 1]), np.array([3, 3, 0])).round(2)

# %% check="model" points=1
assert small(np.array([0, 1]), np.array([3, 3])).shape == (2,), "one rating for each pair"

# %% check="model" points=2
shapes = sorted(p.data().shape for p in small.collect_params().values())
assert shapes == [(4, 1), (4, 3), (5, 1), (5, 3)], shapes

# %% check="model" points=2
alone, pair = small(np.array([1]), np.array([3])), small(np.array([0, 1]), np.array([0, 3]))
assert abs(float(alone[0] - pair[1])) < 1e-6, "a prediction depends on its own pair only"
### BEGIN HIDDEN TESTS
import numpy as hidden_numpy

hidden_rng = draws(STUDENT, "model")
hidden_net = MF(2, 5, 4)
hidden_net.initialize()
hidden_values = {}
for hidden_parameter in hidden_net.collect_params().values():
    hidden_values[hidden_parameter.shape] = hidden_rng.normal(size=hidden_parameter.shape)
    hidden_parameter.set_data(np.array(hidden_values[hidden_parameter.shape]))
hidden_u, hidden_i = hidden_rng.integers(0, 5, 6), hidden_rng.integers(0, 4, 6)
hidden_found = hidden_net(np.array(hidden_u), np.array(hidden_i)).asnumpy()
hidden_full = hidden_values[5, 2] @ hidden_values[4, 2].T
hidden_full = hidden_full + hidden_values[5, 1] + hidden_values[4, 1].T
assert hidden_numpy.allclose(hidden_found, hidden_full[hidden_u, hidden_i], atol=1e-4)
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: one step of training (4 points)
#
# Training takes a batch of ratings, predicts them, and moves the parameters a little so that the
# loss becomes smaller. `loss(predicted, stars)` gives a number for each rating; `trainer.step(n)`
# makes the move for a batch of `n` ratings. Return the mean loss of the batch as a Python float.


# %% task="step"
def step(net, loss, trainer, users, items, stars):
    """Make one step of training on a batch, and return its mean loss."""
    ### BEGIN SOLUTION
    with autograd.record():
        losses = loss(net(users, items), stars)
    losses.backward()
    trainer.step(len(stars))
    return float(losses.mean())
    ### END SOLUTION


# %%
l2 = gluon.loss.L2Loss()
trainer = gluon.Trainer(small.collect_params(), "sgd", {"learning_rate": 0.2})
batch = np.array([0, 1, 1]), np.array([3, 3, 0]), np.array([4.0, 2.0, 5.0])
losses = [step(small, l2, trainer, *batch) for _ in range(60)]
print(f"loss before {losses[0]:.3f}, after 60 steps {losses[-1]:.3f}")

# %% check="step" points=1
assert isinstance(losses[0], float)

# %% check="step" points=3
assert losses[-1] < losses[0] / 2, "60 steps on 3 ratings must fit them better"
### BEGIN HIDDEN TESTS
hidden_net = MF(2, 5, 4)
hidden_net.initialize(init.Normal(1))
hidden_net(np.array([0]), np.array([0]))
hidden_trainer = gluon.Trainer(hidden_net.collect_params(), "sgd", {"learning_rate": 0.1})
hidden_before = [p.data().asnumpy().copy() for p in hidden_net.collect_params().values()]
hidden_batch = np.array([0, 2]), np.array([1, 1]), np.array([4.0, 2.0])
hidden_predicted = hidden_net(*hidden_batch[:2]).asnumpy()
hidden_mean = step(hidden_net, l2, hidden_trainer, *hidden_batch)
assert abs(hidden_mean - ((hidden_predicted - [4, 2]) ** 2 / 2).mean()) < 1e-4
hidden_error = (hidden_predicted - [4, 2]).mean()  # the gradient of film 1's bias
for hidden_old, hidden_parameter in zip(hidden_before, hidden_net.collect_params().values()):
    if hidden_parameter.shape == (4, 1):
        hidden_moved = hidden_parameter.data().asnumpy() - hidden_old
        assert abs(hidden_moved[1, 0] + 0.1 * hidden_error) < 1e-4
        assert hidden_moved[[0, 2, 3], 0].tolist() == [0, 0, 0]
### END HIDDEN TESTS

# %% [markdown]
# The lists that are trained on hold ratings only. An empty cell is not in them, so it cannot be
# taken for a zero. AutoRec reads whole rows of the matrix, empty cells included; lesson 4 will
# need a mask for what comes for free here.
#
# ## The data, and what is to be beaten

# %%
ratings = movielens()
num_users, num_items = ratings.num_users, ratings.num_items
columns = [ratings.table[name].to_numpy() for name in ("user", "item", "rating")]
train_rows, test_rows = holdout_split(len(columns[0]), 0.1, seed=STUDENT)
train, test = ([np.array(column[rows]) for column in columns] for rows in (train_rows, test_rows))

users, items, stars = (column[train_rows] for column in columns)
mean, film_bias, user_bias = fit_biases(items, users, stars, (num_items, num_users))
by_biases = mean + user_bias[columns[0][test_rows]] + film_bias[columns[1][test_rows]]
bias_rmse = float(((by_biases - columns[2][test_rows]) ** 2).mean() ** 0.5)
print(f"user and item biases: test RMSE {bias_rmse:.3f}")

# %% [markdown]
# ## Task 3: the score (2 points)
#
# `data` is a list of three arrays: users, items, stars. Return the RMSE of the network on them, as
# a Python float.


# %% task="score"
def rmse(net, data):
    """Return the RMSE of a network on users, items and stars."""
    ### BEGIN SOLUTION
    users, items, stars = data
    return float(np.sqrt(((net(users, items) - stars) ** 2).mean()))
    ### END SOLUTION


# %% check="score" points=2
perfect = [*batch[:2], small(*batch[:2])]
assert abs(rmse(small, perfect)) < 1e-6
assert abs(rmse(small, [*perfect[:2], perfect[2] + np.array([3.0, 0, 0])]) - 3**0.5) < 1e-4
### BEGIN HIDDEN TESTS
assert isinstance(rmse(small, perfect), float)
hidden_rng = draws(STUDENT, "score")
hidden_data = [np.array(hidden_rng.integers(0, high, 9)) for high in (5, 4, 6)]
hidden_found = small(*hidden_data[:2]).asnumpy() - hidden_data[2].asnumpy()
assert abs(rmse(small, hidden_data) - (hidden_found**2).mean() ** 0.5) < 1e-4
### END HIDDEN TESTS

# %% [markdown]
# ## Training
#
# All training ratings twelve times, in another order each time. 30 factors, the book's number;
# larger batches and steps than the book's, so that it takes seconds.


# %%
def train_mf(num_factors, num_epochs=12, batch_size=1024, lr=0.004, wd=1e-5):
    """Train a network; return it, and its RMSE on training and test ratings after each epoch."""
    seed_everything(STUDENT)
    rng = draws(STUDENT, "order")
    net = MF(num_factors, num_users, num_items)
    net.initialize(init.Normal(0.01))
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": lr, "wd": wd})
    history = {"train": [], "test": []}
    for _ in range(num_epochs):
        order = np.array(rng.permutation(len(train[0])))
        for begin in range(0, len(order), batch_size):
            rows = order[begin : begin + batch_size]
            step(net, l2, trainer, *(column[rows] for column in train))
        history["train"].append(rmse(net, train))
        history["test"].append(rmse(net, test))
    return net, history


net, history = train_mf(num_factors=30)
print(f"test RMSE {history['test'][-1]:.3f}")

# %%
show(
    pictures.train_and_test(history, bias_rmse),
    "The training RMSE falls faster than the test RMSE, which ends somewhat below the biases.",
)

# %%
assert 0.88 < history["test"][-1] < 0.94 and history["test"][-1] < bias_rmse
assert history["train"][-1] < history["test"][-1]

# %% [markdown]
# First the network learns the biases, as it must; then taste. On the ratings it has seen it is
# already far better than on the others: it begins to learn them by heart. With more factors and
# more epochs the gap grows, and in the end the test RMSE rises again. That is **overfitting**.
#
# ## What was learned
#
# Which films have vectors that point the same way as that of Star Wars, film 50? Only films with
# at least 100 ratings take part.

# %%
vectors = net.Q.weight.data().asnumpy()
lengths = (vectors**2).sum(axis=1) ** 0.5 + 1e-9
alike = vectors @ vectors[49] / (lengths * lengths[49])
often = ratings.table["item"].value_counts().reindex(range(num_items)) >= 100
found = ratings.items[["item_id", "title"]].assign(cosine=alike.round(2))[often]
found.nlargest(6, "cosine")

# %% [markdown]
# ## Task 4: the number of factors (3 points)
#
# Train with 100 factors, too. `results` maps the number of factors to the last test RMSE, `gaps`
# to how far apart training and test end. Then set `answer` to "shrinks" or "grows", as is true of
# the gap with more factors.

# %% task="factors"
results = {30: history["test"][-1]}
gaps = {30: history["test"][-1] - history["train"][-1]}
### BEGIN SOLUTION
_, wide = train_mf(100)
results[100] = wide["test"][-1]
gaps[100] = wide["test"][-1] - wide["train"][-1]
answer = "grows"
### END SOLUTION

# %%
{k: (round(results[k], 3), round(gaps[k], 3)) for k in sorted(results)}

# %% check="factors" points=2
assert sorted(results) == sorted(gaps) == [30, 100]
### BEGIN HIDDEN TESTS
assert results[30] + 0.01 < results[100] < 1.1 and gaps[30] + 0.1 < gaps[100]
### END HIDDEN TESTS

# %% check="factors" points=1
assert answer in ("shrinks", "grows"), "one of the two words"
### BEGIN HIDDEN TESTS
assert answer == "grows"
### END HIDDEN TESTS

# %% [markdown]
# ## Summary
#
# - Matrix factorization gives users and films vectors; their product, with two biases, is the
#   rating.
# - It trains on the list of ratings, so empty cells never count.
# - It beats the biases by a little, about as much as AutoRec does in the book. Whether AutoRec is
#   better is the question of lesson 7.
#
# Next: a network that reads a whole row at once.
#
# ## If you have time
#
# 1. Train with 30 factors for 40 epochs. When is the test RMSE lowest?
# 2. The book starts the vectors near zero, at a standard deviation of 0.01. What happens with
#    exactly zero? Look at the gradient of $\mathbf{p}_u$ before you try.
# 3. Which of Star Wars' neighbours are there because they are alike, and which because the same
#    people rated them?
