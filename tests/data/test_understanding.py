"""What looks suspicious in ratings, and what does not."""

import numpy as np
import pandas as pd
import pytest

from d2l_autorec.data.understanding import isolated, suspicions, time_range


@pytest.mark.parametrize(
    "values, wanted",
    [
        ([-1] * 2 + [6, 7, 8, 9, 10] * 3, [-1]),
        ([0] * 9 + [1, 2, 3, 4, 5] * 3, [0]),  # more often than 1
        ([0] + [1, 2, 3, 4, 5] * 3, []),  # a scale from 0
        ([0] * 2 + [6, 7, 8] * 3, [0]),  # far from the others
        ([1, 2, 3, 4, 5] * 3 + [99], [99]),
        ([*np.linspace(-10, 10, 50).tolist(), 99.0], [99]),
        (np.linspace(-10, 10, 50).tolist(), []),
        ([-1, 0, 1] * 5, [-1]),
        ([-2, -1, 0, 1, 2] * 5, []),
        ([0.5, 1, 4.5, 5] * 3, []),
        ([-2.19, *np.linspace(0.5, 4.5, 50).tolist()], []),  # not a whole number
        ([0, 50, 100] * 5, []),
    ],
)
def test_values_that_stand_apart(values, wanted):
    assert isolated(*np.unique(np.array(values, float), return_counts=True)) == wanted


def said(user, item, rating):
    table = pd.DataFrame({"user": user, "item": item, "rating": np.array(rating, np.float32)})
    return " ".join(suspicions(table))


def test_what_is_said():
    users, items = [u for u in range(12) for _ in range(4)], [0, 1, 2, 3] * 12
    stars = [1 + (u * i) % 5 for u, i in zip(users, items)]
    assert said(users, items, stars) == ""
    assert "All ratings are 1" in said(users, items, [1] * 48)
    assert "look like times" in said(users, items, [1.5e9 + 1000 * i for i in range(48)])
    assert "from 0 to 47, look like ids" in said(users, items, list(range(48)))
    assert "Every user has one rating" in said(list(range(48)), items, stars)
    assert "Every item has one rating" in said(users, list(range(48)), stars)
    most = [*range(30), *[30] * 18]
    assert "97 % of the users have one rating" in said(most, items, stars)
    percent = [(7 * i) % 101 for i in range(48 * 48)]  # a scale of a hundred is none of these
    assert said([u for u in range(48) for _ in range(48)], list(range(48)) * 48, percent) == ""


def test_times_as_dates():
    assert time_range(np.array([10**9, 10**9 + 86400])) == ("2001-09-09", "2001-09-10")
    assert time_range(np.array([10**18])) == ("2001-09-09", "2001-09-09")
    assert time_range(np.array([10**12])) == ("2001-09-09", "2001-09-09")
    assert time_range(np.array([1, 10**9])) == (None, None)
