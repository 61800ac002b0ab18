"""Media time is exact: no float between a stream's ticks and nanoseconds."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from media_assets.media.video.ticks import nanoseconds, whole_ticks

TIME_BASES = st.builds(Fraction, st.integers(1, 2000), st.integers(1, 1 << 31))


@given(st.integers(0, 1 << 50), TIME_BASES)
def test_nanoseconds_are_the_nearest_ones(ticks: int, time_base: Fraction) -> None:
    exact = ticks * time_base * 1_000_000_000
    assert abs(nanoseconds(ticks, time_base) - exact) <= Fraction(1, 2)


def test_nothing_is_lost_where_a_float_would_lose() -> None:
    # 30 days at 90 kHz; in a float of seconds the last digits are gone
    ticks = 30 * 24 * 3600 * 90_000 + 1
    assert nanoseconds(ticks, Fraction(1, 90_000)) == 2_592_000_000_011_111
    assert nanoseconds(10**12 + 7, Fraction(1, 90_000)) == 11_111_111_111_188_889
    assert nanoseconds(1, Fraction(1001, 30_000)) == 33_366_667
    assert nanoseconds(1, Fraction(1, 2_000_000_000)) == 1  # halves go up


@given(st.fractions(0, 10**6), TIME_BASES)
def test_whole_ticks_have_passed(seconds: Fraction, time_base: Fraction) -> None:
    ticks = whole_ticks(seconds, time_base)
    assert ticks * time_base <= seconds < (ticks + 1) * time_base
