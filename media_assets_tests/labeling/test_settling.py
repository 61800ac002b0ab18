"""From answers to labels: the same however often it is computed, and no accepted label changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from media_assets.curation.label_states import LabelActor, LabelMove
from media_assets.labeling import settling
from media_assets.labeling.queue import TaskMove, another_round, apply_moves, withdraw_media
from media_assets.labeling.results import canonical_result
from media_assets.labeling.settling import Settled, forget_withdrawn, project_agreement, settle_batch
from media_assets.lake.crash_points import watch_crash_points
from media_assets.lake.delta import Lake
from media_assets.media.identity import media_id
from media_assets.tables import LABELS_CONSENSUS
from media_assets_tests.labeling.queues import (
    BATCH,
    NOON,
    US,
    annotate,
    annotation,
    answered,
    key,
    project,
    push,
    queue,
    result_of,
    said,
    states,
)

LATER = NOON + timedelta(hours=3)


def settle(lake: Lake, **changes: Any) -> Settled:
    return settle_batch(lake, [project(**changes)], BATCH, LATER, US)


def consensus(lake: Lake) -> dict[str, tuple[Any, ...]]:
    """Task key → (label, method, tie, people, agreement)."""
    columns = ("task_key", "label", "method", "is_tie", "n_annotators", "agreement")
    return {row[0]: row[1:] for row in lake.scan(LABELS_CONSENSUS).select(columns).collect().iter_rows()}


@pytest.fixture
def four(lake: Lake) -> Lake:
    """Frames 0 to 3 are answered: agreed, tied, majority, by an expert; 4 waits."""
    queue(lake, range(5))
    answered(lake, 0, 1, 2, 3)
    push(lake, [4])
    annotate(
        lake,
        *said(0, ["fake", "fake", "fake"]),
        *said(1, ["fake", "real", "unsure"]),
        *said(2, ["real", "real", "fake"]),
        *said(3, ["real", "fake"]),
        annotation(3, "ls:expert", "fake", 9, is_gold=True),
        *said(4, ["fake"]),
    )
    return lake


def test_answers_become_labels_and_tasks_move_accordingly(four: Lake) -> None:
    settled = settle(four)
    assert (settled.n_settled, settled.n_ties, settled.applied.refused) == (3, 1, {})
    assert consensus(four) == {
        key(0): ("fake", "majority", False, 3, 1.0),
        key(1): (None, "majority", True, 3, 0.0),
        key(2): ("real", "majority", False, 3, pytest.approx(1 / 3)),
        key(3): ("fake", "gold", False, 3, 0.0),
    }
    assert [states(four)[key(i)] for i in range(5)] == [
        "accepted",
        "needs_adjudication",
        "accepted",
        "accepted",
        "pushed",
    ]
    when = four.scan(LABELS_CONSENSUS).sort("task_key").select("settled_at").collect()["settled_at"]
    assert when.to_list()[0] == NOON + timedelta(minutes=2), "when the last of the answers was given"


def test_nothing_is_written_when_it_is_settled_again(four: Lake) -> None:
    settle(four)
    table = four.table(LABELS_CONSENSUS)
    assert table is not None
    before, found = table.version(), states(four)
    settle(four)
    again = four.table(LABELS_CONSENSUS)
    assert again is not None
    assert (again.version(), states(four)) == (before, found)


def test_what_is_agreed_waits_for_a_reviewer_where_that_is_wanted(four: Lake) -> None:
    settle(four, accepts_agreed=False)
    assert [states(four)[key(i)] for i in range(4)] == ["agreed", "needs_adjudication", "agreed", "accepted"]


def test_an_expert_ends_a_tie(four: Lake) -> None:
    settle(four)
    annotate(four, *said(1, ["fake", "real", "unsure"]), annotation(1, "ls:expert", "real", 30, is_gold=True))
    settle(four)
    assert states(four)[key(1)] == "accepted"
    assert consensus(four)[key(1)][:3] == ("real", "gold", False)


def test_a_changed_answer_is_reconsidered_until_it_is_accepted(four: Lake) -> None:
    settle(four, accepts_agreed=False)
    changed = annotation(0, "ls:1", "real", 40)
    rows = [*said(0, ["fake", "fake", "unsure"]), changed, *said(2, ["real", "real", "fake"])]
    annotate(four, *rows)
    settle(four, accepts_agreed=False)
    assert states(four)[key(0)] == "needs_adjudication"
    assert consensus(four)[key(0)][:3] == (None, "majority", True)


def test_an_accepted_label_stays_whatever_is_answered_later(four: Lake) -> None:
    settle(four)
    before = consensus(four)
    annotate(four, *[annotation(0, f"ls:{i}", "real", 50) for i in range(3)], *said(2, ["real"]), *said(3, ["real"]))
    settle(four)
    after = consensus(four)
    assert {k: after[k] for k in (key(0), key(2), key(3))} == {k: before[k] for k in (key(0), key(2), key(3))}


def test_an_answer_that_was_taken_back_does_not_count(four: Lake) -> None:
    taken_back = annotation(1, "ls:1", "real", 60, is_deleted=True)
    annotate(four, *said(1, ["fake", "real", "fake"]), taken_back)
    settle(four)
    assert consensus(four)[key(1)][:4] == ("fake", "majority", False, 2)


def test_what_is_withdrawn_has_no_label(four: Lake) -> None:
    settle(four)
    withdraw_media(four, [media_id(b"0"), media_id(b"1")], "asked to", LabelActor.ERASURE, LATER, US)
    settle(four)
    assert set(consensus(four)) == {key(2), key(3)}


def test_the_label_of_what_is_withdrawn_is_forgotten_whatever_project_it_was_of(four: Lake) -> None:
    settle(four)
    withdraw_media(four, [media_id(b"0")], "asked to", LabelActor.ERASURE, LATER, US)
    assert forget_withdrawn(four, BATCH, US) == 1
    assert set(consensus(four)) == {key(1), key(2), key(3)}
    assert forget_withdrawn(four, BATCH, US) == 0


def test_the_latest_round_that_is_answered_counts(four: Lake) -> None:
    settle(four)
    another_round(four, [key(1)], "disagreement", LATER, US)
    settle(four)
    assert consensus(four)[key(1)][0] is None
    moves = [
        TaskMove(key(1, 2), LabelMove.PUSH, LabelActor.SYNC, "pushed", 1, 9, NOON),
        TaskMove(key(1, 2), LabelMove.ANNOTATE, LabelActor.SYNC, "answered"),
    ]
    apply_moves(four, moves, LATER, US)
    second = [
        annotation(1, f"ls:{i}", "real", 70, task_key=key(1, 2), round=2, annotation_id=f"r2-{i}") for i in (0, 1)
    ]
    annotate(four, *said(1, ["fake", "real", "unsure"]), *second)
    settle(four)
    assert consensus(four)[key(1, 2)][:3] == ("real", "majority", False)
    assert key(1) not in consensus(four), "one row for each subject"


def test_an_answer_that_cannot_be_read_is_told_and_left_out(four: Lake) -> None:
    odd = annotation(0, "ls:5", "fake", value='[{"from_name":"colour","value":{"choices":["red"]}}]')
    annotate(four, *said(0, ["fake", "fake", "fake"]), odd)
    settled = settle(four)
    assert list(settled.unreadable) == ["0-ls:5"]
    assert "colour" in settled.unreadable["0-ls:5"]
    assert consensus(four)[key(0)][:4] == ("fake", "majority", False, 3)


@pytest.mark.parametrize(("odd", "n_readable"), [("[]", 0), (result_of("unicorn"), 2), (result_of("fake", "magic"), 0)])
def test_an_answer_that_cannot_be_read_is_not_one_of_those_that_were_wanted(
    four: Lake, odd: str, n_readable: int
) -> None:
    settle(four, accepts_agreed=False)
    people = said(0, ["fake", "fake", "fake"])
    for row in people[n_readable:]:
        row["value"] = odd
    annotate(four, *people)
    settled = settle(four, accepts_agreed=False)
    assert len(settled.unreadable) == 3 - n_readable
    assert (states(four)[key(0)], settled.applied.refused) == ("needs_adjudication", {})
    assert key(0) not in consensus(four)
    annotate(four, *people, annotation(0, "ls:expert", "real", 40, is_gold=True))
    settle(four, accepts_agreed=False)
    assert (states(four)[key(0)], consensus(four)[key(0)][0]) == ("accepted", "real")


def test_a_stretch_of_time_among_boxes_stops_neither_its_batch_nor_the_agreement_of_all(lake: Lake) -> None:
    value = {"ranges": [{"start": 1, "end": 5}], "timelinelabels": ["altered"]}
    odd = canonical_result(
        [
            *json.loads(result_of("fake")),
            {"from_name": "region", "to_name": "media", "type": "timelinelabels", "value": value},
        ]
    )
    queue(lake, [0, 1])
    answered(lake, 0, 1)
    box = odd.replace(json.dumps(value, separators=(",", ":"), sort_keys=True), _BOX)
    assert box != odd
    with_box = [annotation(0, f"ls:{i}", "fake", value=box) for i in range(3)]
    annotate(lake, *with_box, annotation(0, "ls:9", "fake", value=odd), *said(1, ["real"] * 3))
    settled = settle(lake)
    assert list(settled.unreadable) == ["0-ls:9"]
    assert [row[0] for row in consensus(lake).values()] == ["fake", "real"]
    assert project_agreement(lake, project()).n_answers == 6


_BOX = '{"height":10,"rectanglelabels":["altered"],"width":10,"x":1,"y":1}'


def test_rows_of_other_projects_stay(four: Lake) -> None:
    settle(four)
    before = consensus(four)
    settle_batch(four, [], BATCH, LATER, US)
    assert consensus(four) == before


@pytest.mark.parametrize(
    "point", ["before labels/consensus", "after labels/consensus", "before labels/queue", "after labels/queue"]
)
def test_a_run_that_is_killed_is_completed_by_the_next(four: Lake, point: str) -> None:
    def die(reached: str) -> None:
        if reached == point:
            raise KeyboardInterrupt

    watch_crash_points(die)
    try:
        with pytest.raises(KeyboardInterrupt):
            settle(four)
    finally:
        watch_crash_points()
    settle(four)
    assert {k: row[0] for k, row in consensus(four).items()} == {
        key(0): "fake",
        key(1): None,
        key(2): "real",
        key(3): "fake",
    }
    assert [states(four)[key(i)] for i in range(4)] == ["accepted", "needs_adjudication", "accepted", "accepted"]


def test_agreement_of_a_project_is_over_people_and_leaves_experts_out(four: Lake) -> None:
    found = project_agreement(four, project())
    assert found.n_answers == 3 + 3 + 3 + 2 + 1
    assert found.alpha is not None
    assert found.fleiss is not None
    assert "ls:expert" not in found.annotators["annotator"]
    report = {row["annotator"]: row for row in found.annotators.iter_rows(named=True)}
    assert (report["ls:1"]["n_gold"], report["ls:1"]["gold_accuracy"]) == (1, 1.0)
    assert report["ls:0"]["gold_accuracy"] == 0.0
    assert found.cohen.select("first", "second", "n_subjects").rows()[0] == ("ls:0", "ls:1", 4)


def test_a_method_is_part_of_the_settled_value(lake: Lake) -> None:
    queue(lake, [0])
    answered(lake, 0)
    annotate(lake, *[annotation(0, f"ls:{i}", "fake", value=result_of("fake", "lip_sync")) for i in range(2)])
    settle(lake)
    (value,) = lake.scan(LABELS_CONSENSUS).select("value").collect()["value"]
    assert value == '{"label":"fake","method":"lip_sync","regions":[]}'


def meanwhile(point: str, other: Callable[[], object]) -> Callable[[str], None]:
    """Once, when that point is reached, another process does something."""
    todo = [other]

    def reached(name: str) -> None:
        if name == point and todo:
            todo.pop()()

    return reached


@pytest.mark.parametrize("point", ["read", "before labels/queue"])
def test_what_another_run_accepted_meanwhile_keeps_its_verdict(
    four: Lake, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """A slow run found a tie, then another one settled the changed answers."""
    others = [*said(0, ["fake"] * 3), *said(2, ["real", "real", "fake"]), *said(3, ["real"])]

    def other() -> None:
        annotate(four, *others, *said(1, ["real", "real", "real"]))
        settle(four)

    reached = meanwhile(point, other)
    read = settling.read_answers
    with monkeypatch.context() as patch:
        patch.setattr(settling, "read_answers", lambda *given: (read(*given), reached("read"))[0])
        watch_crash_points(reached)
        try:
            settle(four)
        finally:
            watch_crash_points()
    assert (states(four)[key(1)], consensus(four)[key(1)][:3]) == ("accepted", ("real", "majority", False))


def test_no_task_is_accepted_for_a_verdict_that_is_none_any_more(four: Lake) -> None:
    """Before a run moves its tasks another one finds a tie, and dies before it moves them."""
    reached: list[str] = []

    def other(point: str) -> None:
        if point != "before labels/queue":
            return
        reached.append(point)
        if len(reached) > 1:
            raise KeyboardInterrupt
        annotate(four, *said(0, ["fake", "real", "unsure"]))
        with pytest.raises(KeyboardInterrupt):
            settle(four)

    watch_crash_points(other)
    try:
        settled = settle(four)
    finally:
        watch_crash_points()
    assert "changed since" in settled.applied.refused[key(0)]
    assert (states(four)[key(0)], consensus(four)[key(0)][0]) == ("annotated", None)
    settle(four)
    assert states(four)[key(0)] == "needs_adjudication"


def test_a_tie_is_never_the_verdict_of_an_accepted_task(four: Lake) -> None:
    settle(four)
    apply_moves(four, [TaskMove(key(1), LabelMove.ADJUDICATE, LabelActor.REVIEWER, "by hand")], LATER, US)
    annotate(four, *said(1, ["real", "real", "unsure"]))
    settle(four)
    assert consensus(four)[key(1)][:3] == ("real", "majority", False)


def test_forgetting_what_was_withdrawn_loses_nothing_that_is_settled_meanwhile(four: Lake) -> None:
    settle(four)
    withdraw_media(four, [media_id(b"0")], "asked to", LabelActor.ERASURE, LATER, US)
    annotate(four, *said(1, ["real", "real", "real"]))
    todo = [lambda: settle(four)]

    def slow(write: Any) -> Any:
        def late(*given: Any) -> Any:
            if given[1] is LABELS_CONSENSUS and todo:
                todo.pop()()
            return write(*given)

        return late

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "overwrite", slow(Lake.overwrite))
        patch.setattr(Lake, "rewrite", slow(Lake.rewrite))
        forget_withdrawn(four, BATCH, US)
    assert set(consensus(four)) == {key(1), key(2), key(3)}
    assert consensus(four)[key(1)][0] == "real"


def test_agreement_is_over_the_tasks_that_were_answered_last_whatever_the_size_of_the_project(four: Lake) -> None:
    annotate(four, *said(0, ["fake", "real"]), *[row | {"updated_at": LATER} for row in said(2, ["real", "real"])])
    assert project_agreement(four, project(), 2).n_answers == 4
    found = project_agreement(four, project(), 1)
    assert (found.n_answers, found.alpha) == (2, 1.0)
    assert project_agreement(four, project(name="another")).n_answers == 0
