"""Media time in whole numbers: from a stream's own ticks to nanoseconds, without a float in between."""

from __future__ import annotations

from fractions import Fraction

_NS = 1_000_000_000


def nanoseconds(ticks: int, time_base: Fraction) -> int:
    """So many ticks of `time_base` seconds, to the nearest nanosecond; halves go up.

    Exact to half a nanosecond at any length; going back is not: keep the ticks where they matter.
    """
    doubled = 2 * ticks * time_base.numerator * _NS + time_base.denominator
    return doubled // (2 * time_base.denominator)


def whole_ticks(seconds: Fraction, time_base: Fraction) -> int:
    """The ticks that have passed after so many seconds, rounded down."""
    ticks = seconds / time_base
    return ticks.numerator // ticks.denominator
