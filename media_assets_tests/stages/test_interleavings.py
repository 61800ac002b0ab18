"""Whatever fails, is mended, run, replayed and killed in whatever order: once all is well, the tables are a clean
run's, and the history tells every failure that was ever published and how it was resolved.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from media_assets.defs.backoff import Budget
from media_assets.defs.retry_letters import waiting_letters
from media_assets.errors import Outage
from media_assets.lake.crash_points import watch_crash_points
from media_assets.lake.failure_history import failure_history, open_letters
from media_assets.tables import FAILURES, MANIFEST
from media_assets_tests.equality import missing_blobs, tables_of
from media_assets_tests.examples import few
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.shelf import Shelf
from media_assets_tests.stages.batches import Case, make_bench, write_manifest

GOOD = {f"{number}.jpg": make_jpeg(number, (48, 32)) for number in range(4)}
GOOD["repeat.jpg"] = GOOD["1.jpg"]
KEYS = tuple(GOOD)
POINTS = ("before frames/images", "before ingest/failures", "after ingest/failures", "after ingest/item_status")
HARMS = (404, 403, 503, 429, "cut", "empty", "page")

Step = tuple[str, str, object]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("harm"), st.sampled_from(KEYS), st.sampled_from(HARMS)),
        st.tuples(st.just("mend"), st.sampled_from(KEYS), st.none()),
        st.tuples(st.just("run"), st.just(""), st.none()),
        st.tuples(st.just("replay"), st.sampled_from(KEYS), st.booleans()),
        st.tuples(st.just("retry by itself"), st.just(""), st.none()),
        st.tuples(st.just("killed"), st.sampled_from(POINTS), st.booleans()),
    ),
    max_size=7,
)


def act(step: Step, shelf: Shelf, case: Case) -> None:
    """One thing that happens, to the source or to the lake."""
    what, key, how = step
    if what == "harm":
        bodies = {"cut": GOOD[key][:-200], "empty": b"", "page": b"<html></html>"}
        if isinstance(how, int):
            shelf.statuses[key] = how
        else:
            shelf.files[key] = bodies[str(how)]
    elif what == "mend":
        mend(shelf, [key])
    elif what == "retry by itself":
        # The sensor asks for what may pass, however often it failed here.
        if due := sorted({letter.item_key for letter in waiting_letters(case.bench.lake, Budget(1000, 0))}):
            case.run(retry=due)
    elif what == "killed":
        kill(case, key, is_replay=bool(how))
    else:
        # a replay is of everything that failed, or of one item, failed or not
        failed = failed_keys(case)
        retry = None if what == "run" or not failed else [key] if how else failed
        try:
            case.run(retry=retry)
        except Outage:
            assert what == "run" or failed


class Killed(BaseException):
    """As `kill -9` would have it, as far as the tables are concerned."""


def kill(case: Case, point: str, *, is_replay: bool) -> None:
    """A run that dies at a point between two of its commits, if it gets there, and is made again."""

    def die_there(name: str) -> None:
        if name == point:
            raise Killed

    failed = failed_keys(case)
    retry = failed if is_replay and failed else None
    watch_crash_points(die_there)
    try:
        case.run(retry=retry)
    except (Killed, Outage):
        pass
    finally:
        watch_crash_points()
    try:
        case.run(retry=retry)
    except Outage:
        assert retry is None


@dataclass
class Chronicle:
    """Every failure that the statuses ever told, and what the history made of them."""

    case: Case
    published: set[tuple[Any, ...]] = field(default_factory=set)

    def look(self) -> None:
        """Hold the history against the statuses, and remember those."""
        lake = self.case.bench.lake
        told = failure_history(lake).to_dicts()
        dead = {_letter(row): row for row in open_letters(lake, {}).to_dicts()}
        opened = {_letter(row): row for row in told if row["resolution"] is None}
        assert set(opened) == set(dead)
        for letter, row in opened.items():
            last, status = row["failures"][-1], dead[letter]
            assert last["attempts"] == status["attempts"]
            assert (last["error_code"], last["run_id"]) == (status["error_code"], status["run_id"])
            assert row["last_failed_at"] == last["failed_at"] == status["last_failed_at"]
        for row in told:
            attempts = [failure["attempts"] for failure in row["failures"]]
            assert attempts == sorted(set(attempts)), "one attempt is told once"
            assert len(attempts) == row["n_failures"]
            assert row["resolution"] is None or row["resolved_at"] >= row["last_failed_at"]
        assert len({_letter(row) for row in told}) == len(told)
        self.published |= {(*_letter(row), row["attempts"], row["error_code"]) for row in dead.values()}

    def end(self) -> None:
        """Once all is well: everything was resolved, nothing was forgotten."""
        self.look()
        told = self.case.bench.lake.scan(FAILURES).collect().to_dicts()
        assert all(row["resolution"] in ("accepted", "duplicate", "withdrawn") for row in told)
        kept = {(*_letter(row), f["attempts"], f["error_code"]) for row in told for f in row["failures"]}
        assert self.published <= kept


def _letter(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["stage"], row["item_key"], row["first_failed_at"]


def mend(shelf: Shelf, keys: Sequence[str]) -> None:
    """These files are there again."""
    for key in keys:
        shelf.statuses.pop(key, None)
        shelf.files[key] = GOOD[key]


def failed_keys(case: Case) -> list[str]:
    """Items that failed at the first stage."""
    return sorted(key for key, fate in case.statuses().items() if fate.startswith("failed"))


def counts_add_up(case: Case) -> None:
    """Nothing is silent, at any moment: no statuses at all, or one of each item."""
    assert set(case.statuses()) in (set(), set(KEYS))
    going_on = {key for key, fate in case.statuses().items() if fate == "accepted"}
    assert set(case.statuses("frames.images")) == set(case.statuses("tensors.images")) == going_on


@pytest.mark.slow
@few(5)
@given(STEPS)
@example(
    [
        ("harm", "1.jpg", 404),
        ("run", "", None),
        ("mend", "1.jpg", None),
        ("replay", "1.jpg", True),
        ("run", "", None),
    ]
)
@example([("harm", "3.jpg", 404), ("run", "", None), ("killed", "after ingest/failures", True)])
@example(
    [("harm", "0.jpg", 503), ("run", "", None), ("mend", "0.jpg", None), ("killed", "after ingest/failures", True)]
)
@example(
    [
        ("harm", "3.jpg", 503),
        ("run", "", None),
        ("retry by itself", "", None),
        ("mend", "3.jpg", None),
        ("retry by itself", "", None),
        ("harm", "3.jpg", "empty"),
    ]
)
@example(
    [("harm", "0.jpg", "cut"), ("run", "", None), ("harm", "2.jpg", 503), ("replay", "", False), ("run", "", None)]
)
def test_any_order_of_failures_fixes_and_replays_ends_in_the_tables_of_a_clean_run(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder, Shelf() as shelf:
        shelf.files = dict(GOOD)
        clean, harmed = (Case(make_bench(Path(folder) / name)) for name in ("clean", "harmed"))
        for case in (clean, harmed):
            write_manifest(case.bench.lake, [{"item_key": key, "uri": f"{shelf.url}/{key}"} for key in KEYS])
        clean.run()
        chronicle = Chronicle(harmed)
        for step in steps:
            act(step, shelf, harmed)
            counts_add_up(harmed)
            chronicle.look()
        mend(shelf, KEYS)
        if not harmed.statuses():
            harmed.run()
        if failed := failed_keys(harmed):
            harmed.run(retry=failed)
        assert failed_keys(harmed) == []
        chronicle.end()
        assert tables_of(harmed.bench.lake) == tables_of(clean.bench.lake)
        assert missing_blobs(harmed.bench.lake, harmed.bench.blobs) == set()
        assert harmed.bench.lake.scan(MANIFEST).collect().height == len(KEYS)
