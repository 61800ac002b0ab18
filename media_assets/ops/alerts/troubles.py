"""What went wrong, and what belongs together: many failures of one cause are one group, which opens, grows and is over.

Pure: what is known is given, clocks included. Not here: where troubles come from (`defs/alert_events.py`,
`conditions.py`), when somebody is told (`pace.py`), and how it reads (`wording.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec

MOST_DESCRIBED = 50
"""Open members of a group whose own words are kept; of the others only that they are there."""


class Severity(StrEnum):
    """How much it matters. `warning`: look at it today; `error`: data do not flow, or are not what they should be."""

    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """Errors come first."""
        return 0 if self is Severity.ERROR else 1


class Kind(StrEnum):
    """What sort of trouble."""

    CHECK = "check_failed"  # an asset check said no; `subject` is `table: check`
    RUN = "run_failed"  # a run ended without its batch; `subject` is the list of the batch, or what was run
    STUCK = "batch_stuck"  # a batch that is not done and that nobody is at work on
    RATE = "failure_rate"  # too many of a source's items became dead letters
    LAKE = "lake_unreadable"  # the lake could not be looked at
    SENSOR = "sensor_failing"  # a sensor of the graph fails at every tick; `subject` is its name


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that went wrong. `member` is what of the group it concerns: a batch id, or `` for the whole."""

    kind: Kind
    subject: str
    source: str  # the list that the batch is of, such as `open-images.validation`; `` where none is concerned
    member: str
    severity: Severity
    what: str  # what happened, in a sentence; already without secrets
    at: float  # seconds since the epoch
    next_step: str = ""  # a command, or an address; `` where the kind of trouble says what to do
    link: str = ""  # where it can be looked at

    @property
    def group_id(self) -> str:
        """Troubles with the same id are one group."""
        return group_id(self.kind, self.subject, self.source)


class Member(msgspec.Struct, omit_defaults=True):
    """What is open now of a group."""

    since: float
    what: str = ""
    next_step: str = ""
    link: str = ""


class Group(msgspec.Struct):
    """Troubles of one cause. `n_troubles` only grows: who was told of fewer has not heard all."""

    kind: Kind
    subject: str
    source: str
    severity: Severity  # the worst so far: who was told of an error is to hear of its end
    first_at: float
    last_at: float
    n_troubles: int = 0
    open: dict[str, Member] = {}
    n_members: int = 0  # the most that were open at one time
    latest: Member | None = None  # the last one that opened, whose words stand for the group
    latest_of: str = ""
    over_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is open."""
        return self.over_at is not None


class Ledger(msgspec.Struct):
    """Every group that is open, or whose end somebody has yet to hear of."""

    groups: dict[str, Group] = {}

    def note(self, trouble: Trouble) -> None:
        """Something went wrong. A group that was over opens again, and goes on counting."""
        group = self.groups.get(trouble.group_id)
        if group is None:
            group = self.groups[trouble.group_id] = Group(
                kind=trouble.kind,
                subject=trouble.subject,
                source=trouble.source,
                severity=trouble.severity,
                first_at=trouble.at,
                last_at=trouble.at,
            )
        if group.is_over:
            group.first_at, group.over_at, group.n_members = trouble.at, None, 0
        known = group.open.get(trouble.member)
        if known is None or trouble.member:  # of the whole, a check that is evaluated again has nothing new to say
            group.n_troubles += 1
        group.last_at = max(group.last_at, trouble.at)
        group.severity = min(group.severity, trouble.severity, key=lambda severity: severity.rank)
        since = trouble.at if known is None else known.since
        member = Member(since, trouble.what, trouble.next_step, trouble.link)
        group.latest, group.latest_of = member, trouble.member
        is_described = len(group.open) < MOST_DESCRIBED or (known is not None and bool(known.what))
        group.open[trouble.member] = member if is_described else Member(since)
        group.n_members = max(group.n_members, len(group.open))

    def clear(self, kind: Kind, subject: str, source: str, member: str, at: float) -> None:
        """What was wrong with a member is no more; nothing happens where nothing was."""
        group = self.groups.get(group_id(kind, subject, source))
        if group is None or group.open.pop(member, None) is None:
            return
        if not group.open:
            group.over_at = max(at, group.last_at)

    def replace(self, kind: Kind, found: Iterable[Trouble], at: float) -> None:
        """These are all troubles of a kind there are now: note the new ones, clear the others.

        One that was open already is not noted again; its words are brought up to date.
        """
        wanted = {(trouble.group_id, trouble.member): trouble for trouble in found}
        for key, group in self.groups.items():
            if group.kind is kind:
                for member in [member for member in group.open if (key, member) not in wanted]:
                    self.clear(kind, group.subject, group.source, member, at)
        for (key, name), trouble in wanted.items():
            known = self.groups[key].open.get(name) if key in self.groups else None
            if known is None:
                self.note(trouble)
            elif known.what:
                known.what, known.next_step, known.link = trouble.what, trouble.next_step, trouble.link

    def close_all(self, is_meant: Callable[[Group], bool], at: float) -> None:
        """Clear all members of some groups."""
        for group in [group for group in self.groups.values() if is_meant(group)]:
            for member in list(group.open):
                self.clear(group.kind, group.subject, group.source, member, at)

    def forget(self, group_ids: Iterable[str]) -> None:
        """Drop groups that are over."""
        for key in group_ids:
            del self.groups[key]


def group_id(kind: Kind, subject: str, source: str) -> str:
    """The id of a group."""
    return "|".join((kind.value, subject, source))


def source_of(batch_id: str) -> str:
    """The list that a batch is of: `open-images.validation` of `open-images.validation.0007`."""
    return batch_id.rpartition(".")[0] or batch_id
