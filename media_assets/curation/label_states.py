"""The life of one label task: its states, the moves between them, and who may make them. Pure.

```
queued ──push──► pushed ──annotate──► annotated ──agree────► agreed ─────────────accept────► accepted
   ▲               │ ▲                    │ ▲ ▲                │ │
   └────lose───────┘ └─────reopen─────────┤ │ └───reconsider───┘ │
                                          │ └────reconsider───┐  │
                                          └──────disagree──► needs_adjudication ──adjudicate──► accepted
```

`reopen` leads back to `pushed` from everything that is annotated but not accepted: another person is to answer, or an
answer was taken back. `withdraw` leads to `withdrawn` from everywhere else, and nothing leads out of it. Nothing but a
withdrawal leads out of `accepted`: whoever wants to ask again asks in another round.

Not here: where states are kept (`labeling/queue.py`).
"""

from __future__ import annotations

from enum import StrEnum


class LabelState(StrEnum):
    """How far one task is."""

    QUEUED = "queued"  # to be shown to people, not yet in Label Studio
    PUSHED = "pushed"  # in Label Studio, waiting for answers
    ANNOTATED = "annotated"  # as many people answered as were to
    AGREED = "agreed"  # they agree
    NEEDS_ADJUDICATION = "needs_adjudication"  # they do not: an expert, or more people, have to say
    ACCEPTED = "accepted"  # the label is in use
    WITHDRAWN = "withdrawn"  # not to be asked or used any more

    @property
    def is_final(self) -> bool:
        """Whether nothing leads out of it."""
        return self is LabelState.WITHDRAWN

    @property
    def is_settled(self) -> bool:
        """Whether its answers stand: they agree, or an expert said."""
        return self in (LabelState.AGREED, LabelState.ACCEPTED)


class LabelActor(StrEnum):
    """Who makes a move."""

    SYNC = "sync"  # what keeps the queue and Label Studio alike
    SETTLING = "settling"  # what computes agreement and consensus
    REVIEWER = "reviewer"  # a person in charge
    ERASURE = "erasure"  # media are to be forgotten


class LabelMove(StrEnum):
    """One step from a state to another."""

    PUSH = "push"
    LOSE = "lose"  # the task is gone from Label Studio, unanswered: it is pushed again
    ANNOTATE = "annotate"
    REOPEN = "reopen"
    AGREE = "agree"
    DISAGREE = "disagree"
    RECONSIDER = "reconsider"  # an answer was changed, or one came in addition
    ACCEPT = "accept"
    ADJUDICATE = "adjudicate"
    WITHDRAW = "withdraw"


_S, _M, _A = LabelState, LabelMove, LabelActor
_LIVING = frozenset(LabelState) - {LabelState.WITHDRAWN}

_RULES: dict[LabelMove, tuple[frozenset[LabelState], LabelState, frozenset[LabelActor]]] = {
    _M.PUSH: (frozenset({_S.QUEUED}), _S.PUSHED, frozenset({_A.SYNC})),
    _M.LOSE: (frozenset({_S.PUSHED}), _S.QUEUED, frozenset({_A.SYNC})),
    _M.ANNOTATE: (frozenset({_S.PUSHED}), _S.ANNOTATED, frozenset({_A.SYNC})),
    _M.REOPEN: (
        frozenset({_S.ANNOTATED, _S.AGREED, _S.NEEDS_ADJUDICATION}),
        _S.PUSHED,
        frozenset({_A.SYNC, _A.REVIEWER}),
    ),
    _M.AGREE: (frozenset({_S.ANNOTATED}), _S.AGREED, frozenset({_A.SETTLING})),
    _M.DISAGREE: (frozenset({_S.ANNOTATED}), _S.NEEDS_ADJUDICATION, frozenset({_A.SETTLING})),
    _M.RECONSIDER: (
        frozenset({_S.AGREED, _S.NEEDS_ADJUDICATION}),
        _S.ANNOTATED,
        frozenset({_A.SYNC, _A.SETTLING}),
    ),
    _M.ACCEPT: (frozenset({_S.AGREED}), _S.ACCEPTED, frozenset({_A.SETTLING, _A.REVIEWER})),
    _M.ADJUDICATE: (frozenset({_S.NEEDS_ADJUDICATION}), _S.ACCEPTED, frozenset({_A.SETTLING, _A.REVIEWER})),
    _M.WITHDRAW: (_LIVING, _S.WITHDRAWN, frozenset({_A.ERASURE, _A.REVIEWER})),
}
"""Move → the states it may start from, the one it leads to, and who may make it."""


class IllegalMove(ValueError):
    """The state machine has no such move, from this state or by this actor."""


def after(state: LabelState, move: LabelMove, actor: LabelActor) -> LabelState:
    """The state in which a move ends.

    Raises:
        IllegalMove: the move does not start from this state, or is not this actor's to make.
    """
    starts, end, actors = _RULES[move]
    if actor not in actors:
        raise IllegalMove(f"expected {move.value} to be made by {_listed(actors)}, got {actor.value}")
    if state not in starts:
        raise IllegalMove(f"expected a task in {_listed(starts)} to {move.value}, got one that is {state.value}")
    return end


def is_made_already(state: LabelState, move: LabelMove) -> bool:
    """Whether a task is where the move leads: making it again, after a crash, changes nothing."""
    return state is _RULES[move][1]


def moves_from(state: LabelState) -> frozenset[LabelMove]:
    """Every move that starts from a state, whoever makes it."""
    return frozenset(move for move, (starts, _, _) in _RULES.items() if state in starts)


def _listed(values: frozenset[LabelState] | frozenset[LabelActor]) -> str:
    return " or ".join(sorted(value.value for value in values))
