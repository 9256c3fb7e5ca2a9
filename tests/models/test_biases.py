"""User and item biases: their shrinkage, estimated from ratings with known variances."""

import numpy as np
import pytest
from scipy import sparse

from d2l_autorec.models.biases import Scale, estimate_shrinkage, fit_biases, shrinkage_of
from d2l_autorec.models.recipe import Recipe


def drawn(spread, seed=0, shape=(400, 300), num_each=30):
    """Ratings ``3 + a + b + noise`` with these standard deviations of a, b and noise."""
    rng = np.random.default_rng(seed)
    first = np.repeat(np.arange(shape[0]), num_each)
    second = np.concatenate([rng.permutation(shape[1])[:num_each] for _ in range(shape[0])])
    a, b = (rng.normal(0, part, size) for part, size in zip(spread, shape))
    return first, second, 3 + a[first] + b[second] + rng.normal(0, spread[2], len(first))


@pytest.mark.parametrize("spread", [(0.5, 0.25, 1.0), (0.2, 0.8, 0.6)])
def test_the_shrinkage_is_the_variance_of_noise_over_that_of_biases(spread):
    first, second, ratings = drawn(spread)
    found = estimate_shrinkage(first, second, ratings, (400, 300))
    expected = [spread[2] ** 2 / spread[side] ** 2 for side in (0, 1)]
    assert found == pytest.approx(expected, rel=0.2)
    swapped = estimate_shrinkage(second, first, ratings, (300, 400))
    assert swapped == pytest.approx(found[::-1], rel=1e-3)


def test_without_any_effect_the_biases_are_shrunken_away():
    first, second, ratings = drawn((0.0, 0.0, 1.0))
    assert min(estimate_shrinkage(first, second, ratings, (400, 300))) > 100
    equal = estimate_shrinkage(first, second, np.full(len(first), 4.0), (400, 300))
    assert np.isfinite(equal).all()


def test_the_estimate_predicts_better_than_ten_where_ten_is_wrong():
    first, second, ratings = drawn((1.0, 1.0, 0.5), num_each=3)
    kept = np.random.default_rng(1).random(len(first)) < 0.8

    def error(shrinkage):
        data = first[kept], second[kept], ratings[kept], (400, 300)
        mean, a, b = fit_biases(*data, *([shrinkage] if shrinkage else []))
        guess = mean + a[first[~kept]] + b[second[~kept]]
        return np.sqrt(np.mean((guess - ratings[~kept]) ** 2))

    found = estimate_shrinkage(first[kept], second[kept], ratings[kept], (400, 300))
    assert error(found) < 0.9 * error(None)


def test_blocks_change_no_bit(monkeypatch):
    first, second, ratings = drawn((0.5, 0.25, 1.0), num_each=9)
    ratings = ratings.astype(np.float32)
    matrix = sparse.csr_matrix((ratings, (first, second)), (400, 300))
    recipe = Recipe().but(targets="biases", shrinkage=(2.0, 3.0), hidden=(1,))

    def found():
        of = first, second, ratings, (400, 300)
        scale = Scale.of(matrix, recipe)
        return [*estimate_shrinkage(*of), *fit_biases(*of), scale.col, scale.apply(matrix).data]

    whole = found()
    monkeypatch.setattr("d2l_autorec.models.biases._BLOCK", 7)
    for one, other in zip(whole, found()):
        np.testing.assert_array_equal(one, other)
    assert len(ratings) > 100 * 7


def test_the_ends_of_the_recipe_are_for_users_and_for_items():
    train = sparse.csr_matrix(np.array([[5, 4, 0], [2, 0, 1]], np.float32))  # (items, users)
    recipe = Recipe().but(targets="biases", shrinkage=(2.0, 1e9), hidden=(1,))
    for by, matrix in (("item", train), ("user", train.T.tocsr())):
        scale = Scale.of(matrix, recipe.but(by=by))
        of_items, of_users = (scale.row, scale.col) if by == "item" else (scale.col, scale.row)
        np.testing.assert_allclose(of_items, 0, atol=1e-6)
        np.testing.assert_allclose(
            of_users, [(5 + 2 - 6) / 4, (4 - 3) / 3, (1 - 3) / 3], atol=1e-6
        )
    first, second, ratings = drawn((0.5, 0.25, 1.0))
    matrix = sparse.csr_matrix((ratings, (first, second)), (400, 300))  # items are the first
    found = shrinkage_of(recipe.but(shrinkage="ratings"), matrix).shrinkage
    assert found == pytest.approx((16, 4), rel=0.2)
    assert shrinkage_of(recipe, matrix) is recipe


def test_the_gain_is_what_the_network_adds():
    scale = Scale(3.0, 2.0, np.array([0.5, -0.5]), np.array([0.25, 0.0]), 0.5)
    from d2l_autorec.models.network import Network

    stars = Network(Recipe(), {}, scale).to_stars(
        np.array([1.0, -1.0]), np.array([0, 1]), np.array([0, 1])
    )
    np.testing.assert_array_equal(stars, [3.75 + 1, 2.5 - 1])
