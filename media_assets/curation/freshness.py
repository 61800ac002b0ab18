"""Is a source still bringing something: a clock, the latest arrival and an interval in, a verdict out. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

VARIABLE = "MEDIA_ASSETS_EXPECTED_SOURCES"
"""The setting that says which sources are expected, and how often."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhdw])+")
_PART = re.compile(r"(\d+)([smhdw])")
_LONGEST = timedelta(days=3660)


@dataclass(frozen=True)
class Arrival:
    """The latest batch of a source: its id, when it was planned, and of how many items."""

    batch_id: str
    planned_at: datetime
    n_items: int


@dataclass(frozen=True)
class SourceFreshness:
    """The verdict on one source at one moment."""

    passed: bool
    told: str
    due_at: datetime | None  # when the next batch has to have come


def judge_source(source: str, latest: Arrival | None, interval: timedelta, now: datetime) -> SourceFreshness:
    """Red when nothing has come for longer than the interval, green as soon as something does.

    An arrival that lies in the future by more than the interval was planned by a wrong clock: taken at its word, the
    source would be green until then.
    """
    expected = f"Expected a batch of {source} at least every {spell(interval)}"
    what_to_do = f"Look whether the source still delivers (docs/quality.md), or set its interval in {VARIABLE}."
    if latest is None:
        return SourceFreshness(False, f"{expected}, none has ever come. {what_to_do}", None)
    due_at = latest.planned_at + interval
    came = f"{latest.batch_id} ({_items(latest.n_items)}) came at {_moment(latest.planned_at)}"
    if latest.planned_at > now + interval:
        return SourceFreshness(
            False, f"{expected}; {came}, which lies ahead of this machine's clock. Set the clock that is wrong.", due_at
        )
    if now > due_at:
        return SourceFreshness(False, f"{expected}; the latest, {came}. Nothing since. {what_to_do}", due_at)
    return SourceFreshness(True, f"{came}; the next is due by {_moment(due_at)}.", due_at)


def _items(n: int) -> str:
    return "1 item" if n == 1 else f"{n:,} items"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration_of(text: str) -> timedelta:
    """`90s`, `15m`, `1h30m`, `30d`, `2w` as a duration.

    Raises:
        ValueError: it is spelt otherwise, is nothing, or is longer than ten years.
    """
    duration = timedelta()
    if _DURATION.fullmatch(text):
        duration = timedelta(seconds=min(sum(int(n) * _UNITS[unit] for n, unit in _PART.findall(text)), 1e10))
    if not timedelta() < duration <= _LONGEST:
        raise ValueError(f"expected a duration such as 90s, 15m, 1h30m, 30d or 2w, at most ten years, got {text!r}")
    return duration


def spell(duration: timedelta) -> str:
    """A duration in its two largest units: `20s`, `1h 30m`, `30d`."""
    left, parts = max(1, round(duration.total_seconds())), []
    for unit in ("d", "h", "m", "s"):
        n, left = divmod(left, _UNITS[unit])
        if n:
            parts.append(f"{n}{unit}")
    return " ".join(parts[:2])
