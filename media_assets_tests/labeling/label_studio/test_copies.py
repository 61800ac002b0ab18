"""Of several copies the one counts that people have worked on, whatever order they are listed in."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import chain

from hypothesis import example, given
from hypothesis import strategies as st

from media_assets.labeling.label_studio.copies import Copies
from media_assets.labeling.label_studio.listing import Listed, short_runs

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def listed(task_id: int, key: str | None, n_answers: int) -> Listed:
    return Listed(task_id, key, n_answers, 1, False, _NOW)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 2)), max_size=8), st.integers())
@example([("a", 0), ("a", 1)], 0)
def test_the_answered_one_is_kept_else_the_oldest_and_the_others_are_all_the_rest(
    told: list[tuple[str | None, int]], seed: int
) -> None:
    tasks = [listed(task_id, key, n_answers) for task_id, (key, n_answers) in enumerate(told, 1)]
    shuffled = random.Random(seed).sample(tasks, len(tasks))
    copies = Copies.of([*shuffled, *shuffled[:2]])
    kept = copies.kept()
    ours = [task for task in tasks if task.task_key is not None]
    assert set(kept) == {task.task_key for task in ours}
    for key, task in kept.items():
        rivals = [each for each in ours if each.task_key == key]
        assert task.n_answers == max(each.n_answers for each in rivals)
        assert task.task_id == min(each.task_id for each in rivals if each.n_answers == task.n_answers)
    others = copies.others()
    assert sorted(task.task_id for task in [*kept.values(), *others]) == sorted(task.task_id for task in ours)


@given(st.lists(st.text(max_size=300), max_size=60), st.integers(1, 20))
def test_questions_are_short_and_leave_nothing_out(values: list[str], at_most: int) -> None:
    runs = list(short_runs(values, at_most))
    assert list(chain.from_iterable(runs)) == values
    assert all(0 < len(run) <= at_most for run in runs)
