"""What a message says of each kind of trouble, to somebody who knows nothing but the message."""

from __future__ import annotations

from typing import Any

import pytest

from media_assets.ops.alerts.troubles import Kind, Ledger, Severity, Trouble
from media_assets.ops.alerts.wording import TITLE_CHARS, compose, headline

AT = 1_800_000_000.0


def ledger(kind: Kind, members: list[str], source: str = "photos", subject: str = "", **more: Any) -> Ledger:
    found = Ledger()
    for number, member in enumerate(members):
        facts = {"what": f"it broke in {member}", "at": AT + number, "severity": Severity.ERROR} | more
        found.note(Trouble(kind=kind, subject=subject, source=source, member=member, **facts))
    return found


def message(found: Ledger, body_chars: int = 3000) -> str:
    composed = compose(list(found.groups.items()), "the lake /data/lake, on ingest-1", body_chars)
    return f"{composed.title}\n{composed.body}"


CHECK = "raw/media: reconciles"


@pytest.mark.parametrize(
    ("kind", "members", "source", "subject", "line"),
    [
        (Kind.CHECK, ["a.1"], "a", CHECK, "batch a.1 failed the check reconciles of raw/media"),
        (Kind.CHECK, ["a.1", "a.2"], "a", CHECK, "2 batches of a failed the check reconciles of raw/media"),
        (Kind.CHECK, [""], "", CHECK, "check reconciles of raw/media failed"),
        (Kind.RUN, ["a.1"], "a", "", "batch a.1: run failed"),
        (Kind.RUN, [""], "", "tensors/statistics", "run of tensors/statistics failed"),
        (Kind.STUCK, [f"a.{n}" for n in range(1200)], "a", "", "1,200 batches of a are stuck"),
        (Kind.STUCK, ["a.1"], "a", "", "batch a.1 is stuck"),
        (Kind.RATE, [""], "a", "", "too many items of a fail"),
        (Kind.LAKE, [""], "", "", "the lake cannot be read"),
    ],
)
def test_each_kind_has_its_line_and_the_same_one_when_it_is_over(
    kind: Kind, members: list[str], source: str, subject: str, line: str
) -> None:
    found = ledger(kind, members, source, subject)
    (group,) = found.groups.values()
    assert headline(group) == line
    told = message(found)
    assert told.startswith(f"ERROR: {line}\nWhat: ")
    for part in (
        "\nWhere: ",
        "\nSince: 2027-01-15 08:00 UTC",
        "\nWhat to do: ",
        "From the lake /data/lake, on ingest-1.",
    ):
        assert part in told
    for name in list(group.open):
        found.clear(kind, subject, source, name, AT + 7200)
    assert message(found).startswith(f"OK again: {line}\nIt is over: from 2027-01-15 08:00 UTC, for 2 h; ")


def test_what_one_batch_says_is_to_be_done_is_to_be_done_for_all_of_them() -> None:
    one = ledger(Kind.CHECK, ["a.1"], "a", CHECK, next_step="media-assets dead-letters list --batch a.1")
    assert "What to do: `media-assets dead-letters list --batch a.1`" in message(one)
    many = ledger(Kind.CHECK, ["a.1", "a.2"], "a", CHECK, next_step="media-assets dead-letters list --batch a.2")
    assert "What to do: `media-assets dead-letters list --batch 'a.*'`" in message(many)
    assert "What: a.2: it broke in a.2" in message(many)


def test_a_message_is_as_long_as_its_destination_takes() -> None:
    found = ledger(Kind.RUN, ["a" * 200 + ".1"], "a" * 200, what="x" * 500, link="http://ui/" + "y" * 300)
    for most in (140, 903, 3000):
        composed = compose(list(found.groups.items()), "here", most)
        assert len(composed.body) <= most
        assert len(composed.title) <= TITLE_CHARS
        assert composed.told == tuple(found.groups)
