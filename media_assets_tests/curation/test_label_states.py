"""The states of a label task: every walk over them is legal, and what is promised of them holds on each."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from media_assets.curation.label_states import (
    IllegalMove,
    LabelActor,
    LabelMove,
    LabelState,
    after,
    is_made_already,
    moves_from,
)
from media_assets.tables.labels import LABEL_STATES

# Written down a second time: (from, move, to, by whom).
MOVES = {
    ("queued", "push", "pushed", "sync"),
    ("pushed", "lose", "queued", "sync"),
    ("pushed", "annotate", "annotated", "sync"),
    *(
        (state, "reopen", "pushed", actor)
        for state in ("annotated", "agreed", "needs_adjudication")
        for actor in ("sync", "reviewer")
    ),
    ("annotated", "agree", "agreed", "settling"),
    ("annotated", "disagree", "needs_adjudication", "settling"),
    *(
        (state, "reconsider", "annotated", actor)
        for state in ("agreed", "needs_adjudication")
        for actor in ("sync", "settling")
    ),
    *(("agreed", "accept", "accepted", actor) for actor in ("settling", "reviewer")),
    *(("needs_adjudication", "adjudicate", "accepted", actor) for actor in ("settling", "reviewer")),
    *(
        (state, "withdraw", "withdrawn", actor)
        for state in ("queued", "pushed", "annotated", "agreed", "needs_adjudication", "accepted")
        for actor in ("erasure", "reviewer")
    ),
}


def test_the_moves_are_these_and_no_others() -> None:
    found = set()
    for state in LabelState:
        for move in LabelMove:
            for actor in LabelActor:
                try:
                    found.add((state.value, move.value, after(state, move, actor).value, actor.value))
                except IllegalMove:
                    continue
    assert found == MOVES


def test_the_tables_know_the_same_states() -> None:
    assert tuple(state.value for state in LabelState) == LABEL_STATES


@pytest.mark.parametrize("state", LabelState)
def test_withdrawn_alone_is_final(state: LabelState) -> None:
    assert (moves_from(state) == frozenset()) == state.is_final == (state is LabelState.WITHDRAWN)


def test_an_accepted_task_can_only_be_withdrawn() -> None:
    assert moves_from(LabelState.ACCEPTED) == {LabelMove.WITHDRAW}


def test_a_refusal_says_what_was_expected_and_what_came() -> None:
    with pytest.raises(IllegalMove, match="expected a task in agreed to accept, got one that is queued"):
        after(LabelState.QUEUED, LabelMove.ACCEPT, LabelActor.REVIEWER)
    with pytest.raises(IllegalMove, match="expected agree to be made by settling, got sync"):
        after(LabelState.ANNOTATED, LabelMove.AGREE, LabelActor.SYNC)


steps = st.lists(st.tuples(st.sampled_from(LabelMove), st.sampled_from(LabelActor)), max_size=30)


@settings(max_examples=300, deadline=None)
@given(steps)
@example(
    [
        (LabelMove.PUSH, LabelActor.SYNC),
        (LabelMove.ANNOTATE, LabelActor.SYNC),
        (LabelMove.DISAGREE, LabelActor.SETTLING),
        (LabelMove.ADJUDICATE, LabelActor.REVIEWER),
        (LabelMove.REOPEN, LabelActor.SYNC),
        (LabelMove.WITHDRAW, LabelActor.ERASURE),
        (LabelMove.PUSH, LabelActor.SYNC),
    ]
)
def test_every_walk_keeps_the_promises(walk: list[tuple[LabelMove, LabelActor]]) -> None:
    """Whatever is tried, in whatever order, by whomever."""
    state, trail = LabelState.QUEUED, [LabelState.QUEUED]
    for move, actor in walk:
        try:
            state = after(state, move, actor)
        except IllegalMove:
            continue
        trail.append(state)
        assert is_made_already(state, move)
    for before, now in pairwise(trail):
        assert before is not LabelState.WITHDRAWN
        if now is LabelState.ACCEPTED:
            assert before in (LabelState.AGREED, LabelState.NEEDS_ADJUDICATION)
        if before is LabelState.ACCEPTED:
            assert now is LabelState.WITHDRAWN
        if now in (LabelState.AGREED, LabelState.NEEDS_ADJUDICATION):
            assert before is LabelState.ANNOTATED
        if now is LabelState.ANNOTATED:
            assert LabelState.PUSHED in trail, "nobody can have answered what nobody was shown"


class Tasks(RuleBasedStateMachine):
    """A task is driven by legal moves alone, and can always be withdrawn, and until then always be accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.state = LabelState.QUEUED

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        possible = sorted(step for step in MOVES if step[0] == self.state.value)
        if possible:
            _, move, end, actor = data.draw(st.sampled_from(possible))
            self.state = after(self.state, LabelMove(move), LabelActor(actor))
            assert self.state.value == end

    @invariant()
    def a_withdrawal_is_possible_until_it_is_made(self) -> None:
        assert (LabelMove.WITHDRAW in moves_from(self.state)) == (self.state is not LabelState.WITHDRAWN)

    @invariant()
    def acceptance_is_within_reach_until_withdrawn(self) -> None:
        reached, todo = {self.state}, [self.state]
        while todo:
            here = todo.pop()
            for start, _, end, _ in MOVES:
                if start == here.value and LabelState(end) not in reached:
                    reached.add(LabelState(end))
                    todo.append(LabelState(end))
        assert (LabelState.ACCEPTED in reached) == (self.state is not LabelState.WITHDRAWN)


TestTasks = Tasks.TestCase
TestTasks.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)
