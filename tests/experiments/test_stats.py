"""The statistics, against cases worked out by hand."""

import math

import numpy
import pytest

from d2l_autorec.experiments.stats import (
    bootstrap_rmse,
    holm,
    interval,
    next_run,
    paired,
    pooled_rmse,
    share_below,
)


def test_pooled_rmse():
    """In double precision: 2^24 + 1 has no single one."""
    assert pooled_rmse(numpy.float32([2**24]), numpy.float32([-1])) == 2**24 + 1
    assert pooled_rmse(numpy.float32([3, 5]), numpy.float32([3, 2])) == pytest.approx(4.5**0.5)


def test_interval():
    """1, 2, 3: the mean 2, the sample's deviation 1, t of 2 degrees of freedom 4.3027."""
    found = interval([1, 2, 3])
    assert (found.mean, found.sd, found.n) == (2, 1, 3)
    assert found.half_width == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)
    assert (found.low, found.high) == (2 - found.half_width, 2 + found.half_width)
    assert str(found) == "2.0000 ± 2.4841 (3)"
    assert interval([1, 2, 3], level=0.9).half_width == pytest.approx(
        2.92 / math.sqrt(3), abs=1e-3
    )


def test_two_values_have_an_interval():
    """1, 3: the mean's standard error is 1, t of one degree of freedom 12.7062."""
    found = interval(numpy.uint8([1, 3]))
    assert (found.mean, found.n) == (2, 2) and found.sd == pytest.approx(math.sqrt(2))
    assert found.half_width == pytest.approx(12.7062, abs=1e-4)
    assert interval(numpy.float32([2**24, 2**24 + 2])).mean == 2**24 + 1


def test_a_single_value_has_no_interval():
    single = interval([0.901])
    assert single.mean == 0.901 and math.isnan(single.sd) and math.isnan(single.half_width)
    assert str(interval([0.901])) == "0.9010 (1)"


def test_one_more_run():
    low, high = next_run([1, 2, 3])
    assert high - 2 == pytest.approx(4.3027 * math.sqrt(4 / 3), abs=1e-4)
    assert low + high == pytest.approx(4)
    wide = next_run([1, 3, 5])  # twice the deviation
    assert (wide[1] - wide[0]) / (high - low) == pytest.approx(2)
    assert sum(next_run(numpy.float32([2**24, 2**24 + 2]))) == 2 * (2**24 + 1)


def test_paired():
    """All six differences below zero: of 64 signs two are as extreme, p = 2 / 64."""
    a, b = numpy.array([1, 2, 3, 4, 5, 6.0]), numpy.array([1.1, 2.2, 3.3, 4.4, 5.5, 6.6])
    found = paired(a, b)
    assert found.difference.mean == pytest.approx(-0.35)
    assert found.p_value == pytest.approx(2 / 64)
    assert paired(numpy.uint8([1, 2]), numpy.uint8([3, 3])).difference.mean == -1.5
    assert paired(numpy.uint8([1, 2]), [3, 3]).difference.mean == -1.5
    assert paired(a, a).p_value == 1 and paired(a, a).difference.half_width == 0


def test_paired_needs_no_equal_variances():
    """What the splits share drops out: the differences alone are looked at."""
    luck = numpy.array([0.0, 5, -3, 8])
    assert paired(1 + luck, 2 + luck).difference.half_width == pytest.approx(0)


def test_share_below():
    """3 of 4 below. Clopper and Pearson's ends p solve P(X >= 3) and P(X <= 3) = 0.025."""
    share, (low, high) = share_below([0.8, 0.9, 0.95, 1.0], 0.99)
    assert share == 0.75
    assert 4 * low**3 * (1 - low) + low**4 == pytest.approx(0.025)
    assert 1 - high**4 == pytest.approx(0.025)
    assert share_below([1.0, 1.0], 1.0)[0] == 0  # at the bound is not below


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([0.02]) == [0.02]


def test_the_bootstrap_draws_users_with_all_their_ratings():
    errors = numpy.array([[1.0, 1.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
    users = numpy.array([7, 7, 4, 5])
    found = bootstrap_rmse(errors, users, 400, seed=3)
    numpy.testing.assert_allclose(found[1], 2)
    by_user = {4: [3.0], 5: [0.0], 7: [1.0, 1.0]}
    draws = numpy.random.default_rng(3).multinomial(3, [1 / 3] * 3, 400)
    for rmse, times in zip(found[0], draws):
        drawn = [e for own, n in zip(by_user.values(), times) for e in own * n]
        assert rmse == pytest.approx(numpy.sqrt(numpy.mean(numpy.square(drawn))))
