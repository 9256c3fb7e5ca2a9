"""Parts of the ratings: what is trained on is not scored on, and every score is by hand."""

import numpy as np
import pytest

from d2l_autorec.data.matrices import interaction_matrix
from d2l_autorec.experiments.parts import Part, split_parts


def test_three_parts_share_nothing_and_are_all(toy_ratings):
    train, test = split_parts(toy_ratings, "random", 1)
    kept, held_out = train.divide(1)
    rows = np.concatenate([kept.rows, held_out.rows, test.rows])
    assert sorted(rows) == list(range(1800))
    assert len(held_out.rows) == round(len(train.rows) / 10)
    expected = interaction_matrix(toy_ratings.table, 20, 300, rows=kept.rows)
    np.testing.assert_array_equal(kept.matrix.toarray(), expected)


def test_a_score_by_hand(toy_ratings):
    part = Part(toy_ratings, np.array([3, 1]))
    assert part.shape == (20, 300)
    stars = toy_ratings.table["rating"].to_numpy()[[3, 1]]
    assert part.stars.tolist() == stars.tolist()
    predicted = part.predicted(lambda users, items: np.float32(users + items))
    pairs = toy_ratings.table.loc[[3, 1], ["user", "item"]]
    assert predicted.tolist() == pairs.sum(axis=1).tolist() and predicted.dtype == float
    assert part.rmse(stars + np.array([3, 4])) == pytest.approx(12.5**0.5)
