"""Grouping, pace and retries together, by a clock that is given: nothing is lost, and nobody is flooded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from media_assets.ops.alerts.destinations import Destination
from media_assets.ops.alerts.pace import HOUR_SECONDS, REMIND_SECONDS, Pace
from media_assets.ops.alerts.telling import Desk, Outcome, tell
from media_assets.ops.alerts.troubles import Kind, Severity, Trouble
from media_assets.ops.alerts.wording import Message

START = 1_800_000_000.0
PACE = Pace(every_seconds=900.0, n_per_hour=4)


def trouble(member: str, at: float, check: str = "contract_holds", severity: Severity = Severity.ERROR) -> Trouble:
    return Trouble(
        kind=Kind.CHECK,
        subject=f"raw/media: {check}",
        source=member.rpartition(".")[0],
        member=member,
        severity=severity,
        what=f"{member} broke",
        at=at,
    )


@dataclass
class Place:
    """Destinations that note what they were sent, and are down when told to be; the memory is saved as in life."""

    names: tuple[str, ...] = ("JSON 1",)
    wanted: Severity = Severity.WARNING
    body_chars: int = 30_000
    pace: Pace = PACE
    desk: Desk = field(default_factory=Desk)
    now: float = START
    down: set[str] = field(default_factory=set)
    sent: dict[str, list[tuple[float, Message]]] = field(default_factory=dict)
    tried: dict[str, list[float]] = field(default_factory=dict)
    saved: bytes = b""
    dies_after_sending: bool = False

    def note(self, member: str, check: str = "contract_holds", severity: Severity = Severity.ERROR) -> None:
        self.desk.ledger.note(trouble(member, self.now, check, severity))

    def clear(self, member: str, check: str = "contract_holds") -> None:
        self.desk.ledger.clear(Kind.CHECK, f"raw/media: {check}", member.rpartition(".")[0], member, self.now)

    def tick(self, after_seconds: float = 30.0) -> list[Outcome]:
        self.now += after_seconds
        destinations = [Destination(name, self.wanted, self.body_chars, None) for name in self.names]
        try:
            return tell(self.desk, destinations, self.pace, "here", self.now, self._deliver, self._save)
        except ConnectionAbortedError:
            self.desk = msgspec.json.decode(self.saved, type=Desk)
            return []

    def messages(self, name: str = "JSON 1") -> list[Message]:
        return [message for _, message in self.sent.get(name, [])]

    def _deliver(self, messages: Mapping[str, tuple[Destination, Message]]) -> dict[str, str | None]:
        answers: dict[str, str | None] = {}
        for name, (_, message) in messages.items():
            self.tried.setdefault(name, []).append(self.now)
            answers[name] = "it answered 500" if name in self.down else None
            if name not in self.down:
                self.sent.setdefault(name, []).append((self.now, message))
        if self.dies_after_sending:
            raise ConnectionAbortedError
        return answers

    def _save(self) -> None:
        self.saved = msgspec.json.encode(self.desk)


def test_the_first_is_told_at_once_and_a_thousand_more_of_its_kind_in_one_message_later() -> None:
    place = Place()
    place.note("photos.0001")
    place.tick()
    for number in range(2, 1001):
        place.note(f"photos.{number:04d}")
        place.tick(0.8)
    place.tick(900)
    place.tick(900)
    first, second = place.messages()
    assert first.title == "ERROR: batch photos.0001 failed the check contract_holds of raw/media"
    assert "1,000 batches of photos failed" in second.title
    assert "photos.0001, photos.0002, photos.0003 and 997 more" in second.body


def test_the_end_is_told_once_and_at_once() -> None:
    place = Place()
    for member in ("photos.0001", "photos.0002"):
        place.note(member)
    place.tick()
    place.clear("photos.0001")
    place.tick()
    assert len(place.messages()) == 1, "one of two is not the end"
    place.clear("photos.0002")
    place.tick()
    place.tick(3000)
    (opened, over) = place.messages()
    assert over.title == "OK again: 2 batches of photos failed the check contract_holds of raw/media"
    assert (opened.severity, over.severity, over.is_all_clear) == (Severity.ERROR, None, True)
    assert place.desk.ledger.groups == {}, "what everybody has heard is forgotten"


def test_what_fails_and_recovers_over_and_over_is_told_at_its_pace() -> None:
    place = Place(pace=Pace(900.0, 1000))
    for _ in range(120):
        place.note("photos.0001")
        place.tick()
        place.clear("photos.0001")
        place.tick()
    assert 2 * 8 <= len(place.messages()) <= 2 * 9, "two hours, one opening and one end each quarter"
    place.tick(1000)
    assert place.messages()[-1].severity is None
    assert "it happened 120 times" in place.messages()[-1].body


def test_a_trouble_that_stays_is_recalled_after_a_day() -> None:
    place = Place()
    place.note("photos.0001")
    for _ in range(49):
        place.tick(HOUR_SECONDS)
    assert len(place.messages()) == 3


def test_a_destination_that_is_down_gets_all_of_it_later_and_the_other_is_not_told_twice() -> None:
    place = Place(names=("JSON 1", "JSON 2"), down={"JSON 2"})
    place.note("photos.0001")
    (well, ill) = place.tick()
    assert (well.n_told, ill.has_failed, ill.n_waiting, ill.why) == (1, True, 1, "it answered 500")
    assert ill.next_at == place.now + 60
    for _ in range(40):
        place.tick()
    assert place.tried["JSON 2"] == [START + 30, START + 90, START + 210, START + 450], "longer waits, and no flood"
    place.note("videos.0001")
    place.clear("photos.0001")
    place.down.clear()
    place.tick(3600)
    (late,) = place.messages("JSON 2")
    assert "batch videos.0001 failed" in late.body
    assert "[OK again] 1 batches" not in late.body
    assert "It is over" in late.body
    assert [len(message.told) for message in place.messages()] == [1, 2]


def test_a_destination_for_errors_hears_of_no_warning() -> None:
    place = Place(wanted=Severity.ERROR)
    place.note("photos.0001", severity=Severity.WARNING)
    place.tick()
    assert place.messages() == []
    place.note("photos.0002", severity=Severity.ERROR)
    place.tick()
    assert len(place.messages()) == 1


def test_a_crash_after_sending_repeats_one_message_and_loses_none() -> None:
    place = Place(dies_after_sending=True)
    place.note("photos.0001")
    place._save()
    place.tick()
    place.dies_after_sending = False
    place.tick()
    place.tick()
    assert [message.title for message in place.messages()] == [place.messages()[0].title] * 2


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    place = Place(down={"JSON 1"})
    place.note("photos.0001")
    place.tick()
    place.down.clear()
    place.now -= 10 * 24 * HOUR_SECONDS
    place.tick()
    assert len(place.messages()) == 1
    place.now -= 10 * 24 * HOUR_SECONDS
    place.note("photos.0002")
    place.tick()
    assert len(place.messages()) == 2


def test_more_groups_than_a_message_holds_go_into_the_next_ones() -> None:
    place = Place(body_chars=900, pace=Pace(900.0, 12))
    for number in range(10):
        place.note(f"list{number}.0001")
    for _ in range(12):
        place.tick(300)
    assert all(len(message.body) <= 900 for message in place.messages())
    told = [key for message in place.messages() for key in message.told]
    assert len(set(told)) == len(told) == 10
    assert "more to tell" in place.messages()[0].body
    for message in place.messages():
        for key in message.told:
            assert f"batch {key.rpartition('|')[2]}.0001 failed" in message.title + message.body, "it is really told"


STEP = st.one_of(
    st.tuples(st.just("note"), st.integers(0, 5), st.integers(0, 2)),
    st.tuples(st.just("clear"), st.integers(0, 5), st.integers(0, 2)),
    st.tuples(st.just("tick"), st.integers(1, 2000), st.just(0)),
    st.tuples(st.just("down"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("die"), st.just(0), st.just(0)),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(STEP, max_size=80), st.sampled_from([350, 900, 30_000]))
@example([("note", 0, 0), ("tick", 30, 0), ("clear", 0, 0), ("tick", 30, 0), ("note", 0, 0), ("clear", 0, 0)], 900)
@example([("note", 0, 0), ("down", 1, 0), ("tick", 1, 0), *[("note", 1, 1), ("tick", 5, 0)] * 20], 900)
def test_no_trouble_is_lost_and_no_hour_holds_more_messages_than_it_may(
    steps: list[tuple[str, int, int]], body_chars: int
) -> None:
    place = Place(names=("JSON 1", "JSON 2"), body_chars=body_chars)
    noted: dict[str, float] = {}  # group → when its last trouble was noted
    for step, number, kind in steps:
        member, check = f"list{kind}.{number:04d}", f"check{number % 2}"
        if step == "note":
            place.note(member, check)
            noted[trouble(member, 0, check).group_id] = place.now
            place._save()
        elif step == "clear":
            place.clear(member, check)
            place._save()
        elif step == "tick":
            place.tick(number)
        elif step == "down":
            place.down = {"JSON 2"} if number else set()
        else:
            place.dies_after_sending = True
            place.tick(1)
            place.dies_after_sending = False
    place.down = set()
    open_at_last = {key for key, group in place.desk.ledger.groups.items() if not group.is_over}
    for _ in range(60):
        place.tick(400)
    for name in place.names:
        for key, at in noted.items():
            assert any(key in message.told for sent_at, message in place.sent.get(name, []) if sent_at >= at), "lost"
        for key in noted.keys() - open_at_last:
            last = [message for _, message in place.sent.get(name, []) if key in message.told][-1]
            assert key not in place.desk.ledger.groups, "everybody has heard that it is over"
            assert "OK again" in last.title + last.body
        tried = place.tried.get(name, [])
        assert all(sum(at - HOUR_SECONDS < other <= at for other in tried) <= PACE.n_per_hour for at in tried)
        assert all(len(message.body) <= body_chars for message in place.messages(name))
    before = {name: len(messages) for name, messages in place.sent.items()}
    place.tick(100)
    assert {name: len(messages) for name, messages in place.sent.items()} == before, "all quiet"
    assert REMIND_SECONDS > 60 * 400
