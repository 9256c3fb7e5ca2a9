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
# # 6 · Is it luck?
#
# *45 minutes. You need lesson 2, and from a course in statistics what a mean and a standard
# deviation are.*
#
# The book prints a test RMSE of 0.901. Run the same code with another seed, and it prints another
# number. Which one is right? After this lesson you can
#
# - say how far a result moves with the split, and give a mean with its interval,
# - say where one more run is likely to fall,
# - tell a better model from a lucky split.
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
from scipy import stats

from d2l_autorec.course import pictures_results as pictures
from d2l_autorec.course.lesson import draws, movielens, show, stored
from d2l_autorec.data.split import holdout_split
from d2l_autorec.models.biases import fit_biases

# %% [markdown]
# Your own number. In this lesson it also says which of the stored runs is yours.

# %%
STUDENT = 0

# %% [markdown]
# ## Thirty runs
#
# A run of the chapter takes about ten seconds, too long to do it thirty times now. So it was
# done before: the same code, the same settings, the seeds 0 to 29. A seed decides which tenth of
# the ratings is held out, and with which weights the network begins. Nothing else differs. The
# results are kept in `results/study`; a copy comes with the package.

# %%
runs = stored("study/runs.csv")
rmses = runs["test_rmse"].to_numpy()
mine = STUDENT % len(rmses)
print(f"{len(rmses)} runs; yours, with seed {mine}, has a test RMSE of {rmses[mine]:.3f}")
print("all, sorted:", *(f"{value:.3f}" for value in sorted(rmses)))

# %% [markdown]
# Had you run the book's code with your number, that is what you would have seen. Somebody else in
# the class would have seen another number. From the best run to the worst it is three hundredths
# of a star, which is about what lies between the book's model and two biases (lesson 2).
#
# ## Task 1: mean and spread (2 points)
#
# Return the mean of some values and their **standard deviation**. The values are a sample of all
# runs that could be made, so divide the sum of squares by $n - 1$, not by $n$:
#
# $$s = \sqrt{\frac{(x_1 - \bar x)^2 + \dots + (x_n - \bar x)^2}{n - 1}}$$


# %% task="spread"
def spread(values):
    """Return the mean and the standard deviation, as two numbers."""
    ### BEGIN SOLUTION
    return np.mean(values), np.std(values, ddof=1)
    ### END SOLUTION


# %%
"test RMSE: mean {:.4f}, standard deviation {:.4f}".format(*spread(rmses))

# %% check="spread" points=1
assert np.allclose(spread(np.array([1.0, 3.0])), (2, 2**0.5)), "divide by n - 1"

# %% check="spread" points=1
assert np.allclose(spread(np.array([2.0, 2.0, 2.0])), (2, 0))
### BEGIN HIDDEN TESTS
hidden_values = draws(STUDENT, "spread").normal(size=7).tolist()
hidden_mean = sum(hidden_values) / 7
hidden_sum = sum((value - hidden_mean) ** 2 for value in hidden_values)
assert np.allclose(spread(np.array(hidden_values)), (hidden_mean, (hidden_sum / 6) ** 0.5))
### END HIDDEN TESTS

# %% [markdown]
# ## Task 2: an interval for the mean (4 points)
#
# With thirty other seeds the mean would be a little different. How far is ours from the mean of
# *all* runs that could be made? The mean of $n$ values moves less than a single one, by
# $s / \sqrt n$. The **95% interval** is
#
# $$\bar x \pm t \, \frac{s}{\sqrt n}$$
#
# For large $n$ the number $t$ is 1.96. For few values $s$ is itself uncertain, and $t$ is larger:
# `stats.t.ppf(0.975, n - 1)`. The 0.975 leaves 2.5% at each end. Write the function.


# %% task="interval"
def mean_interval(values):
    """Return both ends of the 95% interval of the mean, the lower one first."""
    ### BEGIN SOLUTION
    mean, deviation = spread(values)
    n = len(values)
    reach = stats.t.ppf(0.975, n - 1) * deviation / np.sqrt(n)
    return mean - reach, mean + reach
    ### END SOLUTION


# %%
for number in (2, 5, 10, 30):
    low, high = mean_interval(rmses[:number])
    print(f"first {number:2} runs: {low:.3f} to {high:.3f}")

# %% check="interval" points=1
low, high = mean_interval(np.array([1.0, 3.0]))
assert low < 2 < high and abs((low + high) / 2 - 2) < 1e-9, "the mean lies in the middle"

# %% check="interval" points=3
assert abs(high - 2 - 12.7062) < 1e-3, "two values: t is 12.7062, and s over the root of 2 is 1"
### BEGIN HIDDEN TESTS
for hidden_number in (3, 12, 40):
    hidden_values = draws(STUDENT, "interval").normal(3, 2, hidden_number)
    hidden_ends = stats.t.interval(
        0.95, hidden_number - 1, hidden_values.mean(), stats.sem(hidden_values)
    )
    assert np.allclose(mean_interval(hidden_values), hidden_ends)
### END HIDDEN TESTS

# %% [markdown]
# Two runs say next to nothing; thirty give the mean to within three thousandths.
#
# ## What 95% means
#
# Not that 95% of the runs lie in the interval: look at the sorted runs above. It says how often
# the *method* is right. Let us play nature. We know the true mean, because we choose it: 0.9. We
# draw five values around it, work out the interval, and repeat.
#
# ## Task 3: how often is it right? (3 points)
#
# `samples` has a row for each repetition. Return the share of the rows whose interval, from the
# function `interval`, contains `truth`.


# %% task="share"
def share_right(interval, samples, truth):
    """Return the share of intervals that contain the true mean, between 0 and 1."""
    ### BEGIN SOLUTION
    ends = np.array([interval(row) for row in samples])
    return np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
    ### END SOLUTION


# %%
samples = draws(STUDENT, "samples").normal(0.9, 0.007, (4000, 5))
print(f"right in {share_right(mean_interval, samples, 0.9):.1%} of {len(samples)} repetitions")

# %% check="share" points=1
assert share_right(lambda row: (row[0], row[1]), np.array([[0, 2], [3, 4], [0, 9]]), 1.5) == 2 / 3

# %% check="share" points=2
assert share_right(lambda row: (0, 1), np.zeros((4, 3)), 2) == 0
### BEGIN HIDDEN TESTS
hidden_rows = draws(STUDENT, "share").normal(size=(50, 4))
hidden_right = [min(row) <= 0.8 <= max(row) for row in hidden_rows.tolist()]
hidden_share = share_right(lambda row: (row.min(), row.max()), hidden_rows, 0.8)
assert abs(hidden_share - sum(hidden_right) / 50) < 1e-9
### END HIDDEN TESTS

# %%
from d2l_autorec.evaluation.intervals import interval  # the package's own, for the pictures

found = [interval(row) for row in samples[:100]]
ends = np.array([(one.low, one.high) for one in found])
show(
    pictures.coverage(ends, 0.9),
    "A hundred intervals of five values each: most contain the true mean, a few miss it.",
)

# %% [markdown]
# ## Task 4: where will the next run fall? (3 points)
#
# That is another question. A single run is as far from the mean as runs are, by $s$, and the mean
# itself is uncertain by $s / \sqrt n$. Squares add up, so the **prediction interval** of one more
# run is
#
# $$\bar x \pm t \, s \sqrt{1 + \frac 1 n}$$


# %% task="next"
def next_interval(values):
    """Return both ends of the 95% interval of one more value, the lower one first."""
    ### BEGIN SOLUTION
    mean, deviation = spread(values)
    n = len(values)
    reach = stats.t.ppf(0.975, n - 1) * deviation * np.sqrt(1 + 1 / n)
    return mean - reach, mean + reach
    ### END SOLUTION


# %%
"one more run: {:.3f} to {:.3f}".format(*next_interval(rmses))

# %% check="next" points=1
assert next_interval(rmses)[1] - next_interval(rmses)[0] > 0.025, "wider than that of the mean"

# %% check="next" points=2
assert abs(next_interval(np.array([1.0, 3.0]))[1] - 2 - 12.7062 * 3**0.5) < 1e-3
### BEGIN HIDDEN TESTS
from d2l_autorec.experiments.stats import next_run as hidden_next

hidden_values = draws(STUDENT, "next").normal(3, 2, 9)
assert np.allclose(next_interval(hidden_values), hidden_next(hidden_values))
### END HIDDEN TESTS

# %% [markdown]
# ## One draw
#
# Now the whole picture: the runs, both intervals, and the number that the book prints.

# %%
from d2l_autorec.experiments.stats import next_run

of_all = interval(rmses)
intervals = {"the mean": (of_all.low, of_all.high), "one more run": next_run(rmses)}
assert intervals["one more run"][0] < 0.901 < intervals["one more run"][1]
assert abs(of_all.mean - 0.9001) < 5e-5 and of_all.half_width < 0.003
assert 0.4 < (rmses < 0.901).mean() < 0.6
show(
    pictures.runs_and_intervals(rmses, intervals, mine),
    "Thirty runs between 0.884 and 0.914; the book's 0.901 lies among them, near the mean.",
)

# %% [markdown]
# The book's 0.901 is one draw from this heap, and an ordinary one: 14 of the 30 runs are below it,
# 16 above. It is not wrong, and its third digit says nothing. What the chapter's model has on
# MovieLens 100K is 0.9001 ± 0.0027 (30 runs): mean, half of the interval, number of runs.
#
# ## Where does the luck come from?
#
# From the split, or from the network's random weights? Take a model without any random number, the
# biases of lesson 2, and fit it on thirty splits.

# %%
ratings = movielens()
users, items, stars = (ratings.table[name].to_numpy() for name in ("user", "item", "rating"))


def rmse_of_biases(seed):
    """Return the test RMSE of user and film biases on one split."""
    train, test = holdout_split(len(stars), 0.1, seed)
    shape = ratings.num_items, ratings.num_users
    mean, film_bias, user_bias = fit_biases(items[train], users[train], stars[train], shape)
    predicted = mean + film_bias[items[test]] + user_bias[users[test]]
    return np.sqrt(np.mean((predicted - stars[test]) ** 2))


by_biases = np.array([rmse_of_biases(1000 * STUDENT + seed) for seed in range(30)])
assert 0.5 < by_biases.std() / rmses.std() < 1.6
show(
    pictures.two_spreads({"AutoRec": rmses, "two biases": by_biases}),
    "The results of the biases, which use no random numbers, lie about as far apart.",
)

# %% [markdown]
# They move about as much. So most of it is the split: some test sets are easier than others, for
# every model. Lesson 7 makes use of that.
#
# ## Thirty seeds, one report
#
# Suppose somebody runs the same code thirty times and publishes the best run.

# %%
best = rmses.min()
gain = rmses.mean() - best
print(f"best of {len(rmses)}: {best:.3f}, which is {gain:.3f} below the mean")
assert 0.015 < gain < 0.018

# %% [markdown]
# An improvement of 0.016 without any idea: only a seed was chosen, by the test ratings. Less
# than that lies between AutoRec and matrix factorization in lesson 7. So fix the seeds before you
# look, report the mean of all of them, and say how many there were.
#
# One more warning. The thirty test sets come from the same 100,000 ratings and overlap. The
# interval speaks of the luck of the split on *these* ratings, not of other people and other films.
#
# ## Summary
#
# - A result on one split is one draw. Here draws have a standard deviation of 0.007.
# - Report mean ± half of the 95% interval and the number of runs: 0.9001 ± 0.0027 (30).
# - One more run falls between 0.885 and 0.915, 19 times out of 20. The book's 0.901 does.
# - The best of many runs is a choice by the test ratings.
#
# Next: two models on the same splits.
#
# ## If you have time
#
# 1. Use 1.96 in place of $t$, with samples of 3 values. How often is the interval right?
# 2. How many runs does it take until the interval of the mean is as narrow as ± 0.001?
# 3. Take the best of 5 of the 30 runs at random, many times. How far below the mean is it, on
#    average?
