"""Tails against printed tables and against sums done exactly."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest

from media_assets.curation.distributions import beta_binomial_tail, f_tail


@pytest.mark.parametrize(
    ("x", "df1", "df2", "tail"),
    [
        (7.7086, 1, 4, 0.05),
        (8.0984, 3, 20, 0.001),
        (4.8491, 10, 10, 0.01),
        (161.4476, 1, 1, 0.05),
        (2.9957, 2, 100_000, 0.05),
    ],
)
def test_f_is_that_of_the_printed_tables(x: float, df1: int, df2: int, tail: float) -> None:
    assert f_tail(x, df1, df2) == pytest.approx(tail, rel=2e-4)


def test_f_falls_from_one_to_nothing() -> None:
    tails = [f_tail(x, 3, 19) for x in (0.0, 0.1, 1.0, 10.0, 1e3, 1e9)]
    assert tails == sorted(tails, reverse=True)
    assert (tails[0], round(tails[-1], 12)) == (1.0, 0.0)


def exact(k: int, n: int, a: int, b: int) -> Fraction:
    """P(X >= k) of a beta-binomial with whole parameters, by Polya's urn."""

    def rising(start: int, steps: int) -> int:
        product = 1
        for step in range(steps):
            product *= start + step
        return product

    terms = (Fraction(comb(n, x) * rising(a, x) * rising(b, n - x), rising(a + b, n)) for x in range(k, n + 1))
    return sum(terms, Fraction(0))


@pytest.mark.parametrize("k", [0, 1, 2, 7, 20, 21])
@pytest.mark.parametrize(("a", "b"), [(1, 1), (1, 199), (5, 2)])
def test_the_beta_binomial_is_the_exact_sum(k: int, a: int, b: int) -> None:
    assert beta_binomial_tail(k, 20, a, b) == pytest.approx(float(exact(k, 20, a, b)), rel=1e-9)


def test_a_hundred_thousand_items_neither_overflow_nor_vanish() -> None:
    assert 0.4 < beta_binomial_tail(1000, 100_000, 1e6, 99e6) < 0.6
    assert beta_binomial_tail(100_000, 100_000, 0.5, 1e5) == 0.0


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        beta_binomial_tail(1, 2, 0, 1)
    with pytest.raises(ValueError, match="above 0"):
        f_tail(1, 0, 5)
