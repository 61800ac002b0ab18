"""Answers are appended once, whoever appends them and however often; the latest version is the one given last."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from media_assets.errors import ContractBroken
from media_assets.labeling.history import (
    AnswerVersion,
    append_answers,
    given_again,
    keep_told,
    keep_watermark,
    latest_answers,
    taken_back,
    untold,
    watermark,
)
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets.tables import LABELS_ANNOTATIONS
from media_assets_tests.labeling.queues import BATCH, NOON, US, answered, key, queue


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(LakeLocation(str(tmp_path / "lake")))


def answer(number: int, label: str = "real", minutes: int = 0) -> AnswerVersion:
    at = NOON + timedelta(minutes=minutes)
    return AnswerVersion(
        f"ls:1:{number}", key(number), BATCH, "real-or-fake", 1, "ls:7", f'["{label}"]', label, False, 1.5, NOON, at
    )


def latest(lake: Lake, *numbers: int) -> list[tuple[str, bool]]:
    found = latest_answers(lake, [key(number) for number in numbers], [BATCH])
    return list(found.sort("annotation_id").select("value", "is_deleted").iter_rows())


def test_what_is_kept_already_is_not_kept_again_by_repetition_or_by_rivals(lake: Lake) -> None:
    first = [answer(number) for number in range(3)]
    assert len(append_answers(lake, [*first, first[0]], NOON, US)) == 3
    assert append_answers(lake, first, NOON + timedelta(hours=1), US) == []
    added: list[int] = []
    more = [answer(number) for number in range(2, 9)]

    def append() -> None:
        added.append(len(append_answers(lake, more, NOON, US)))

    rivals = [threading.Thread(target=append) for _ in range(3)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    assert sorted(added) == [0, 0, 6]
    assert lake.scan(LABELS_ANNOTATIONS).collect().height == 9


def test_an_answer_that_is_changed_back_is_the_latest_again(lake: Lake) -> None:
    for minutes, label in enumerate(("real", "fake", "real")):
        assert len(append_answers(lake, [answer(1, label, minutes)], NOON, US)) == 1
    assert latest(lake, 1) == [('["real"]', False)]
    assert lake.scan(LABELS_ANNOTATIONS).collect().height == 3


def test_an_answer_that_is_gone_gets_a_last_version_and_keeps_what_it_said(lake: Lake) -> None:
    append_answers(lake, [answer(1, minutes=9), answer(2)], NOON, US)
    known = latest_answers(lake, [key(1), key(2)], [BATCH])
    back = taken_back(known, lambda annotation_id: annotation_id == "ls:1:1")
    assert len(append_answers(lake, back, NOON, US)) == 1
    assert latest(lake, 1, 2) == [('["real"]', True), ('["real"]', False)]
    assert taken_back(latest_answers(lake, [key(1)], [BATCH]), lambda _: True) == []


def test_an_answer_that_is_given_again_counts_whenever_that_was_and_once(lake: Lake) -> None:
    append_answers(lake, [answer(1)], NOON, US)
    ahead = NOON + timedelta(minutes=10)  # our clock, of the server's
    append_answers(lake, taken_back(latest_answers(lake, [key(1)], [BATCH]), lambda _: True), ahead, US)
    again = answer(1, "fake", 2)
    for n_new in (1, 0):
        known = latest_answers(lake, [key(1)], [BATCH])
        assert len(append_answers(lake, given_again([again], known), ahead, US)) == n_new
        assert latest(lake, 1) == [('["fake"]', False)]


def test_an_answer_that_was_wrongly_taken_for_taken_back_is_the_latest_again(lake: Lake) -> None:
    append_answers(lake, [answer(1)], NOON, US)
    append_answers(lake, taken_back(latest_answers(lake, [key(1)], [BATCH]), lambda _: True), NOON, US)
    for n_new in (1, 0):
        known = latest_answers(lake, [key(1)], [BATCH])
        assert len(append_answers(lake, given_again([answer(1)], known), NOON, US)) == n_new
        assert latest(lake, 1) == [('["real"]', False)]


def test_the_watermark_never_goes_back(lake: Lake) -> None:
    assert watermark(lake, 3) is None
    mark = NOON + timedelta(microseconds=123_457)
    for each in (mark, NOON, mark):
        keep_watermark(lake, 3, each, US)
        assert watermark(lake, 3) == mark
    assert watermark(lake, 4) is None
    table = lake.table(LABELS_ANNOTATIONS)
    assert table is not None
    table.create_checkpoint()
    assert watermark(lake, 3) == mark


def test_what_is_no_row_of_the_table_is_refused_as_a_whole(lake: Lake) -> None:
    with pytest.raises(ContractBroken):
        append_answers(lake, [answer(1), replace(answer(2), task_key="something else")], NOON, US)
    assert lake.scan(LABELS_ANNOTATIONS).collect().is_empty()


def test_what_the_graph_was_not_told_of_stays_so_until_it_was(lake: Lake) -> None:
    assert untold(lake).batches == []
    append_answers(lake, [answer(1)], NOON, US)
    assert untold(lake).batches == [BATCH]
    news = untold(lake)
    append_answers(lake, [replace(answer(2), batch_id="other.0001")], NOON, US)
    keep_told(lake, news, US)
    assert untold(lake).batches == sorted([BATCH, "other.0001"]), "something came while it was told"
    keep_told(lake, untold(lake), US)
    assert untold(lake).batches == []
    append_answers(lake, [answer(1), answer(3)], NOON - timedelta(hours=1), US)  # a clock that was set back
    assert untold(lake).batches == [BATCH]
    keep_told(lake, untold(lake), US)
    before = lake.ensure(LABELS_ANNOTATIONS).version()
    keep_told(lake, untold(lake), US)
    assert lake.ensure(LABELS_ANNOTATIONS).version() == before, "nothing new is nothing written"


def test_a_task_that_counts_as_answered_now_is_told_also_without_another_answer(lake: Lake) -> None:
    queue(lake, [1])
    answered(lake, 1)
    assert untold(lake).batches == [BATCH]
    keep_told(lake, untold(lake), US)
    assert untold(lake).batches == []
