"""How a message reads: what happened, where, since when, and what to do; within the length that a destination takes.

Plain text, which every destination shows: commands stand in backticks. Pure. Not here: when it is sent (`pace.py`).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from media_assets.ops.alerts.troubles import Group, Kind, Member, Severity

TITLE_CHARS = 120
BODY_CHARS = 2800  # Slack shows 3,000 in one piece
_NAMED = 3
_WHAT_CHARS = 400
_STEPS = {
    Kind.CHECK: "look at the check in the UI, then at the batch: `media-assets status --batch {glob}`",
    Kind.RUN: "mend the cause, then run the batch again: `media-assets materialize --batch {glob}`",
    Kind.STUCK: "see that the daemon and its sensors run; or run it by hand: `media-assets materialize --batch {glob}`",
    Kind.RATE: "see which and why: `media-assets dead-letters list --batch {glob}`; once the cause is gone: "
    "`media-assets dead-letters replay --batch {glob}`",
    Kind.LAKE: "see what is unfit: `media-assets doctor`",
    Kind.SENSOR: "mend what its ticks say, in the UI under Automation; it goes on by itself",
}


@dataclass(frozen=True)
class Message:
    """What goes to one destination. `told` are the ids of the groups that it tells of."""

    title: str
    body: str
    severity: Severity | None  # of the worst that is open; None: it only says what is over
    told: tuple[str, ...]
    is_all_clear: bool = False  # nothing is open any more, in this message or elsewhere


def compose(
    groups: Sequence[tuple[str, Group]], place: str, body_chars: int = BODY_CHARS, *, is_all_clear: bool = False
) -> Message:
    """One message about as many of these groups as fit, in their order; at least about the first one.

    `place` says which lake it comes from.
    """
    most = min(body_chars, BODY_CHARS)
    end = f"From {place}."
    parts: list[str] = []
    told: list[tuple[str, Group]] = []
    for key, group in groups:
        # Room is kept for the line that counts the others.
        room = most - len(end) - sum(len(part) + 2 for part in parts) - 80
        part = _paragraph(group)
        if parts and len(part) > room:
            break
        parts.append(_cut(part, max(room, most // 2)))
        told.append((key, group))
    if len(groups) == 1:  # the title says it already
        parts = [parts[0].partition("\n")[2]]
    if n_more := len(groups) - len(told):
        parts.append(f"{n_more} more to tell, in the next message; now: `media-assets alerts list`.")
    body = "\n\n".join([*parts, end])
    open_severities = [group.severity for _, group in told if not group.is_over]
    severity = min(open_severities, key=lambda each: each.rank) if open_severities else None
    title = _title([group for _, group in told], n_more)
    return Message(title, _cut(body, most), severity, tuple(key for key, _ in told), is_all_clear)


def _title(groups: Sequence[Group], n_more: int) -> str:
    n_open = sum(not group.is_over for group in groups) + n_more
    if len(groups) == 1 and not n_more:
        (group,) = groups
        mark = "OK again" if group.is_over else group.severity.value.upper()
        return _cut(f"{mark}: {headline(group)}", TITLE_CHARS)
    n_over = len(groups) + n_more - n_open
    counted = [f"{n_open} open" if n_open else "", f"{n_over} OK again" if n_over else ""]
    return _cut(f"Media Assets: {', '.join(filter(None, counted))}; first: {headline(groups[0])}", TITLE_CHARS)


def headline(group: Group) -> str:
    """A group in a line, without its severity."""
    n = group.n_members if group.is_over else len(group.open)
    name = _only_name(group)
    batches = f"batch {name}" if n == 1 and name else f"{n:,} batches of {group.source}"
    if group.kind is Kind.LAKE:
        return "the lake cannot be read"
    if group.kind is Kind.SENSOR:
        return f"the sensor {group.subject} fails"
    if group.kind is Kind.RATE:
        return f"too many items of {group.source} fail"
    if group.kind is Kind.STUCK:
        return f"{batches} {'is' if n == 1 else 'are'} stuck"
    if group.kind is Kind.RUN:
        return f"{batches}: run failed" if group.source else f"run of {group.subject} failed"
    table, _, check = group.subject.partition(": ")
    return f"{batches} failed the check {check} of {table}" if group.source else f"check {check} of {table} failed"


def _paragraph(group: Group) -> str:
    member = _telling_member(group)
    lines = [f"{_mark(group)} {headline(group)}."]
    if group.is_over:
        lasted = _duration((group.over_at or group.last_at) - group.first_at)
        lines.append(f"It is over: from {_time(group.first_at)}, for {lasted}; it happened {_times(group.n_troubles)}.")
        if member is not None and member.what:
            lines.append(f"It was: {_cut(member.what, _WHAT_CHARS)}")
        return "\n".join(lines)
    if member is not None and member.what:
        of_whom = f"{group.latest_of}: " if len(group.open) > 1 and group.latest_of else ""
        lines.append(f"What: {of_whom}{_cut(member.what, _WHAT_CHARS)}")
    lines.append(f"Where: {_where(group)}")
    since = f"Since: {_time(group.first_at)}"
    if group.n_troubles > len(group.open):
        since += f"; it happened {_times(group.n_troubles)}, last {_time(group.last_at)}"
    lines.append(since)
    lines.append(f"What to do: {_step(group, member)}")
    if member is not None and member.link:
        lines.append(f"Look: {member.link}")
    return "\n".join(lines)


def _mark(group: Group) -> str:
    return "[OK again]" if group.is_over else f"[{group.severity.value}]"


def _telling_member(group: Group) -> Member | None:
    """The one whose own words stand for the group: the latest, as far as it is open."""
    if group.is_over or len(group.open) > 1:
        return group.latest
    return next(iter(group.open.values()), group.latest)


def _only_name(group: Group) -> str:
    """The batch that a group is about, where it is about one."""
    if group.is_over:
        return group.latest_of if group.n_members == 1 else ""
    return next(iter(group.open), "") if len(group.open) == 1 else ""


def _where(group: Group) -> str:
    if not any(group.open):
        return group.subject or group.source or "this lake"
    names = [name for name in group.open if name]
    shown, n_more = names[:_NAMED], len(names) - _NAMED
    told = ", ".join(shown) + (f" and {n_more:,} more" if n_more > 0 else "")
    return told if group.kind is not Kind.CHECK else f"{group.subject.partition(':')[0]}, {told}"


def _step(group: Group, member: Member | None) -> str:
    glob = shlex.quote(_only_name(group) or f"{group.source}.*")
    if member is not None and member.next_step:
        step = member.next_step
        if len(group.open) > 1 and group.latest_of:  # what it says of one batch is to be done for all
            step = step.replace(shlex.quote(group.latest_of), glob)
        return f"`{step}`" if step.startswith("media-assets ") else step
    if not group.source and group.kind not in (Kind.LAKE, Kind.SENSOR):
        return "look at it in the UI" if group.kind is Kind.CHECK else "mend the cause, then run it again from the UI"
    return _STEPS[group.kind].format(glob=glob)


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n:,} times"


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"


def _cut(text: str, n_chars: int) -> str:
    return text if len(text) <= n_chars else f"{text[: max(n_chars - 1, 0)]}…"


def test_message(place: str) -> Message:
    """What `media-assets alerts test` sends."""
    body = (
        "This is a test: messages about failed checks and runs, stuck batches and failure rates arrive here.\n"
        f"What to do: nothing.\n\nFrom {place}."
    )
    return Message("Media Assets: a test message", body, None, ())


def as_row(group: Group) -> dict[str, Any]:
    """A group as a row of `media-assets alerts list`."""
    member = _telling_member(group)
    return {
        "severity": group.severity.value,
        "kind": group.kind.value,
        "trouble": headline(group),
        "since": datetime.fromtimestamp(group.first_at, UTC),
        "times": group.n_troubles,
        "what": member.what if member is not None else "",
        "what_to_do": _step(group, member).replace("`", ""),
        "batches": [name for name in group.open if name],
        "link": member.link if member is not None else "",
    }
