"""Verdicts on sources, and how durations are spelt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from media_assets.curation.freshness import Arrival, duration_of, judge_source, spell

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def arrived(ago: timedelta) -> Arrival:
    return Arrival("uploads.0007", NOON - ago, 12)


@pytest.mark.parametrize(
    ("ago", "passes"),
    [
        (timedelta(0), True),
        (HOUR, True),  # the end of the interval is inside
        (HOUR + timedelta(microseconds=1), False),
        (timedelta(days=400), False),
        (-timedelta(minutes=5), True),  # clocks that differ a little
        (-HOUR - timedelta(microseconds=1), False),
    ],
)
def test_a_source_is_fresh_for_its_interval_and_no_longer(ago: timedelta, passes: bool) -> None:
    assert judge_source("uploads", arrived(ago), HOUR, NOON).passed is passes


def test_a_quiet_source_is_told_with_what_was_expected_what_came_and_what_to_do() -> None:
    verdict = judge_source("uploads", arrived(timedelta(hours=3)), HOUR, NOON)
    assert verdict.told.startswith("Expected a batch of uploads at least every 1h; the latest, uploads.0007 (12 items)")
    assert "2026-01-01 09:00:00 UTC" in verdict.told
    assert "MEDIA_ASSETS_EXPECTED_SOURCES" in verdict.told
    assert verdict.due_at == NOON - timedelta(hours=2)


def test_a_source_that_never_came_is_red() -> None:
    verdict = judge_source("uploads", None, HOUR, NOON)
    assert not verdict.passed
    assert "none has ever come" in verdict.told


def test_a_clock_that_is_ahead_is_named_as_the_cause() -> None:
    assert "clock" in judge_source("uploads", arrived(timedelta(days=-30)), HOUR, NOON).told


@pytest.mark.parametrize(
    ("text", "seconds"), [("20s", 20), ("15m", 900), ("1h30m", 5400), ("30d", 2_592_000), ("2w", 1_209_600)]
)
def test_durations_are_read_as_they_are_spelt(text: str, seconds: int) -> None:
    assert duration_of(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "0s", "20", "1.5h", "-1h", "h", "1 h", "1H", "999999999w", "١s"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90s"):
        duration_of(text)


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.2, "1s"), (20, "20s"), (5400, "1h 30m"), (90_061, "1d 1h"), (2_592_000, "30d")]
)
def test_durations_are_told_in_two_units(seconds: float, told: str) -> None:
    assert spell(timedelta(seconds=seconds)) == told
