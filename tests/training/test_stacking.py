import numpy as np
import pytest
from scipy import sparse

from d2l_autorec.models.recipe import Recipe
from d2l_autorec.training.blend import blend_weights, side_values, stacked
from d2l_autorec.training.fit import fit_network


def test_side_values_worked_out_one_by_one():
    """Two items and three users; every mean has ten ratings of no effect in it."""
    stars = np.array([[5, 3, 0], [4, 0, 1]], np.float32)
    of_items, of_users = side_values(sparse.csr_matrix(stars))
    rated = [(i, u, stars[i, u]) for i in range(2) for u in range(3) if stars[i, u]]
    mean = 13 / 4
    item = [sum(y - mean for i, _, y in rated if i == k) / 12 for k in range(2)]
    counts = [2, 1, 1]
    user = [sum(y - mean for _, u, y in rated if u == k) / (10 + counts[k]) for k in range(3)]
    squares = [(i, u, (y - mean - item[i] - user[u]) ** 2) for i, u, y in rated]
    level = sum(s for *_, s in squares) / 4
    spread = [
        np.sqrt(level + sum(s - level for _, u, s in squares if u == k) / (10 + counts[k]))
        for k in range(3)
    ]
    expected = np.column_stack([np.log([3, 2, 2]), user, spread])
    expected = (expected - expected.mean(0)) / expected.std(0)
    np.testing.assert_allclose(of_users, expected, rtol=1e-5)
    np.testing.assert_allclose(of_items[:, 0], 0)  # both have two ratings
    assert of_items[0, 1] == pytest.approx(1)  # 5 and 3 against 4 and 1
    assert of_items[1, 1] == pytest.approx(-1)


def test_the_weights_of_a_stack_follow_the_side_values():
    """The truth is the first member where the side value is 1, the second where it is -1."""
    rng = np.random.default_rng(0)
    guesses = rng.uniform(1, 5, (2, 40_000))
    sides = rng.choice([-1.0, 1.0], (40_000, 1))
    stars = np.where(sides[:, 0] > 0, *guesses)
    half = slice(0, 20_000), slice(20_000, None)
    found = stacked(
        guesses[:, half[0]], sides[half[0]], stars[half[0]], guesses[:, half[1]], sides[half[1]]
    )
    assert np.abs(found - stars[half[1]]).max() < 0.05
    fixed = blend_weights(list(guesses), stars) @ guesses
    assert np.abs(fixed - stars).mean() > 0.5


def test_a_stack_is_the_blend_and_a_ridge_regression_of_what_it_leaves_over():
    rng = np.random.default_rng(1)
    guesses, sides = rng.uniform(1, 5, (2, 30)), rng.normal(size=(30, 1))
    stars = rng.uniform(1, 5, 30)
    blended = blend_weights(list(guesses), stars) @ guesses
    columns = [
        a * b
        for a in (np.ones(30), guesses[0] - 3, guesses[1] - 3)
        for b in (np.ones(30), sides[:, 0], blended - 3)
    ]
    known = np.column_stack(columns)
    system = np.vstack([known, 10 * np.eye(9)])  # ridge of 100
    factors = np.linalg.lstsq(system, np.r_[stars - blended, np.zeros(9)], rcond=None)[0]
    found = stacked(guesses, sides, stars, guesses, sides)
    np.testing.assert_allclose(found, blended + known @ factors)


def test_a_network_begins_with_the_weights_that_it_is_given():
    recipe = Recipe(draws="numpy").but(hidden=(4, 2, 4), lr=0.0, num_epochs=1, batch_size=4)
    rng = np.random.default_rng(2)
    shapes = recipe.architecture.weight_shapes(5)
    given = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    ratings = sparse.csr_matrix(rng.integers(1, 6, (6, 5)).astype(np.float32))
    weights = fit_network(ratings, recipe, initial=given).networks[0].weights
    assert weights.keys() == given.keys()
    for name, values in given.items():
        np.testing.assert_array_equal(weights[name], values)
