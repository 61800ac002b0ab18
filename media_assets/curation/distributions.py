"""Tails of the two distributions that the drift checks are judged by. Pure; exact to some ten digits.

Not here: what is compared with what (`shares.py`, `mixes.py`).
"""

from __future__ import annotations

import math

import numpy as np

_TINY = 1e-300
_N_STEPS = 500


def beta_binomial_tail(k: int, n: int, alpha: float, beta: float) -> float:
    """P(X >= k) of a beta-binomial: n items, each hit with a share that is itself drawn from Beta(alpha, beta).

    Johnson, Kemp and Kotz, *Univariate Discrete Distributions*, 3rd ed., section 6.9.2. The sum runs over the upper
    tail, in logarithms, by the ratio of neighbouring terms; memory is 8 bytes for each of its terms.

    Raises:
        ValueError: a count or a parameter outside its range.
    """
    if not (n >= 0 and alpha > 0 and beta > 0):
        raise ValueError(f"expected n >= 0 and parameters above 0, got n={n}, alpha={alpha}, beta={beta}")
    if k <= 0:
        return 1.0
    if k > n:
        return 0.0
    first = (
        math.lgamma(n + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + _log_beta(k + alpha, n - k + beta)
        - _log_beta(alpha, beta)
    )
    x = np.arange(k, n, dtype=np.float64)
    steps = np.log(n - x) + np.log(x + alpha) - np.log(x + 1) - np.log(n - x - 1 + beta)
    logs = first + np.concatenate([[0.0], np.cumsum(steps)])
    return float(min(1.0, np.exp(logs).sum()))


def f_tail(x: float, df1: float, df2: float) -> float:
    """P(F >= x) of Fisher's F with (df1, df2) degrees of freedom, by the incomplete beta function.

    Abramowitz and Stegun, *Handbook of Mathematical Functions*, 26.6.2 and 26.5.8 (the continued fraction).

    Raises:
        ValueError: degrees of freedom that are not above 0.
    """
    if not (df1 > 0 and df2 > 0):
        raise ValueError(f"expected degrees of freedom above 0, got {df1} and {df2}")
    if x <= 0:
        return 1.0
    return _incomplete_beta(df2 / (df2 + df1 * x), df2 / 2, df1 / 2)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function I_x(a, b), for 0 <= x <= 1."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - _log_beta(a, b))
    if x < (a + 1) / (a + b + 2):  # where the fraction converges fast
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    c, d = 1.0, 1 / _safe(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _N_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _safe(1 + term * d)
            c = _safe(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return value


def _safe(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
