"""When somebody is told: at once the first time, then no more often than every so often, and once when it is over.

A destination is told at most one message a tick, with all that is due, and no more than so many in any hour. What does
not go now stays due: nothing is dropped. Pure. Not here: what the message says (`wording.py`).
"""

from __future__ import annotations

import msgspec

from media_assets.ops.alerts.troubles import Group, Ledger, Severity

HOUR_SECONDS = 3600.0
REMIND_SECONDS = 24 * HOUR_SECONDS
"""After so long somebody is reminded of a trouble that is open and has not grown."""
_FIRST_WAIT_SECONDS = 60.0
_LONGEST_WAIT_SECONDS = 900.0


class Pace(msgspec.Struct, frozen=True):
    """How often a destination may be written to."""

    every_seconds: float = 900.0  # between two messages about one group that has grown
    n_per_hour: int = 12  # messages of any kind


class Told(msgspec.Struct):
    """What a destination has heard of a group."""

    n_troubles: int
    is_over: bool
    trouble_at: float  # when it last heard that the group is open, seconds since the epoch


class Channel(msgspec.Struct):
    """What a destination has heard, and how it fared. It holds nothing of the destination's address."""

    told: dict[str, Told] = {}
    tried_at: list[float] = []  # of the last hour; what failed may have arrived all the same, so that it counts
    n_failures: int = 0  # in a row
    next_try_at: float = 0.0
    why: str = ""  # of the last failure


def due(ledger: Ledger, channel: Channel, wanted: Severity, pace: Pace, now: float) -> list[str]:
    """Ids of the groups that a destination is to hear of now; the worst first, then the oldest.

    `wanted` is the least that it asked to hear of.
    """
    found = [
        (group.severity.rank, group.first_at, key)
        for key, group in ledger.groups.items()
        if group.severity.rank <= wanted.rank and _is_due(group, channel.told.get(key), pace, now)
    ]
    return [key for _, _, key in sorted(found)]


def _is_due(group: Group, told: Told | None, pace: Pace, now: float) -> bool:
    if told is None:
        return True
    has_grown = group.n_troubles > told.n_troubles
    if group.is_over and not told.is_over:
        return True
    if group.is_over:  # it was over, opened again, and is over once more
        return has_grown and _has_passed(told.trouble_at, pace.every_seconds, now)
    return _has_passed(told.trouble_at, pace.every_seconds if has_grown else REMIND_SECONDS, now)


def _has_passed(since: float, seconds: float, now: float) -> bool:
    """Whether so long ago; a time that lies ahead is of a clock that was set back since, and silences nobody."""
    return now >= since + seconds or now < since


def may_try(channel: Channel, pace: Pace, now: float) -> bool:
    """Whether a destination may be written to: it is not waited for, and the hour is not full."""
    waits = now < channel.next_try_at <= now + _LONGEST_WAIT_SECONDS
    return not waits and len(_of_last_hour(channel, now)) < pace.n_per_hour


def opens_at(channel: Channel, pace: Pace, now: float) -> float:
    """When a destination may be written to again, seconds since the epoch."""
    tried = _of_last_hour(channel, now)
    full_until = tried[-pace.n_per_hour] + HOUR_SECONDS if len(tried) >= pace.n_per_hour else 0.0
    return max(channel.next_try_at, full_until, now)


def begin_try(channel: Channel, now: float) -> None:
    """A message is about to be sent: it counts, whatever becomes of it."""
    channel.tried_at = [*_of_last_hour(channel, now), now]


def note_delivered(channel: Channel, ledger: Ledger, told: list[str], now: float) -> None:
    """The destination took a message about these groups."""
    channel.n_failures, channel.next_try_at, channel.why = 0, 0.0, ""
    for key in told:
        group, before = ledger.groups[key], channel.told.get(key)
        # Somebody who first hears of a trouble when it is over has heard of the trouble as well.
        is_news = before is None or not group.is_over or group.n_troubles > before.n_troubles
        heard_at = now if is_news or before is None else before.trouble_at
        channel.told[key] = Told(group.n_troubles, group.is_over, heard_at)


def note_failed(channel: Channel, why: str, now: float) -> None:
    """The destination did not take a message: wait, twice as long each time."""
    wait = min(_FIRST_WAIT_SECONDS * 2**channel.n_failures, _LONGEST_WAIT_SECONDS)
    channel.n_failures += 1
    channel.next_try_at = now + wait
    channel.why = why


def spent(ledger: Ledger, channels: dict[str, tuple[Channel, Severity]], pace: Pace, now: float) -> list[str]:
    """Ids of the groups that are over, of which every destination has heard all, and so long ago that the next trouble
    of the kind may be told at once."""
    return [
        key
        for key, group in ledger.groups.items()
        if group.is_over
        and all(
            _has_heard(channel.told.get(key), group, pace, now)
            for channel, wanted in channels.values()
            if group.severity.rank <= wanted.rank
        )
    ]


def _has_heard(told: Told | None, group: Group, pace: Pace, now: float) -> bool:
    if told is None or not told.is_over or told.n_troubles < group.n_troubles:
        return False
    return _has_passed(told.trouble_at, pace.every_seconds, now)


def _of_last_hour(channel: Channel, now: float) -> list[float]:
    """A clock that was set back must not silence a destination: what lies in the future is forgotten."""
    return [at for at in channel.tried_at if now - HOUR_SECONDS < at <= now]
