"""The queue: each task once, no move lost, nothing changed by doing it again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import polars as pl
import pytest

from media_assets.curation.label_states import LabelActor, LabelMove
from media_assets.labeling.queue import (
    Enqueued,
    TaskMove,
    another_round,
    apply_moves,
    due_tasks,
    enqueue,
    is_chosen_for_gold,
    withdraw_erased,
    withdraw_media,
)
from media_assets.lake.crash_points import watch_crash_points
from media_assets.lake.delta import Lake
from media_assets.media.identity import media_id
from media_assets.tables import ITEM_STATUS, LABELS_QUEUE
from media_assets_tests.labeling.queues import (
    BATCH,
    NOON,
    US,
    answered,
    candidates,
    key,
    project,
    push,
    queue,
    rows,
    states,
    subject,
)
from media_assets_tests.tables.rows import valid

LATER = NOON + timedelta(hours=3)


def move(number: int, kind: LabelMove, actor: LabelActor = LabelActor.SYNC) -> TaskMove:
    return TaskMove(key(number), kind, actor, "test")


def version(lake: Lake) -> int:
    table = lake.table(LABELS_QUEUE)
    assert table is not None
    return table.version()


def test_a_frame_is_one_task_however_often_it_is_queued(lake: Lake) -> None:
    assert queue(lake, range(5)) == Enqueued(5, 0, 0, 0)
    before, commits = rows(lake), version(lake)
    assert queue(lake, range(5), at=LATER) == Enqueued(0, 5, 0, 0)
    assert (rows(lake), version(lake)) == (before, commits), "nothing is written for nothing"
    assert rows(lake, "queued_at") == [NOON] * 5
    assert rows(lake, "task_key", "state", "annotators", "round") == [(key(i), "queued", 3, 1) for i in range(5)]


def test_a_picture_that_lies_in_two_batches_is_asked_about_once(lake: Lake) -> None:
    queue(lake, range(3))
    assert queue(lake, range(2, 5), "other.0001") == Enqueued(2, 0, 1, 0)
    assert rows(lake, "task_key", "batch_id") == [(key(i), BATCH if i < 3 else "other.0001") for i in range(5)]
    assert queue(lake, range(3)) == Enqueued(0, 3, 0, 0)


def test_two_projects_ask_about_the_same_frame(lake: Lake) -> None:
    queue(lake, [1])
    queue(lake, [1], name="faces")
    assert sorted(rows(lake, "task_key")) == [f"faces/{subject(1)}@r1", key(1)]


def test_the_best_of_a_batch_are_queued_and_no_more_by_being_asked_again(lake: Lake) -> None:
    of_three = project(per_batch=3)
    frames = pl.concat([candidates(range(4), 0.1), candidates([7, 8], 0.9)])
    assert enqueue(lake, of_three, BATCH, frames, NOON, US) == Enqueued(3, 0, 0, 3)
    first = rows(lake, "task_key")
    assert first == [key(0), key(7), key(8)]
    assert enqueue(lake, of_three, BATCH, frames.reverse(), NOON, US) == Enqueued(0, 3, 0, 3)
    assert rows(lake, "task_key") == first
    # A model has seen the others meanwhile: those that are queued stay, with the priority of now.
    seen = pl.concat([candidates(range(4), 1.0), candidates([7, 8], 0.0)])
    assert enqueue(lake, of_three, BATCH, seen, LATER, US).n_new == 0
    assert rows(lake, "task_key") == first, "the others are worth more now, and the places are taken"
    enqueue(lake, project(per_batch=6), BATCH, seen, LATER, US)
    priorities = dict(zip(rows(lake, "task_key"), rows(lake, "priority"), strict=True))
    assert priorities[key(0)] == pytest.approx((0.6 * 1 + 0.3 * 0.5) / 0.9)
    assert priorities[key(7)] == pytest.approx(0.3 * 0.5 / 0.9)


def test_gold_tasks_are_the_same_everywhere_and_about_as_many_as_wanted(lake: Lake) -> None:
    tenth, none = project(), project(gold_share=0)
    chosen = {i for i in range(2000) if is_chosen_for_gold(tenth, subject(i))}
    assert 150 < len(chosen) < 250
    assert min(chosen) == 1, "the same on every machine"
    queue(lake, range(40))
    told = dict(zip(range(40), rows(lake, "is_gold"), strict=True))
    assert {i for i, is_gold in told.items() if is_gold} == {i for i in chosen if i < 40} != set()
    assert not any(is_chosen_for_gold(none, subject(i)) for i in range(100))


def test_moves_are_made_once_and_illegal_ones_change_nothing(lake: Lake) -> None:
    queue(lake, range(3))
    push(lake, [0, 1])
    assert rows(lake, "ls_task_id") == [1, 2, None]
    before = lake.scan(LABELS_QUEUE).sort("task_key").collect()
    applied = apply_moves(
        lake,
        [
            TaskMove(key(0), LabelMove.PUSH, LabelActor.SYNC, "again", 1, 1, NOON),
            move(2, LabelMove.ANNOTATE),
            move(9, LabelMove.PUSH),
            move(1, LabelMove.WITHDRAW),
        ],
        LATER,
        US,
    )
    assert (applied.n_made, applied.n_made_before, set(applied.refused)) == (0, 1, {key(2), key(9), key(1)})
    assert "expected a task in pushed to annotate, got one that is queued" in applied.refused[key(2)]
    assert lake.scan(LABELS_QUEUE).sort("task_key").collect().equals(before)


def test_several_moves_of_one_task_are_made_in_their_order(lake: Lake) -> None:
    queue(lake, [1])
    answered(lake, 1)
    made = [
        move(1, LabelMove.AGREE, LabelActor.SETTLING),
        move(1, LabelMove.ACCEPT, LabelActor.SETTLING),
    ]
    assert apply_moves(lake, made, LATER, US).n_made == 2
    assert rows(lake, "state", "state_at") == [("accepted", LATER)]
    assert apply_moves(lake, made[1:], LATER, US).n_made_before == 1


def test_a_task_that_was_lost_is_to_be_pushed_again(lake: Lake) -> None:
    queue(lake, [1])
    push(lake, [1])
    apply_moves(lake, [move(1, LabelMove.LOSE)], NOON, US)
    assert rows(lake, "state", "ls_task_id", "pushed_at") == [("queued", None, NOON)]
    assert due_tasks(lake, project(per_day=1), NOON).is_empty(), "what was pushed today counts, whatever became of it"
    assert due_tasks(lake, project(per_day=1), NOON + timedelta(days=1)).height == 1


def test_moves_over_several_batches_are_one_commit(lake: Lake) -> None:
    queue(lake, [1])
    queue(lake, [2], "other.0001")
    queue(lake, [3], "third.0001")
    before = version(lake)
    push(lake, [1, 2])
    assert version(lake) == before + 1
    assert states(lake) == {key(1): "pushed", key(2): "pushed", key(3): "queued"}


def test_erased_media_take_their_tasks_along_whatever_their_state(lake: Lake) -> None:
    queue(lake, range(4))
    answered(lake, 1, 2)
    gone = [media_id(b"0"), media_id(b"1"), media_id(b"77")]
    assert withdraw_media(lake, gone, "asked to", LabelActor.ERASURE, LATER, US) == [key(0), key(1)]
    assert states(lake) == {key(0): "withdrawn", key(1): "withdrawn", key(2): "annotated", key(3): "queued"}
    assert withdraw_media(lake, gone, "asked to", LabelActor.ERASURE, LATER, US) == []
    queue(lake, range(4))
    assert states(lake)[key(0)] == "withdrawn", "it is not asked about again"


def test_items_whose_status_is_erased_take_their_tasks_along_and_no_others(lake: Lake) -> None:
    queue(lake, range(3))
    assert withdraw_erased(lake, BATCH, LATER, US) == [], "without statuses nothing is known to be erased"
    told = {"0.jpg": "failed", "1.jpg": "erased", "2.jpg": "accepted"}
    statuses = [
        valid(ITEM_STATUS, item_key=item, status=status, error_code="not_found" if status == "failed" else None)
        for item, status in told.items()
    ]
    where = {"batch_id": [BATCH], "stage": ["raw.media"]}
    lake.overwrite(ITEM_STATUS, ITEM_STATUS.frame(statuses), where, US)
    assert withdraw_erased(lake, BATCH, LATER, US) == [key(1)]
    assert withdraw_erased(lake, BATCH, LATER, US) == []
    assert states(lake) == {key(0): "queued", key(1): "withdrawn", key(2): "queued"}


def test_the_place_of_a_withdrawn_task_is_free(lake: Lake) -> None:
    queue(lake, range(5), per_batch=2)
    assert sorted(states(lake)) == [key(0), key(1)]
    withdraw_media(lake, [media_id(b"0")], "asked to", LabelActor.ERASURE, NOON, US)
    queue(lake, range(5), per_batch=2)
    assert states(lake) == {key(0): "withdrawn", key(1): "queued", key(2): "queued"}


def test_what_is_due_stays_within_the_budget_of_the_day(lake: Lake) -> None:
    queue(lake, range(6))
    few = project(per_day=4)
    assert due_tasks(lake, few, NOON)["task_key"].to_list() == [key(i) for i in range(4)]
    push(lake, range(3))
    assert due_tasks(lake, few, NOON)["task_key"].to_list() == [key(3)]
    assert due_tasks(lake, few, NOON + timedelta(days=1)).height == 3


def test_another_round_is_another_task_once(lake: Lake) -> None:
    queue(lake, [1, 2])
    answered(lake, 1)
    for _ in range(2):
        assert another_round(lake, [key(1)], "disagreement", LATER, US) == [key(1, 2)]
        assert states(lake) == {key(1): "annotated", key(2): "queued", key(1, 2): "queued"}
    queue(lake, [1, 2])
    assert len(states(lake)) == 3


@pytest.mark.parametrize("point", ["before labels/queue", "after labels/queue"])
@pytest.mark.parametrize("step", ["queue", "push", "withdraw"])
def test_the_queue_is_the_same_when_a_step_is_killed_and_run_again(lake: Lake, point: str, step: str) -> None:
    steps = {
        "queue": lambda: queue(lake, range(4)),
        "push": lambda: push(lake, [0, 1]),
        "withdraw": lambda: withdraw_media(lake, [media_id(b"0")], "asked to", LabelActor.ERASURE, NOON, US),
    }

    def die(reached: str) -> None:
        if reached == point:
            raise KeyboardInterrupt

    for name, run in steps.items():
        if name == step:
            watch_crash_points(die)
            try:
                with pytest.raises(KeyboardInterrupt):
                    run()
            finally:
                watch_crash_points()
        run()
    got = list(zip(rows(lake, "task_key"), rows(lake, "state"), rows(lake, "ls_task_id"), strict=True))
    assert got == [
        (key(0), "withdrawn", 1),
        (key(1), "pushed", 2),
        (key(2), "queued", None),
        (key(3), "queued", None),
    ]


def test_no_move_is_lost_when_two_write_at_the_same_time(lake: Lake) -> None:
    queue(lake, range(8))
    barrier = threading.Barrier(2)

    def push_each(numbers: range) -> None:
        barrier.wait()
        for number in numbers:
            push(lake, [number])

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(push_each, range(start, 8, 2)) for start in (0, 1)]:
            done.result(timeout=60)
    assert states(lake) == {key(i): "pushed" for i in range(8)}


def test_no_picture_is_asked_about_twice_when_two_batches_are_queued_at_the_same_time(lake: Lake) -> None:
    """Both look before either has written: the second looks again before it writes."""
    met = threading.Barrier(2)
    looked = threading.local()

    def wait_once(reached: str) -> None:
        if reached == "before labels/queue" and not getattr(looked, "already", False):
            looked.already = True
            met.wait(timeout=30)

    lake.ensure(LABELS_QUEUE)
    watch_crash_points(wait_once)
    try:
        with ThreadPoolExecutor(2) as pool:
            started = [pool.submit(queue, lake, range(4), f"{name}.0001") for name in ("a", "b")]
            done = [each.result(timeout=60) for each in started]
    finally:
        watch_crash_points()
    assert sorted(each.n_new for each in done) == [0, 4]
    assert rows(lake, "task_key") == [key(i) for i in range(4)]
