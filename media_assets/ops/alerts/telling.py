"""Telling every destination what it is to hear of now: one message each, at the same time, and what became of it.

Not here: where troubles come from, and how a message is sent (`destinations.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from media_assets.lake.crash_points import crash_point
from media_assets.ops.alerts.destinations import Destination
from media_assets.ops.alerts.pace import (
    Channel,
    Pace,
    begin_try,
    due,
    may_try,
    note_delivered,
    note_failed,
    opens_at,
    spent,
)
from media_assets.ops.alerts.troubles import Ledger
from media_assets.ops.alerts.wording import Message, compose

Deliver = Callable[[Mapping[str, tuple[Destination, Message]]], dict[str, str | None]]


class Desk(msgspec.Struct):
    """What is known of every trouble, and what each destination has heard of it; by the destination's name."""

    ledger: Ledger = msgspec.field(default_factory=Ledger)
    channels: dict[str, Channel] = {}


class Outcome(msgspec.Struct, frozen=True):
    """What became of one destination's turn."""

    destination: str
    n_told: int = 0  # groups that it was told of
    n_waiting: int = 0  # groups that it is to hear of and has not
    why: str = ""  # it did not take a message, now or the last time
    has_failed: bool = False  # it did not take one now
    next_at: float = 0.0  # when it is tried again, seconds since the epoch, where something waits


def tell(
    desk: Desk,
    destinations: Sequence[Destination],
    pace: Pace,
    place: str,
    now: float,
    deliver: Deliver,
    save: Callable[[], None],
) -> list[Outcome]:
    """Send what is due and note it; `save` is called before and after sending.

    A process that dies between a delivery and the save tells the same once more, one message for each destination.
    """
    desk.channels = {each.name: desk.channels.get(each.name, Channel()) for each in destinations}
    messages: dict[str, tuple[Destination, Message]] = {}
    waiting: dict[str, list[str]] = {}
    for destination in destinations:
        channel = desk.channels[destination.name]
        keys = due(desk.ledger, channel, destination.wanted, pace, now)
        waiting[destination.name] = keys
        if keys and may_try(channel, pace, now):
            begin_try(channel, now)
            messages[destination.name] = (destination, _message(desk, destination, keys, place))
    if messages:
        save()
        crash_point("before alerts are sent")
        answers = deliver(messages)
        crash_point("after alerts are sent")
        for name, (_, message) in messages.items():
            if (why := answers[name]) is None:
                note_delivered(desk.channels[name], desk.ledger, list(message.told), now)
            else:
                note_failed(desk.channels[name], why, now)
    heard = {each.name: (desk.channels[each.name], each.wanted) for each in destinations}
    done = spent(desk.ledger, heard, pace, now)
    desk.ledger.forget(done)
    for channel in desk.channels.values():
        channel.told = {key: told for key, told in channel.told.items() if key in desk.ledger.groups}
    if messages or done:
        save()
    return [_outcome(desk, each.name, waiting[each.name], messages, pace, now) for each in destinations]


def _message(desk: Desk, destination: Destination, keys: list[str], place: str) -> Message:
    groups = [(key, desk.ledger.groups[key]) for key in keys]
    is_all_clear = all(
        group.is_over for group in desk.ledger.groups.values() if group.severity.rank <= destination.wanted.rank
    )
    return compose(groups, place, destination.body_chars, is_all_clear=is_all_clear)


def _outcome(
    desk: Desk,
    name: str,
    keys: list[str],
    messages: Mapping[str, tuple[Destination, Message]],
    pace: Pace,
    now: float,
) -> Outcome:
    channel = desk.channels[name]
    told = messages[name][1].told if name in messages and not channel.why else ()
    n_waiting = len(keys) - len(told)
    return Outcome(
        name,
        n_told=len(told),
        n_waiting=n_waiting,
        why=channel.why,
        has_failed=name in messages and bool(channel.why),
        next_at=opens_at(channel, pace, now) if n_waiting else 0.0,
    )
