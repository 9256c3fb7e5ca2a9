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
# # 2 · Baselines
#
# *45 minutes. You need lesson 1.*
#
# Before a network is trained, ask what can be had without one. Some users are generous, some films
# are good, and that alone goes a long way. After this lesson you can
#
# - hold out ratings and score a model on them,
# - fit user and item biases, and say why they must be shrunken,
# - choose a setting without looking at the test ratings.
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

from d2l_autorec.course import pictures
from d2l_autorec.course.lesson import draws, movielens, show
from d2l_autorec.data.split import holdout_split

# %% [markdown]
# Your own number. Here it is the seed of the split: everyone holds out other ratings, and gets
# somewhat other results.

# %%
STUDENT = 0

# %% [markdown]
# ## Hold out
#
# A model that has seen a rating can repeat it. So a tenth of the ratings, drawn at random, is put
# aside: the **test ratings**. A model learns from the others and is scored on these.

# %%
ratings = movielens()
num_users, num_items = ratings.num_users, ratings.num_items
all_users, all_items, all_stars = (
    ratings.table[name].to_numpy() for name in ("user", "item", "rating")
)
train, test = holdout_split(len(all_stars), 0.1, seed=STUDENT)
users, items, stars = all_users[train], all_items[train], all_stars[train]
print(f"{len(train):,} ratings to learn from, {len(test):,} to test with")


def rmse(predicted, rows):
    """Return the RMSE of predictions for some rows of the table."""
    return float(np.sqrt(np.mean((predicted - all_stars[rows]) ** 2)))


mean = stars.mean()
print(f"always {mean:.2f} stars: test RMSE {rmse(mean, test):.3f}")

# %% [markdown]
# ## Films differ
#
# The next idea is to predict the mean of each film. But look at films with few ratings: their
# means are extreme.

# %%
counts = np.bincount(items, minlength=num_items)
means = np.bincount(items, stars, num_items) / np.maximum(counts, 1)
show(
    pictures.means_by_count(counts, means, mean),
    "The fewer ratings a film has, the further its mean may lie from the mean of all ratings.",
)

# %% [markdown]
# A film with a single rating of 5 is hardly the best of all films. So we say how far a film lies
# above or below the mean, its **bias**, and pull it towards zero if there are few ratings. With
# $n$ ratings that lie $d_1, \dots, d_n$ above the mean,
#
# $$b = \frac{d_1 + \dots + d_n}{n + s}$$
#
# The number $s$ is the **shrinkage**. It acts as if there were $s$ more ratings, all of them equal
# to the mean. A film without any rating has a bias of 0.
#
# ## Task 1: shrunken biases (3 points)
#
# `codes` says for each rating which film it is of, `above` how far it lies above the mean. There
# are `size` films. (The same function will serve for users.) `np.bincount` is of use.


# %% task="biases"
def biases(codes, above, size, shrinkage):
    """Return the bias of each code: shape (size,)."""
    ### BEGIN SOLUTION
    sums = np.bincount(codes, above, size)
    return sums / (np.bincount(codes, minlength=size) + shrinkage)
    ### END SOLUTION


# %%
biases(np.array([0, 0, 2]), np.array([1.0, 2.0, -1.0]), 3, shrinkage=1)

# %% check="biases" points=1
assert np.allclose(biases(np.array([0, 0, 2]), np.array([1.0, 2.0, -1.0]), 3, 1), [1, 0, -0.5])

# %% check="biases" points=2
rng = draws(STUDENT, "biases")  # drawn for you
codes, above = rng.integers(0, 6, 20), rng.normal(size=20)
assert biases(codes, above, 8, 5).shape == (8,)
### BEGIN HIDDEN TESTS
for hidden_shrinkage in (0.5, 5, 30):
    for hidden_code, hidden_bias in enumerate(biases(codes, above, 8, hidden_shrinkage)):
        hidden_own = [a for c, a in zip(codes, above) if c == hidden_code]
        assert abs(hidden_bias - sum(hidden_own) / (len(hidden_own) + hidden_shrinkage)) < 1e-9
### END HIDDEN TESTS

# %% [markdown]
# What this gives for films alone, and for users alone:

# %%
film_bias = biases(items, stars - mean, num_items, 10)
user_bias = biases(users, stars - mean, num_users, 10)
scores = {"the mean": rmse(mean, test)}
scores["the user's bias"] = rmse(mean + user_bias[all_users[test]], test)
scores["the film's bias"] = rmse(mean + film_bias[all_items[test]], test)
{name: round(score, 3) for name, score in scores.items()}

# %% [markdown]
# ## Task 2: both together (4 points)
#
# Adding the two biases counts some things twice: users who see good films only look generous. So
# fit them in turns. The film biases are fitted to what is left of the ratings without the user
# biases, then the user biases to what is left without the film biases, and so on, ten times. Both
# begin at 0.


# %% task="both"
def fit(users, items, stars, shrinkage=10, turns=10):
    """Return the mean, the film biases (num_items,) and the user biases (num_users,)."""
    mean = stars.mean()
    film_bias, user_bias = np.zeros(num_items), np.zeros(num_users)
    ### BEGIN SOLUTION
    for _ in range(turns):
        film_bias = biases(items, stars - mean - user_bias[users], num_items, shrinkage)
        user_bias = biases(users, stars - mean - film_bias[items], num_users, shrinkage)
    ### END SOLUTION
    return mean, film_bias, user_bias


# %%
model = fit(users, items, stars)
print(f"mean {model[0]:.2f}; Star Wars {model[1][49]:+.2f}; user 7 {model[2][6]:+.2f}")

# %% check="both" points=1
assert model[1].shape == (num_items,) and np.abs(model[1]).max() > 0.5

# %% check="both" points=3
left = stars - model[0] - model[1][items] - model[2][users]
assert abs(np.mean(left)) < 0.05, "what is left lies about zero"
### BEGIN HIDDEN TESTS
from d2l_autorec.models.biases import fit_biases as hidden_fit

hidden_model = hidden_fit(items, users, stars, (num_items, num_users), (10, 10), 10)
assert np.allclose(model[1], hidden_model[1], atol=1e-5)
assert np.allclose(model[2], hidden_model[2], atol=1e-5)
### END HIDDEN TESTS

# %% [markdown]
# ## Task 3: predict (2 points)
#
# Predict the ratings of pairs of users and films. Nobody can give 5.4 stars or 0.7: keep the
# predictions within 1 to 5.


# %% task="predict"
def predict(model, users, items):
    """Return the predicted ratings of pairs, one for each entry of users and items."""
    mean, film_bias, user_bias = model
    ### BEGIN SOLUTION
    return np.clip(mean + film_bias[items] + user_bias[users], 1, 5)
    ### END SOLUTION


# %% check="predict" points=1
made = (3.0, np.array([0.5, -1.0]), np.array([0.25, 1.0]))
assert predict(made, np.array([0, 1]), np.array([1, 0])).tolist() == [2.25, 4.5]

# %% check="predict" points=1
made = (3.0, np.array([1.5, -2.0]), np.array([-1.0, 1.0]))
assert predict(made, np.array([0, 1, 0]), np.array([1, 0, 0])).tolist() == [1, 5, 3.5]
### BEGIN HIDDEN TESTS
hidden_pairs = list(zip(all_users[test].tolist(), all_items[test].tolist()))[:200]
for (hidden_user, hidden_item), hidden_found in zip(
    hidden_pairs, predict(model, all_users[test][:200], all_items[test][:200])
):
    hidden_sum = model[0] + model[1][hidden_item] + model[2][hidden_user]
    assert abs(min(max(hidden_sum, 1), 5) - hidden_found) < 1e-5
### END HIDDEN TESTS

# %% [markdown]
# What a prediction is made of, for user 7 and three films:

# %%
show(
    pictures.sums(model, 6, {ratings.items["title"][i]: i for i in (49, 120, 677)}),
    "The mean, the user's bias and the film's bias add up to the prediction.",
)

# %%
scores["both biases"] = rmse(predict(model, all_users[test], all_items[test]), test)
print(f"both biases: test RMSE {scores['both biases']:.3f}")
assert 0.92 < scores["both biases"] < 0.96 < scores["the film's bias"] < scores["the mean"]

# %% [markdown]
# ## Task 4: choose the shrinkage (3 points)
#
# Why 10? One could try some values and take the one with the lowest test RMSE. But then the test
# ratings would have helped to make the model, and its score would look better than it is. Put some
# of the *training* ratings aside instead, the **validation ratings**, and choose with these.
#
# `part` and `validation` are rows of the table: fit to `part`, score on `validation`. Return the
# shrinkage with the lowest RMSE.


# %% task="choose"
def choose(choices, part, validation):
    """Return the one of the choices with the lowest RMSE on the validation ratings."""
    ### BEGIN SOLUTION
    errors = {}
    for shrinkage in choices:
        fitted = fit(all_users[part], all_items[part], all_stars[part], shrinkage)
        predicted = predict(fitted, all_users[validation], all_items[validation])
        errors[shrinkage] = rmse(predicted, validation)
    return min(errors, key=errors.get)
    ### END SOLUTION


# %%
part, validation = (train[rows] for rows in holdout_split(len(train), 0.1, seed=STUDENT))
choices = [0.1, 1, 2, 5, 10, 20, 50]
best = choose(choices, part, validation)
print(f"best on the validation ratings: {best}")

# %% check="choose" points=1
assert choose([10_000, 10], part, validation) == 10

# %% check="choose" points=2
assert best in choices
### BEGIN HIDDEN TESTS
from d2l_autorec.models.biases import fit_biases as hidden_fit

hidden_errors = []
for hidden_choice in choices:
    hidden_mean, hidden_films, hidden_users = hidden_fit(
        all_items[part],
        all_users[part],
        all_stars[part],
        (num_items, num_users),
        (hidden_choice, hidden_choice),
        10,
    )
    hidden_sum = hidden_mean + hidden_films[all_items[validation]]
    hidden_sum += hidden_users[all_users[validation]]
    hidden_errors.append(np.mean((np.clip(hidden_sum, 1, 5) - all_stars[validation]) ** 2))
assert hidden_errors[choices.index(best)] < min(hidden_errors) + 1e-5
assert choose([20, 0.1], part[:5000], validation) == 20
### END HIDDEN TESTS

# %% [markdown]
# ## What a model must beat

# %%
chosen = fit(users, items, stars, best)
scores["both, shrinkage chosen"] = rmse(predict(chosen, all_users[test], all_items[test]), test)
show(
    pictures.ladder(scores),
    "Test RMSE falls from the mean to the biases; AutoRec in the book lies a step below.",
)

# %% [markdown]
# Two biases and a mean, without any idea of taste, come to between 0.92 and 0.95, depending on the
# split. The book's AutoRec prints 0.901, on a split of its own; lesson 7 compares on equal splits.
# So what a network knows of *taste*, beyond generous users and good films, is worth a few
# hundredths of a star. Whoever reports 0.95 for a network has shown nothing. In this course the
# biases stand beside every score.
#
# ## Summary
#
# - Score a model on ratings that it has not seen. Choose settings on a third set.
# - A mean of few numbers is no good estimate: shrink it.
# - On MovieLens 100K the mean is 1.1 stars wrong, both biases 0.94, the book's AutoRec 0.90.
#
# Next: taste.
#
# ## If you have time
#
# 1. Give users and films a shrinkage of their own. Does it help on the validation ratings?
# 2. Which film has the highest bias without shrinkage, and which with it?
# 3. Change `STUDENT` a few times. How far does each score move? (Lesson 6 is about that.)
