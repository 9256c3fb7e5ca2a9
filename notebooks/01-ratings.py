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
# # 1 · Ratings
#
# *40 minutes. You need Python and NumPy; no knowledge of recommender systems.*
#
# A film site knows what some people thought of some films. It would like to know what everyone
# would think of every film. This lesson looks at what is known. After it you can
#
# - put ratings into a matrix and say how much of it is known,
# - explain why an empty cell is not a rating of zero,
# - score a guess on the ratings only.
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
from d2l_autorec.course.lesson import movielens, show, small_matrix

# %% [markdown]
# Write your own number below: the one your teacher gave you, or any whole number. Some tasks use
# numbers that are drawn for you alone.

# %%
STUDENT = 0

# %% [markdown]
# ## The data
#
# MovieLens 100K was collected by the University of Minnesota in 1997 and 1998: people gave films 1
# to 5 stars. Users and films are known by numbers. In all lessons *user 7* and *film 7* are those
# with the number 7 in MovieLens' own files; the numbers start at 1. Inside a matrix they stand at
# place 6, because Python counts from 0.

# %%
ratings = movielens()
table = ratings.table
num_users, num_items = ratings.num_users, ratings.num_items
print(f"{len(table):,} ratings by {num_users} users of {num_items} films")
table.head(3)

# %% [markdown]
# `user` and `item` are places in the matrix. The first line above, in words:

# %%
first = table.iloc[0]
title = ratings.items["title"][first["item"]]
print(f"user {first['user'] + 1:.0f} gave {first['rating']:.0f} stars to {title}")

# %%
show(
    pictures.stars(table),
    "Left: most ratings are 3, 4 or 5 stars. Right: a few films have most of the ratings.",
)

# %% [markdown]
# Two things to remember. The mean lies above 3, the middle of the scale: people watch what they
# expect to like. And films are far from equally well known.
#
# ## Task 1: the matrix (3 points)
#
# The model of this course reads a matrix with **a row for each film and a column for each user**,
# and 0 where there is no rating. Write a function that fills it. `users` and `items` are places,
# `stars` the ratings; all three have one entry for each rating.


# %% task="matrix"
def rating_matrix(users, items, stars, num_users, num_items):
    """Return a float32 array of shape (num_items, num_users)."""
    ### BEGIN SOLUTION
    matrix = np.zeros((num_items, num_users), dtype="float32")
    matrix[items, users] = stars
    return matrix
    ### END SOLUTION


# %%
three = rating_matrix(np.array([0, 3, 3]), np.array([1, 0, 1]), np.array([5, 2, 4]), 4, 2)
three

# %% check="matrix" points=1
assert three.shape == (2, 4), "a row for each film, a column for each user"

# %% check="matrix" points=2
assert three.tolist() == [[0, 0, 0, 2], [5, 0, 0, 4]]
### BEGIN HIDDEN TESTS
hidden_matrix = small_matrix(STUDENT, "matrix", 9, 5)
hidden_items, hidden_users = hidden_matrix.nonzero()
hidden_found = rating_matrix(
    hidden_users, hidden_items, hidden_matrix[hidden_items, hidden_users], 5, 9
)
assert np.array_equal(hidden_found, hidden_matrix)
assert hidden_found.dtype == np.float32
### END HIDDEN TESTS

# %% [markdown]
# ## Most of it is empty
#
# Now the whole of MovieLens 100K. A dark point is a rating.

# %%
matrix = rating_matrix(table["user"], table["item"], table["rating"], num_users, num_items)
show(
    pictures.sparsity(matrix),
    "The matrix, films by users, is dark only where well-known films meet active users.",
)

# %% [markdown]
# ## Task 2: how much is known? (2 points)
#
# Return the share of the cells that hold a rating, between 0 and 1.


# %% task="known"
def known_share(matrix):
    """Return the share of cells with a rating."""
    ### BEGIN SOLUTION
    return (matrix > 0).mean()
    ### END SOLUTION


# %%
mine = small_matrix(STUDENT, "known")  # drawn for you
print(mine)
print(f"known: {known_share(mine):.3f}")

# %% check="known" points=1
assert known_share(three) == 3 / 8

# %% check="known" points=1
assert abs(known_share(matrix) - 100_000 / (943 * 1682)) < 1e-6
### BEGIN HIDDEN TESTS
assert abs(known_share(mine) - np.count_nonzero(mine) / mine.size) < 1e-6
### END HIDDEN TESTS

# %% [markdown]
# ## Task 3: the mean of a film (3 points)
#
# What is the mean rating of each film? An empty cell must not count, neither in the sum nor in the
# number of ratings. Here every film has at least one rating.


# %% task="means"
def film_means(matrix):
    """Return the mean rating of each film: shape (num_items,)."""
    ### BEGIN SOLUTION
    return matrix.sum(axis=1) / (matrix > 0).sum(axis=1)
    ### END SOLUTION


# %%
film_means(mine)

# %% check="means" points=1
assert film_means(mine).shape == (6,), "one number for each film"

# %% check="means" points=2
assert np.allclose(film_means(three), [2, 4.5])
### BEGIN HIDDEN TESTS
for hidden_found, hidden_row in zip(film_means(mine), mine):
    hidden_stars = [star for star in hidden_row.tolist() if star]
    assert abs(hidden_found - sum(hidden_stars) / len(hidden_stars)) < 1e-5
### END HIDDEN TESTS

# %% [markdown]
# The films with at least 100 ratings that people like best:

# %%
counts = (matrix > 0).sum(axis=1)
films = ratings.items[["item_id", "title", "year"]].assign(
    mean=film_means(matrix).round(2), ratings=counts
)
films[counts >= 100].nlargest(5, "mean")

# %% [markdown]
# ## Task 4: the score (4 points)
#
# A model fills the whole matrix with guesses. How good are they? The score of this course is the
# **RMSE**, the root of the mean squared error, in stars. It is 0 for perfect guesses. Write it in
# two ways: over all cells, with the zeros taken for ratings, and over the ratings only. `guess` is
# a matrix of the same shape.


# %% task="score"
def rmse_of_all(matrix, guess):
    """Return the RMSE over all cells."""
    ### BEGIN SOLUTION
    return np.sqrt(np.mean((guess - matrix) ** 2))
    ### END SOLUTION


def rmse_of_known(matrix, guess):
    """Return the RMSE over the cells that hold a rating."""
    ### BEGIN SOLUTION
    known = matrix > 0
    return np.sqrt(np.mean((guess - matrix)[known] ** 2))
    ### END SOLUTION


# %% check="score" points=1
assert abs(rmse_of_all(three, np.ones_like(three)) - np.sqrt((1 + 16 + 9 + 5) / 8)) < 1e-6

# %% check="score" points=3
assert abs(rmse_of_known(three, np.ones_like(three)) - np.sqrt((1 + 16 + 9) / 3)) < 1e-6
### BEGIN HIDDEN TESTS
hidden_guess = small_matrix(STUDENT, "guess", share=0.9)
hidden_errors = [g - r for g, r in zip(hidden_guess.ravel(), mine.ravel()) if r]
hidden_rmse = (sum(error**2 for error in hidden_errors) / len(hidden_errors)) ** 0.5
assert abs(rmse_of_known(mine, hidden_guess) - hidden_rmse) < 1e-5
### END HIDDEN TESTS

# %% [markdown]
# ## Zero is no rating
#
# Two models that anyone can write: one says 0 for every cell, the other says the mean rating.
# Which is better?

# %%
mean = table["rating"].mean()
guesses = {"always 0": np.zeros_like(matrix), f"always {mean:.2f}": np.full_like(matrix, mean)}
scores = {
    name: (rmse_of_all(matrix, guess), rmse_of_known(matrix, guess))
    for name, guess in guesses.items()
}
assert scores["always 0"][0] < 1 and 1.1 < scores[f"always {mean:.2f}"][1] < 1.15
show(
    pictures.guesses(scores),
    "Over all cells, guessing 0 wins; over the ratings only, guessing the mean wins by far.",
)

# %% [markdown]
# If an empty cell is taken for a rating of zero, the model that knows nothing wins: nearly all
# cells are empty, and it is right about every one of them. A network that learns from all cells
# becomes that model. So **the empty cells must stay out of the score, and out of what a model
# learns from.** In lesson 4 one line of code, the mask, sees to that.
#
# ## Summary
#
# - Ratings are a matrix, here with a row for each film and a column for each user.
# - 6.3% of it is known. The rest is to be guessed, and says nothing about taste by being empty.
# - The RMSE counts ratings only. Guessing the mean for all of them gives about 1.13 stars.
#
# Next: what must a model beat?
#
# ## If you have time
#
# 1. Are the empty cells really without information? Think of why somebody has not rated a film.
# 2. Some people are generous. Compute the mean of each user in the same way. How far apart are
#    they?
