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
# # 9 · Recommend
#
# *50 minutes. You need lesson 4.*
#
# So far the network ended with a score. Here it is put to use: what does it show to whom, which
# films does it take for alike, and why does it say so? It is never told a title, a year or a
# genre. All that it reads is stars. After this lesson you can
#
# - make a list of recommendations from predictions, and find a film's neighbours,
# - explain a prediction by leaving out what was read,
# - draw a map of 500 dimensions, and say what a map hides.
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

from d2l_autorec.course import pictures_films as pictures
from d2l_autorec.course.lesson import draws, movielens, show
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.serving.explain import explain
from d2l_autorec.serving.folder import make_model
from d2l_autorec.serving.foldin import new_user
from d2l_autorec.serving.recommend import predict, recommend
from d2l_autorec.serving.similar import vectors
from d2l_autorec.training.run import Plan, record, train

# %% [markdown]
# Your own number. It chooses the user whom you recommend films to.

# %%
STUDENT = 0

# %% [markdown]
# ## A trained model
#
# The chapter's settings on the sparse engine. `make_model` puts together what is needed to ask the
# network later: weights, the ratings it was trained on, ids and titles.

# %%
ratings = movielens()


def trained_model(**changes):
    """Train the chapter's network with some changes, and return it ready for questions."""
    plan = Plan(RECIPES["chapter"].but(draws="numpy", **changes), engine="sparse", seed=0)
    network, result, _ = train(ratings, plan)
    print(f"test RMSE {result.test_rmse:.3f}, two biases {result.biases_rmse:.3f}")
    assert result.test_rmse < result.biases_rmse
    return make_model(network, ratings, record(plan, result))


model = trained_model()

# %% [markdown]
# `predict` takes ids: user 7 is `7`, film 7 is `7`.

# %%
mine = STUDENT % ratings.num_users + 1
asked = predict(model, [mine] * ratings.num_items, model.item_ids)
predicted = asked["prediction"].to_numpy()
rated = asked["rating"].notna().to_numpy()
counts = model.trained.counts("item")
print(f"user {mine} has rated {rated.sum()} films; highest prediction {predicted.max():.2f}")

# %% [markdown]
# ## Task 1: a list (4 points)
#
# Which films should this user be shown? Those with the highest predictions, but not films that
# they have rated, and only films with at least `least` ratings: of a film with few ratings the
# network knows little, and it may come first by luck. Return the places of the best `n` films, the
# best first. If fewer are left, return fewer.


# %% task="top"
def top(predicted, rated, counts, n, least):
    """Return the places of the n highest predictions among films that may be shown."""
    ### BEGIN SOLUTION
    allowed = np.flatnonzero(~rated & (counts >= least))
    return allowed[np.argsort(-predicted[allowed], kind="stable")[:n]]
    ### END SOLUTION


# %%
ratings.items["title"].iloc[top(predicted, rated, counts, 5, 50)].tolist()

# %% check="top" points=2
made = np.array([4.0, 5.0, 3.0, 4.5]), np.array([False, True, False, False])
assert list(top(*made, np.array([9, 9, 9, 1]), 2, 5)) == [0, 2]

# %% check="top" points=2
assert list(top(*made, np.array([9, 9, 9, 1]), 5, 0)) == [3, 0, 2], "the best first"
### BEGIN HIDDEN TESTS
hidden_list = recommend(model, [mine], n=8, min_ratings=30)["item"].tolist()
assert model.item_ids[top(predicted, rated, counts, 8, 30)].tolist() == hidden_list
hidden_rng = draws(STUDENT, "top")
hidden_score, hidden_seen = hidden_rng.permutation(40) / 10, hidden_rng.random(40) < 0.3
hidden_counts = hidden_rng.integers(0, 20, 40)
hidden_left = [i for i in range(40) if not hidden_seen[i] and hidden_counts[i] >= 7]
hidden_want = sorted(hidden_left, key=lambda i: -hidden_score[i])[:6]
assert list(top(hidden_score, hidden_seen, hidden_counts, 6, 7)) == hidden_want
### END HIDDEN TESTS

# %% [markdown]
# ## Two people
#
# The list of one person is for the most part what nearly everybody likes. Taste shows in the
# difference between two. Users 580 and 771: below are films without a rating by either, the six
# where the model puts 580 furthest above 771, and the six at the other end.

# %%
one, two = (predict(model, [user] * ratings.num_items, model.item_ids) for user in (580, 771))
unrated = (counts >= 150) & one["rating"].isna() & two["rating"].isna()
gap = (one["prediction"] - two["prediction"])[unrated].sort_values(ascending=False)
ends = [*gap.index[:6], *gap.index[-6:]]
assert gap.iloc[0] > 0 > gap.iloc[-1]
show(
    pictures.two_people(
        one["title"][ends],
        {"user 580": one["prediction"][ends], "user 771": two["prediction"][ends]},
    ),
    "User 580 is predicted more stars for crime and science fiction, user 771 for lighter films.",
)

# %% [markdown]
# Nobody told the network what kind of film these are.
#
# ## Task 2: neighbours (4 points)
#
# On its way through the network a film becomes 500 numbers, its **code**. To films with equal
# codes the network gives the same prediction for everybody. So compare films by their codes. All
# codes have much in common; subtract the mean code of all films first. Then use the **cosine** of
# the angle between two codes $\mathbf a$ and $\mathbf b$:
#
# $$\frac{\mathbf a \cdot \mathbf b}{|\mathbf a| \, |\mathbf b|}$$
#
# Return the places of the `n` films with the highest cosine to the film at `place`, nearest first,
# without the film itself.


# %% task="nearest"
def nearest(codes, place, n):
    """Return the places of the n nearest rows of codes (num_films, size)."""
    ### BEGIN SOLUTION
    centred = codes - codes.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    cosine = unit @ unit[place]
    order = np.argsort(-cosine, kind="stable")
    return order[order != place][:n]
    ### END SOLUTION


# %%
often = np.flatnonzero(counts >= 100)  # of other films the network has read little
films = ratings.items.iloc[often].reset_index(drop=True)
codes = vectors(model, "item")[often].astype(float)  # (films, 500)
asked_for = ["Star Wars", "Casablanca", "The Lion King", "Sleepless in Seattle"]
pd.DataFrame(
    {
        title: films["title"][nearest(codes, films["title"].tolist().index(title), 5)].array
        for title in asked_for
    }
)

# %% check="nearest" points=2
corners = np.array([[1.0, 0], [5, 1], [-0.5, 0], [-5.5, -1]])  # the mean is (0, 0)
assert list(nearest(corners, 0, 1)) == [1], "not the film itself"

# %% check="nearest" points=2
assert list(nearest(corners + 10, 0, 3)) == [1, 3, 2], "subtract the mean first"
### BEGIN HIDDEN TESTS
from scipy.spatial.distance import cdist as hidden_distances

hidden_codes = draws(STUDENT, "nearest").normal(2, 1, (30, 4))
hidden_centred = hidden_codes - hidden_codes.mean(axis=0)
hidden_order = hidden_distances(hidden_centred, hidden_centred, "cosine").argsort(axis=1)
for hidden_place in (0, 11, 29):
    assert list(nearest(hidden_codes, hidden_place, 4)) == hidden_order[hidden_place][1:5].tolist()
### END HIDDEN TESTS

# %% [markdown]
# Some neighbours are of a film's kind. Others are merely as good; the map below tells why.
#
# ## Task 3: why this film? (4 points)
#
# Leave out one rating, ask again, and see how far the prediction moves: that is what the rating
# adds. `row` is what the network reads, with 0 for no rating, and `ask(row)` returns the
# prediction. Return an array as long as `row`: at each rating, the prediction less the prediction
# without it, and 0 where there is no rating. Do not change `row` itself.


# %% task="changes"
def changes(ask, row):
    """Return what reading each rating adds to a prediction."""
    ### BEGIN SOLUTION
    found = np.zeros(len(row))
    for place in np.flatnonzero(row):
        without = row.copy()
        without[place] = 0
        found[place] = ask(row) - ask(without)
    return found
    ### END SOLUTION


# %%
changes(lambda row: 3 + 0.1 * row[0] - 0.2 * row[2], np.array([5.0, 0, 4, 3])).round(2)

# %% check="changes" points=2
asked_row = np.array([5.0, 0, 4, 3])
assert np.allclose(
    changes(lambda row: 3 + 0.1 * row[0] - 0.2 * row[2], asked_row), [0.5, 0, -0.8, 0]
)

# %% check="changes" points=2
assert asked_row.tolist() == [5, 0, 4, 3], "row must stay as it was"
assert np.allclose(changes(lambda row: row.max(), asked_row), [1, 0, 0, 0])
### BEGIN HIDDEN TESTS
hidden_weights = draws(STUDENT, "changes").normal(size=6)
hidden_row = np.array([1.0, 0, 5, 2, 0, 3])
hidden_found = changes(lambda row: np.exp(0.1 * row @ hidden_weights), hidden_row)
hidden_all = np.exp(0.1 * hidden_row @ hidden_weights)
hidden_want = hidden_all - hidden_all / np.exp(0.1 * hidden_row * hidden_weights)
assert np.allclose(hidden_found, hidden_want)
### END HIDDEN TESTS

# %% [markdown]
# The network above reads what all people gave to one film, so its reasons would be a list of
# strangers. With `by="user"` a network reads what one person gave to all films, and its reasons
# have titles. It has fewer rows, hence fewer steps in an epoch, and gets more epochs. The
# package's `explain` does what you have written.

# %%
reader = trained_model(by="user", num_epochs=100)

# %%
film = "The Empire Strikes Back"
id_of = ratings.items.drop_duplicates("title").set_index("title")["item_id"]
found = explain(reader, 580, id_of[film])
first = found.table.head(6)
assert "Star Wars" in first["title"].tolist()
show(
    pictures.reasons(
        first["title"],
        first["rating"],
        first["change"].to_numpy(),
        f"“{film}” for user 580: predicted {found.prediction:.1f} stars",
    ),
    "The six ratings that move the prediction most; Star Wars is among them.",
)

# %% [markdown]
# Star Wars speaks for its sequel. But not every bar makes sense to a person: the figure tells what
# the *network* did, not what is true of films. The bars do not add up to the prediction either,
# because each rating is left out alone.
#
# ## A newcomer
#
# Somebody types in five ratings. The network has no weights for this person. `new_user` fits them
# to the five ratings, near those of the average user, and nothing is trained again. The second
# list is for the opposite taste: one star for five, two for four.

# %%
typed = {"Casablanca": 5, "Rear Window": 5, "Citizen Kane": 5}
typed.update({"Star Wars": 2, "Independence Day (ID4)": 1})
as_typed = pd.DataFrame({"item": id_of[list(typed)].array, "rating": list(typed.values())})
tastes = {"as typed in": as_typed, "the opposite": as_typed.assign(rating=6 - as_typed["rating"])}
lists = {name: new_user(model, rows, n=5, min_ratings=100) for name, rows in tastes.items()}
pd.DataFrame({name: shown["title"] for name, shown in lists.items()})

# %% [markdown]
# ## Task 4: a map (4 points)
#
# Nobody can draw 500 numbers. **Principal components** turn the cloud of codes so that it spreads
# widest along the first direction, next widest along the second, and so on. Subtract the mean
# code, call `np.linalg.svd(centred, full_matrices=False)`, which returns `left, spread, right`,
# and return `left * spread`: the places of the films (num_films, directions). Return too the share
# of the variance along each direction: the squares of `spread`, divided by their sum.


# %% task="components"
def components(codes):
    """Return the places (num_films, directions) and the share of each direction (directions,)."""
    ### BEGIN SOLUTION
    left, spread, _ = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
    return left * spread, spread**2 / (spread**2).sum()
    ### END SOLUTION


# %%
components(codes)[1][:4].round(2)

# %% check="components" points=2
line = np.array([[0.0, 0], [3, 4], [6, 8]])  # on one line
assert np.allclose(np.abs(components(line)[0][:, 0]), [5, 0, 5])

# %% check="components" points=2
assert np.allclose(components(line)[1], [1, 0])
### BEGIN HIDDEN TESTS
hidden_codes = draws(STUDENT, "components").normal(3, [3, 1, 2], (40, 3))
hidden_found, hidden_share = components(hidden_codes)
hidden_values = np.sort(np.linalg.eigvalsh(np.cov(hidden_codes.T)))[::-1]
assert np.allclose(hidden_found.var(axis=0, ddof=1), hidden_values)
assert np.allclose(hidden_share, hidden_values / hidden_values.sum())
### END HIDDEN TESTS

# %% [markdown]
# What do the directions stand for? Correlate each with something that we know of the films. (A
# direction has no sign of its own, so only the size of a correlation counts.)

# %%
left, spread, _ = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
places, share = left * spread, spread**2 / (spread**2).sum()
genres = films["genres"].str.get_dummies()
facts = genres[["Action", "Sci-Fi", "Romance", "Drama", "Children's"]].astype(float)
facts.insert(
    0, "mean rating", np.asarray(model.ratings[often].sum(axis=1)).ravel() / counts[often]
)
strength = pd.DataFrame(
    np.abs(np.corrcoef(facts.T, places[:, :8].T)[: facts.shape[1], facts.shape[1] :]),
    facts.columns,
    [f"{number + 1} ({part:.0%})" for number, part in enumerate(share[:8])],
)
assert strength.iloc[0, 0] > 0.8 and strength.iloc[0].idxmax() == strength.columns[0]
strength.round(1)

# %% [markdown]
# The widest direction is how well a film is liked. That is why some neighbours are merely as good.
# Genre comes in later, narrower directions. The map takes the two that go best with science
# fiction and with children's films.

# %%
chosen = [int(np.argmax(strength.loc[genre])) for genre in ("Sci-Fi", "Children's")]
assert chosen[0] != chosen[1]
directions = [f"direction {one + 1}, {share[one]:.0%} of the variance" for one in chosen]
named = """Star Wars, The Lion King, Aliens, Sense and Sensibility, Casablanca, Toy Story,
The Terminator, Mary Poppins, Pretty Woman, Pulp Fiction, Die Hard, Titanic, Aladdin, Scream,
Psycho, Jurassic Park, Emma, Fargo, Sleepless in Seattle, Alien, Citizen Kane, Volcano"""
show(
    pictures.film_map(places[:, chosen], films, " ".join(named.split()).split(", "), directions),
    "Films as points: science fiction and action lie on one side, children's films on another.",
)

# %% [markdown]
# Regions can be seen, though nobody showed the network a genre. What does the map leave out? Take
# each film's nearest film, on the map and in the whole code, and ask whether the two have a genre
# in common.

# %%
common = genres.to_numpy() @ genres.to_numpy().T > 0
others = ~np.eye(len(films), dtype=bool)


def shared(points):
    """Return how often a film and the film nearest to it have a genre in common."""
    apart = ((points[:, None] - points[None]) ** 2).sum(axis=-1)
    return common[np.arange(len(films)), np.where(others, apart, np.inf).argmin(axis=1)].mean()


found = {
    "any other film": common[others].mean(),
    "nearest on the map": shared(places[:, chosen]),
    "nearest in the whole code": shared(places[:, :50]),  # nearly all of the variance
}
assert share[:50].sum() > 0.95
assert found["nearest in the whole code"] > found["nearest on the map"] > found["any other film"]
print("a genre in common:", *(f"{name} {part:.0%}" for name, part in found.items()), sep="\n  ")

# %% [markdown]
# The map keeps part of what the codes know, and loses the rest. So read a map for its regions, and
# ask for neighbours in the whole code. And read these numbers with care: the two directions were
# chosen with the genres in hand.
#
# ## Summary
#
# - A list of recommendations is a sorted prediction with rules: unseen films, enough ratings.
# - Films with like codes are like to the network. The cosine of centred codes finds them.
# - Leaving out a rating tells what the network did with it, not why a person likes a film.
# - Codes hold mostly how well a film is liked; genre lies in narrower directions. A map hides
#   much.
#
# Next: your own ratings.
#
# ## If you have time
#
# 1. Type in five ratings of your own. Which one changes the list most when you leave it out?
# 2. Colour the map by decade (`films["year"] // 10`). On which directions do the decades part?
# 3. Train with another seed in `Plan`. Which neighbours and which directions stay?
