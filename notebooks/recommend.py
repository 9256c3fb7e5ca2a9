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
# # What a trained AutoRec knows about films
#
# The notebook `autorec` trains the chapter's network and ends with a score. Here that network is
# put to use: what does it show to whom, which films does it take for alike, why does it say so,
# and what is in the 500 numbers that it makes of each film? It is never told a title, a year or a
# genre. All it reads is stars.
#
# Everything comes from the package `d2l_autorec`; nothing is defined anew. The next cell is for a
# hosted notebook (Colab, Kaggle, Binder), where the package may be missing. It takes about a
# minute, on Python 3.9 to 3.14, and leaves NumPy, pandas and Matplotlib as they are.

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
if importlib.util.find_spec("mxnet") is None:
    subprocess.run([sys.executable, "-m", "d2l_autorec", "install-mxnet"], check=True)

# %%
import tempfile
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from d2l_autorec.data.sources import load_ml100k
from d2l_autorec.serving.explain import explain
from d2l_autorec.serving.folder import load_model, model_from_net, save_model
from d2l_autorec.serving.foldin import new_user
from d2l_autorec.serving.inference import num_ratings
from d2l_autorec.serving.recommend import predict, recommend
from d2l_autorec.serving.similar import similar, vectors
from d2l_autorec.training.run import Settings, split, train

# For the back row; colours that colour-blind people can tell apart, by Okabe and Ito.
plt.rcParams.update({"font.size": 13, "axes.spines.top": False, "axes.spines.right": False})
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#AAAAAA"

# %% [markdown]
# ## Train, keep, read back
#
# The chapter's settings, seed 0. The `sparse` engine makes the same updates as the book's loop.
# MovieLens files a title as "Terminator, The"; such titles are turned round.
#
# The model goes into a folder with all that is needed to ask it later: weights, the ratings it was
# trained on, ids, titles. Reading it back needs no MXNet.

# %%
ratings = load_ml100k()
titles = ratings.items["title"].str
ratings.items["title"] = titles.replace(r"^(.+), (The|An?|Il|Das)$", r"\2 \1", regex=True)
settings = Settings(engine="sparse", seed=0)
net, result, _ = train(ratings, settings)
print(f"test RMSE {result.test_rmse:.3f} after {result.epoch} epochs")
assert 0.88 < result.test_rmse < 0.92, result.test_rmse

train_rows = split(ratings, settings)[0]
with tempfile.TemporaryDirectory() as folder:
    kept = Path(folder) / "model"
    save_model(kept, model_from_net(net, ratings, train_rows, settings, result))
    print("kept in", ", ".join(sorted(file.name for file in kept.iterdir())))
    model = load_model(kept)

# %% [markdown]
# ## Two people
#
# What do users 580 and 771 like? Some of the films they gave five stars: science fiction and
# spectacle on the left, animation and romance on the right.

# %%
one, two = (predict(model, [user] * len(model.item_ids), model.item_ids) for user in (580, 771))
loved = [user.loc[user["rating"] == 5, "title"].head(10).array for user in (one, two)]
pd.DataFrame(dict(zip(("user 580", "user 771"), loved)))

# %% [markdown]
# Now what the model would show them. A film that few have rated can come first by luck, so a film
# needs 50 ratings to be shown.

# %%
shown = recommend(model, [580, 771], n=10, min_ratings=50)
shown.pivot(index="rank", columns="user", values="title")

# %% [markdown]
# User 580's list is for the most part what nearly everybody likes. Taste shows better in the
# difference between two people. Below are films without a rating by either: the eight where the
# model puts 580 furthest above 771, and the eight at the other end.

# %%
counts = num_ratings(model, "item")
asked = (counts >= 150) & one["rating"].isna() & two["rating"].isna()
gap = (one["prediction"] - two["prediction"])[asked].sort_values()
ends = [*gap.index[:8], *gap.index[-8:]]
titles, stars = one["title"][ends], [user["prediction"][ends] for user in (one, two)]
figure, axes = plt.subplots(figsize=(10, 6.5), layout="constrained")
axes.hlines(titles, *stars, color=GREY, linewidth=3, zorder=1)
axes.scatter(stars[0], titles, s=110, color=BLUE, label="user 580")
axes.scatter(stars[1], titles, s=110, color=ORANGE, marker="D", label="user 771")
axes.axhline(7.5, color="black", linewidth=1, linestyle=":")
axes.set(xlabel="predicted stars")
figure.legend(loc="outside upper center", ncols=2, frameon=False)
plt.show()
print(f"of {len(gap)} films, user 580 is predicted more stars for {(gap > 0).mean():.0%}")

# %% [markdown]
# ## Neighbours
#
# On its way through the network a film becomes 500 numbers, its hidden code. Of two films with
# equal codes the network says the same to everybody. So films are compared by the angle between
# their codes, seen from the average code. Below each film are the five nearest to it. Some are of
# its kind and some are merely as good; the last section tells why.

# %%
id_of = model.items.drop_duplicates("title").set_index("title")["item_id"]
asked = ["Star Wars", "Casablanca", "Pulp Fiction", "Sleepless in Seattle", "The Lion King"]
near = {name: similar(model, "item", id_of[name], n=5, min_ratings=100) for name in asked}
pd.DataFrame({name: found["title"] for name, found in near.items()}).rename(lambda row: row + 1)

# %% [markdown]
# ## Why this film?
#
# Leave out one rating, ask again, and see how far the prediction moves. The network above reads
# what all people gave to one film, so its reasons would be a list of strangers. With `by="user"` a
# network reads what one person gave to all films, and its reasons have titles. It has fewer rows
# to learn from, hence fewer steps in an epoch, and is given more epochs.

# %%
by_user = Settings(engine="sparse", by="user", num_epochs=100, seed=0)
net, result, _ = train(ratings, by_user)
reader = model_from_net(net, ratings, train_rows, by_user, result)
print(f"test RMSE {result.test_rmse:.3f} after {result.epoch} epochs")

# %%
film = "The Empire Strikes Back"
reasons = explain(reader, 580, id_of[film])
top = reasons.table.head(12).iloc[::-1]
labels = [f"{title}  {rating:.0f} ★" for title, rating in zip(top["title"], top["rating"])]
figure, axes = plt.subplots(figsize=(10, 6), layout="constrained")
bars = axes.barh(labels, top["change"], color=np.where(top["change"] > 0, BLUE, ORANGE))
axes.bar_label(bars, fmt="%+.2f", padding=4)
axes.axvline(0, color="black", linewidth=1)
axes.margins(x=0.12)
axes.set(xlabel="what reading this rating adds to the prediction, in stars")
figure.suptitle(f"“{film}” for user 580: predicted {reasons.prediction:.1f} stars")
plt.show()
print(f"shown: the {len(top)} ratings of {len(reasons.table)} that move it most")

# %% [markdown]
# The other two films of the trilogy speak for this one. But not every bar makes sense to a person:
# the figure tells what the network did, not what is true of films. A middling rating, too, can
# push upwards, for it is compared with no rating, which the network reads as 0.
#
# ## A newcomer
#
# Somebody types in five ratings. The network has no weights for this person. They are fitted to
# the five ratings, near those of the average user, and nothing is trained again. The second list
# is for the opposite taste: one star for five, two for four.

# %%
typed = {"Casablanca": 5, "Rear Window": 5, "Citizen Kane": 5}
typed |= {"Star Wars": 2, "Independence Day (ID4)": 1}
as_typed = pd.DataFrame({"item": id_of[list(typed)].array, "rating": typed.values()})
tastes = {"as typed in": as_typed, "the opposite": as_typed.assign(rating=6 - as_typed["rating"])}
lists = {name: new_user(model, rows, n=8, min_ratings=100) for name, rows in tastes.items()}
pd.DataFrame({name: found["title"] for name, found in lists.items()}).rename(lambda row: row + 1)

# %% [markdown]
# ## What the codes hold
#
# Nobody can draw 500 numbers. Principal components turn the cloud of codes so that it spreads
# widest along the first direction, next widest along the second, and so on. Only films with at
# least 100 ratings take part: of others the network has read little.
#
# What do the directions stand for? Each is correlated with what we know of the films; of all that,
# the network was shown the ratings only. A direction has no sign of its own, so its largest number
# is made positive.

# %%
often = counts >= 100
films = model.items[often].reset_index(drop=True)
codes = vectors(model, "item")[often]
left, spread, _ = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
share = spread**2 / (spread**2).sum()

flags = films["genres"].str.get_dummies()
facts = flags[["Sci-Fi", "Action", "Thriller", "Drama", "Romance", "Comedy", "Children's"]]
facts.insert(0, "year", films["year"].astype(float))
facts.insert(0, "mean rating", model.ratings[often].sum(axis=1).A1 / counts[often])
seen = np.corrcoef(facts.T, left[:, :8].T)[: facts.shape[1], facts.shape[1] :]
strongest = np.abs(seen).argmax(axis=0)
sign = np.sign(seen[strongest, range(8)])
seen *= sign  # (facts, directions)
places = left * spread  # (films, directions)
places[:, :8] *= sign

figure, axes = plt.subplots(figsize=(10, 6), layout="constrained")
axes.imshow(seen, cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto")
for (row, column), value in np.ndenumerate(seen.round(1) + 0):
    shade = "white" if abs(value) > 0.7 else "black"
    axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=shade)
axes.set_yticks(range(len(seen)), facts.columns)
axes.set_xticks(range(8), [f"{i + 1}\n{part:.0%}" for i, part in enumerate(share[:8])])
axes.set(xlabel="direction, and its share of the variance", title="correlation with what we know")
axes.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# The first direction is how well a film is liked. Old films have more of it, perhaps because the
# good ones are those still watched. Genre comes in later, narrower directions. Hence two maps: the
# two widest directions, and the two that go best with science fiction and with children's films.
# Of a film's genres the first in the legend gives the colour.

# %%
best = dict(zip(facts.columns, np.abs(seen).argmax(axis=1)))
maps = {"widest map": [0, 1], "genre map": [best["Sci-Fi"], best["Children's"]]}
look = {"Children's": (GREEN, "o"), "Sci-Fi": (BLUE, "^"), "Action": (ORANGE, "s")}
look |= {"Romance": (PURPLE, "D"), "other": (GREY, ".")}
kind = flags.assign(other=1)[list(look)].idxmax(axis=1)  # the first that applies
named = """Star Wars, Aliens, The Terminator, Jurassic Park, Die Hard, Independence Day (ID4),
Toy Story, The Lion King, Aladdin, Mary Poppins, Casablanca, Citizen Kane, Psycho, Pulp Fiction,
Titanic, Emma, Sense and Sensibility, Pretty Woman, Sleepless in Seattle, Trainspotting, Scream,
Fargo, The Silence of the Lambs, Volcano, Forrest Gump, The Godfather"""
named = films.index[films["title"].isin(" ".join(named.split()).split(", "))]
sides = [(9, 0, "left", "center"), (-9, 0, "right", "center")]
sides += [(0, 9, "center", "bottom"), (0, -9, "center", "top")]
for shown in maps.values():
    figure, axes = plt.subplots(figsize=(12, 8), layout="constrained")
    for name, (colour, marker) in look.items():
        x, y = places[kind == name][:, shown].T
        axes.scatter(x, y, 50, colour, marker=marker, label=name, alpha=0.8)
    x, y = (f"direction {i + 1}, {share[i]:.0%} of the variance" for i in shown)
    to_x, to_y = facts.columns[strongest[shown]]
    axes.set(xlabel=f"{x}; goes with {to_x} →", ylabel=f"{y}; goes with {to_y} →")
    axes.margins(0.08)
    figure.legend(loc="outside upper center", ncols=5, frameon=False)
    figure.canvas.draw()
    dots, taken = axes.transData.transform(places[:, shown]), {}
    # A title goes right of its dot, else left, above or below; where none is free, nowhere.
    for film, (*offset, ha, va) in product(named, sides):
        if film in taken:
            continue
        text = axes.annotate(
            films["title"][film], places[film, shown], offset, textcoords="offset points",
            ha=ha, va=va, fontsize=12, bbox={"fc": "white", "lw": 0, "alpha": 0.6, "pad": 1},
        )  # fmt: skip
        box = text.get_window_extent().padded(3)
        outside = not all(axes.bbox.contains(*corner) for corner in box.corners())
        clash = box.count_overlaps(taken.values()) or box.count_contains(dots[named])
        if outside or clash or box.count_contains(dots) > 3:
            text.remove()
        else:
            taken[film] = box
    axes.scatter(*places[list(taken)][:, shown].T, 90, "none", edgecolors="black")
    plt.show()

# %% [markdown]
# The first map shows the larger part of the variance, and its colours mix: it tells good films
# from bad ones. On the second map genres have regions of their own, yet it shows a small part of
# the codes. What does a map leave out? Take each film's nearest film, on either map and in the
# whole code, and ask whether the two have a genre in common.

# %%
common = flags.to_numpy() @ flags.to_numpy().T > 0
others = ~np.eye(len(films), dtype=bool)
rows = {"any other film": (0, common[others].mean())}
for name, shown in {**maps, "whole code": range(len(spread))}.items():
    apart = cdist(places[:, shown], places[:, shown])
    nearest = np.where(others, apart, np.inf).argmin(axis=1)
    rows[name] = share[shown].sum(), common[range(len(films)), nearest].mean()
found = pd.DataFrame(rows, index=["% of the variance", "% with a genre in common"]).T
assert found.iloc[-1, 1] > found.iloc[0, 1] + 0.2
print(f"the nearest to each of {len(films)} films, by")
(100 * found).round().astype(int)

# %% [markdown]
# In the whole code neighbours share a genre far more often than any two films do, though nobody
# showed the network a genre. A map loses much of that, and the one with more of the variance loses
# more. So read a map for its regions, and ask `similar` for neighbours. And read the numbers with
# care: a few points are chance with so few films, and the second map's directions were chosen with
# the genres in hand.
#
# ## Exercises
#
# 1. Type in five ratings of your own. Which one changes the list most when you leave it out?
# 2. Colour the maps by decade in place of genre. On which of them do the decades part?
# 3. Train with another seed. Which neighbours and which directions stay?
