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
# # 10 · Your own
#
# *50 minutes. You need lesson 9. If you have an account at Letterboxd, IMDb or Goodreads, export
# your ratings there before: Letterboxd has it under Settings, Data.*
#
# The last lesson is about ratings of your own: those that you have given yourself, and a file of
# many people's ratings, whatever they rate. Without any, the lesson makes up both. After it you
# can
#
# - bring ratings from elsewhere to a model's titles and scale,
# - give recommendations to somebody who was not in training,
# - train on a file of your own, and see whether there is anything to learn in it.
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
import re
import tempfile
from pathlib import Path

import numpy as np

from d2l_autorec.course import pictures_films as pictures
from d2l_autorec.course.lesson import draws, movielens, show
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.data.split import holdout_split
from d2l_autorec.data.synthetic import Synthetic
from d2l_autorec.data.synthetic_files import write_synthetic
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.serving.files import read_own_export
from d2l_autorec.serving.folder import make_model
from d2l_autorec.serving.foldin import new_user, score_new_user
from d2l_autorec.serving.matching import match_export
from d2l_autorec.serving.similar import vectors
from d2l_autorec.training.run import Plan, record, train

# %% [markdown]
# Your own number. It makes up a table of its own, and numbers for the checks.

# %%
STUDENT = 0

# %% [markdown]
# Your files, if you have some. `EXPORT` is what a site gave you, such as `"letterboxd.zip"` or
# `"ratings.csv"`. `TABLE` is a file with a line for each rating: who, what, how many stars. It may
# be CSV, Excel, Parquet or JSON lines; `d2l-autorec inspect FILE` says how it is understood. They
# stay on this machine.

# %%
EXPORT = ""
TABLE = ""

# %% [markdown]
# Without an export, here is a made-up one, in the form of Letterboxd's.

# %%
temporary = tempfile.TemporaryDirectory()  # it goes when the notebook is closed
folder = Path(temporary.name)
MADE = """Date,Name,Year,Letterboxd URI,Rating
2026-01-03,The Usual Suspects,1995,https://example.org/1,4.5
2026-01-03,Fargo,1996,https://example.org/2,5
2026-01-05,Toy Story,1995,https://example.org/3,4
2026-01-09,Pulp Fiction,1994,https://example.org/4,4.5
2026-01-17,Titanic,1997,https://example.org/5,2
2026-02-01,Independence Day,1996,https://example.org/6,1.5
2026-02-02,Casablanca,1942,https://example.org/7,4.5
2026-02-14,Twister,1996,https://example.org/8,1
2026-02-20,Trainspotting,1996,https://example.org/9,4
2026-03-02,The English Patient,1996,https://example.org/10,2.5
2026-03-05,Blade Runner,1982,https://example.org/11,5
2026-03-08,Parasite,2019,https://example.org/12,4.5
"""
if not EXPORT:
    (folder / "made.csv").write_text(MADE, encoding="utf-8")
export = read_own_export(Path(EXPORT) if EXPORT else folder / "made.csv")
assert export is not None, f"{EXPORT} is no export of Letterboxd, IMDb or Goodreads"
print(f"{len(export.entries)} ratings from {export.site.name}", "" if EXPORT else "(made up)")

# %% [markdown]
# ## The model
#
# The chapter's network, trained on MovieLens 100K. It knows films up to 1998.

# %%
ratings = movielens()
plan = Plan(RECIPES["chapter"].but(draws="numpy"), engine="sparse", seed=0)
network, result, _ = train(ratings, plan)
model = make_model(network, ratings, record(plan, result))
print(f"test RMSE {result.test_rmse:.3f}, two biases {result.biases_rmse:.3f}")

# %% [markdown]
# ## Task 1: the scale (2 points)
#
# Letterboxd has 0.5 to 5 stars, IMDb 1 to 10, MovieLens 1 to 5. Map a scale to another one, so
# that the lowest rating becomes the lowest, the highest the highest, and the steps stay equal.


# %% task="scale"
def to_scale(rating, old, new):
    """Return a rating on the scale new; old and new are pairs (lowest, highest)."""
    ### BEGIN SOLUTION
    return new[0] + (rating - old[0]) * (new[1] - new[0]) / (old[1] - old[0])
    ### END SOLUTION


# %%
[round(to_scale(stars, (0.5, 5), (1, 5)), 2) for stars in (0.5, 2.5, 5)]

# %% check="scale" points=1
assert to_scale(0.5, (0.5, 5), (1, 5)) == 1 and to_scale(5, (0.5, 5), (1, 5)) == 5

# %% check="scale" points=1
assert to_scale(5.5, (1, 10), (1, 5)) == 3
### BEGIN HIDDEN TESTS
for hidden_rating in (-2, 0.5, 3, 7):
    hidden_want = np.interp(hidden_rating, (-2, 7), (10, 40))
    assert abs(to_scale(hidden_rating, (-2, 7), (10, 40)) - hidden_want) < 1e-9
### END HIDDEN TESTS

# %% [markdown]
# Is that fair? One person's 3 of 5 is another one's 4. But a scale is at least a start, and the
# model learns what your mean is.
#
# ## Task 2: the titles (4 points)
#
# Your export has titles, the model has numbers. Titles are written in several ways: "The Usual
# Suspects", "Usual Suspects, The", "the usual suspects". Return a key that is the same for all of
# them:
#
# 1. in lower case,
# 2. an article at the end (", the", ", a" or ", an") put in front,
# 3. everything that is not a letter or a digit taken for a space, and runs of spaces made one,
#    with none at the ends.


# %% task="key"
def key(title):
    """Return what is equal for all ways to write a title."""
    ### BEGIN SOLUTION
    lowered = title.lower().strip()
    turned = re.sub(r"^(.+), (the|a|an)$", r"\2 \1", lowered)
    return " ".join("".join(c if c.isalnum() else " " for c in turned).split())
    ### END SOLUTION


# %%
[key(title) for title in ("Usual Suspects, The", "Monty Python's Life of Brian", "M*A*S*H")]

# %% check="key" points=2
assert key("Usual Suspects, The") == key("the usual  suspects") == "the usual suspects"

# %% check="key" points=2
assert key("Dr. Strangelove") == "dr strangelove" and key("Alien") != key("Aliens")
### BEGIN HIDDEN TESTS
assert key("American in Paris, An") == "an american in paris"
assert (
    key(" Three Colors: Blue ") == "three colors blue" and key("Theodore, Theo") == "theodore theo"
)
assert key("Amélie!") == "amélie" and key("101 Dalmatians") == "101 dalmatians"
### END HIDDEN TESTS

# %% [markdown]
# A title is not enough: there are two films called Sabrina. The year decides. The package's
# `match_export` compares both, knows titles in brackets and accents, and never guesses: it says
# what it has left out.

# %%
matched = match_export(model, export)
print(f"{len(matched.ratings)} of {len(export.entries)} ratings are of films that the model knows")
matched.unmatched.head(3)

# %% [markdown]
# ## Task 3: a newcomer (5 points)
#
# The network has no weights for you. For user $u$ it predicts film $i$ by $\mathbf w_u \cdot
# \mathbf h_i + b_u$, with the film's code $\mathbf h_i$ (lesson 9). The codes are trained; we need
# your $\mathbf w$. Start from the average user's, $\mathbf w_0$ and $b_0$, and change it as little
# as your ratings allow:
#
# $$\text{smallest } \sum_i (r_i - \mathbf w \cdot \mathbf h_i - b_0)^2
#   + s \, |\mathbf w - \mathbf w_0|^2$$
#
# This is **ridge regression**. Let $H$ be the codes of your $k$ films, a row for each, and
# $\mathbf e = \mathbf r - H \mathbf w_0 - b_0$ what the average user's prediction misses. Then
#
# $$\mathbf w = \mathbf w_0 + H^\top (H H^\top + s I)^{-1} \mathbf e$$
#
# `np.linalg.solve(A, e)` gives $A^{-1} \mathbf e$. Return $\mathbf w$.


# %% task="newcomer"
def newcomer(codes, stars, average, bias, strength):
    """Return weights (size,) from the codes (k, size) of films and their ratings (k,)."""
    ### BEGIN SOLUTION
    missed = stars - codes @ average - bias
    inner = codes @ codes.T + strength * np.eye(len(stars))
    return average + codes.T @ np.linalg.solve(inner, missed)
    ### END SOLUTION


# %% check="newcomer" points=2
two_codes, average = np.array([[1.0, 0, 0], [0, 2, 0]]), np.array([0.5, 0.5, 0.5])
found = newcomer(two_codes, np.array([4.5, 5.0]), average, 3.0, 1e-9)
assert np.allclose(found, [1.5, 1, 0.5], atol=1e-6), "with hardly any strength ratings are met"

# %% check="newcomer" points=3
assert np.allclose(newcomer(two_codes, np.array([4.5, 5.0]), average, 3.0, 1.0), [1, 0.9, 0.5])
### BEGIN HIDDEN TESTS
hidden_rng = draws(STUDENT, "newcomer")
hidden_codes, hidden_stars = hidden_rng.normal(size=(5, 8)), hidden_rng.integers(1, 6, 5)
hidden_average = hidden_rng.normal(size=8)
hidden_found = newcomer(hidden_codes, hidden_stars, hidden_average, 2.0, 0.7)
hidden_missed = hidden_stars - hidden_codes @ hidden_found - 2.0
hidden_gradient = hidden_codes.T @ hidden_missed - 0.7 * (hidden_found - hidden_average)
assert np.abs(hidden_gradient).max() < 1e-9
### END HIDDEN TESTS

# %% [markdown]
# Your formula, on your ratings (this needs task 3). The codes are centred first, so that $b_0$
# stands for the average film.

# %%
code_of = {item: code for code, item in enumerate(model.item_ids.tolist())}
mine = np.array([code_of[item] for item in matched.ratings["item"]])
stars = matched.ratings["rating"].to_numpy(np.float32)
often = model.trained.counts("item") >= 100

hidden = vectors(model, "item").astype(float)  # (films, 500)
weights, biases = model.trained.networks[0].output_layer
average = weights.mean(axis=0)
centred, bias = hidden - hidden.mean(axis=0), biases.mean() + hidden.mean(axis=0) @ average
by_hand = centred @ newcomer(centred[mine], stars, average, bias, strength=30) + bias
best = [place for place in np.argsort(-by_hand) if often[place] and place not in mine][:5]
ratings.items["title"].iloc[best].tolist()

# %% [markdown]
# The package's `new_user` works in the same way. It also knows in which directions people's
# weights differ most, and chooses the strength by your ratings. It is used from here on.

# %%
new_user(model, matched.ratings, n=8, min_ratings=100)[["rank", "title", "year", "prediction"]]

# %% [markdown]
# What did your ratings do? For some films, the prediction for the average user and for you:

# %%
for_me = score_new_user(model, mine, stars)
weights, biases = model.trained.networks[0].output_layer
for_all = vectors(model, "item") @ weights.mean(axis=0) + biases.mean()
unseen = np.flatnonzero(model.trained.counts("item") >= 150)
unseen = unseen[~np.isin(unseen, mine)]
order = unseen[np.argsort(for_all[unseen] - for_me[unseen])]
ends = np.concatenate([order[:6], order[-6:]])
show(
    pictures.two_people(
        ratings.items["title"].iloc[ends].tolist(),
        {"the average user": for_all[ends], "you": for_me[ends]},
    ),
    "Above, films that the model puts higher for you than for the average user; below, lower.",
)

# %% [markdown]
# How good is it? Leave out each of your ratings in turn, and predict it from the others. (With few
# ratings this says little: think of the interval of lesson 6.)

# %%
missed = []
for place in range(len(mine)):
    others = np.arange(len(mine)) != place
    guess = score_new_user(model, mine[others], stars[others])[mine[place]] if others.any() else 3
    missed.append((guess - stars[place], for_all[mine[place]] - stars[place]))
of_me, of_all = np.sqrt(np.mean(np.square(missed), axis=0))
print(
    f"RMSE on your {len(mine)} ratings: {of_me:.2f}; the average user's predictions: {of_all:.2f}"
)
if not EXPORT:
    assert of_me < of_all

# %% [markdown]
# ## A table of your own
#
# Now many people's ratings: of books, recipes, courses, anything. Without a file, one is made up.
# It looks like MovieLens in its counts and has some tastes hidden in it; it says nothing about
# people.

# %%
if not TABLE:
    write_synthetic(folder / "made-table.csv", Synthetic(300, 200, 9000, seed=STUDENT))
own = read_ratings(TABLE or folder / "made-table.csv")
print(f"{len(own.table):,} ratings by {own.num_users} users of {own.num_items} items;", end=" ")
print(f"{len(own.table) / own.num_users / own.num_items:.1%} of the cells are known")

# %% [markdown]
# ## Task 4: how much is there to go on? (3 points)
#
# A model knows a person by their training ratings. `train` and `test` are the users of the
# training and of the test ratings, one entry for each rating. Return the share of the *test
# ratings* whose user has fewer than `least` training ratings.


# %% task="cold"
def cold_share(train, test, least):
    """Return the share of test ratings by users with few training ratings."""
    ### BEGIN SOLUTION
    counts = np.bincount(train, minlength=max(train.max(), test.max()) + 1)
    return np.mean(counts[test] < least)
    ### END SOLUTION


# %%
own_users = own.table["user"].to_numpy()
rows = holdout_split(len(own_users), 0.1, seed=STUDENT)
share = cold_share(own_users[rows[0]], own_users[rows[1]], 20)
f"{share:.0%} of the test ratings are by users with fewer than 20 training ratings"

# %% check="cold" points=1
assert cold_share(np.array([0, 0, 1]), np.array([0, 1, 1, 0]), 2) == 0.5

# %% check="cold" points=2
assert cold_share(np.array([0, 0, 1]), np.array([0, 3]), 1) == 0.5, "user 3 has no rating at all"
### BEGIN HIDDEN TESTS
hidden_rng = draws(STUDENT, "cold")
hidden_train, hidden_test = hidden_rng.integers(0, 12, 40), hidden_rng.integers(0, 14, 25)
hidden_few = [hidden_train.tolist().count(user) < 4 for user in hidden_test.tolist()]
assert abs(cold_share(hidden_train, hidden_test, 4) - sum(hidden_few) / 25) < 1e-9
### END HIDDEN TESTS

# %% [markdown]
# The recipe for other people's ratings is `default`: it trains what is left above user and item
# biases, and damps it as far as validation ratings ask for. Does it find anything?

# %%
_, of_own, _ = train(own, Plan(RECIPES["default"], engine="sparse", seed=STUDENT), rows=rows)
print(f"the mean      test RMSE {of_own.mean_rmse:.3f}")
print(f"two biases    test RMSE {of_own.biases_rmse:.3f}")
print(f"the network   test RMSE {of_own.test_rmse:.3f}")
print(of_own.warning() or "The network beats both.")
if not TABLE:
    assert of_own.test_rmse < of_own.mean_rmse

# %% [markdown]
# If it does not beat the biases, more epochs are of no use: there may be too few ratings to learn
# taste from. Then recommend by the biases, and say so. If it does, you know from lesson 6 that one
# split is one draw: `d2l-autorec train --data FILE --folds 5` gives an interval. With `--save` it
# keeps a model that `recommend`, `explain` and `serve` can ask.
#
# ## Summary
#
# - Ratings from elsewhere need the same titles and the same scale. Say what could not be matched.
# - A newcomer needs no new training: keep the codes, fit one person's weights near the average.
# - On your own file, look first at the biases, then at the network, and at how many ratings people
#   have.
#
# This was the last lesson.
#
# ## If you have time
#
# 1. Leave out the rating of one film from your export. How does your list change?
# 2. Change the scale of the made-up ratings so that all are between 3 and 5. What happens to the
#    list, and why?
# 3. Make a table with more ratings (`Synthetic(300, 200, 20_000)`). Does the network gain on the
#    biases?
