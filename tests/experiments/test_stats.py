"""The statistics, against cases worked out by hand."""

import math

import numpy
import pytest

from d2l_autorec.experiments.stats import interval, next_run, paired, pooled_rmse, share_below


def test_pooled_rmse():
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


def test_a_single_value_has_no_interval():
    assert str(interval([0.901])) == "0.9010 (1)"


def test_one_more_run():
    low, high = next_run([1, 2, 3])
    assert high - 2 == pytest.approx(4.3027 * math.sqrt(4 / 3), abs=1e-4)
    assert low + high == pytest.approx(4)


def test_paired():
    """All six differences below zero: of 64 signs two are as extreme, p = 2 / 64."""
    a, b = numpy.array([1, 2, 3, 4, 5, 6.0]), numpy.array([1.1, 2.2, 3.3, 4.4, 5.5, 6.6])
    found = paired(a, b)
    assert found.difference.mean == pytest.approx(-0.35)
    assert found.p_value == pytest.approx(2 / 64)
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
