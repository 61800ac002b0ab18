"""Whatever fails, is mended, run and replayed in whatever order: once all is well, the tables are a clean run's."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from media_assets.errors import Outage
from media_assets.tables import MANIFEST
from media_assets_tests.equality import missing_blobs, tables_of
from media_assets_tests.examples import few
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.shelf import Shelf
from media_assets_tests.stages.batches import Case, make_bench, write_manifest

GOOD = {f"{number}.jpg": make_jpeg(number, (48, 32)) for number in range(4)}
GOOD["repeat.jpg"] = GOOD["1.jpg"]
KEYS = tuple(GOOD)
HARMS = (404, 403, 503, 429, "cut", "empty", "page")

Step = tuple[str, str, object]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("harm"), st.sampled_from(KEYS), st.sampled_from(HARMS)),
        st.tuples(st.just("mend"), st.sampled_from(KEYS), st.none()),
        st.tuples(st.just("run"), st.just(""), st.none()),
        st.tuples(st.just("replay"), st.sampled_from(KEYS), st.booleans()),
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
    else:
        # a replay is of everything that failed, or of one item, failed or not
        failed = failed_keys(case)
        retry = None if what == "run" or not failed else [key] if how else failed
        try:
            case.run(retry=retry)
        except Outage:
            assert what == "run" or failed


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


@few(8)
@given(STEPS)
@example([("harm", "1.jpg", 404), ("run", "", None), ("mend", "1.jpg", None), ("replay", "1.jpg", True)])
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
        for step in steps:
            act(step, shelf, harmed)
            counts_add_up(harmed)
        mend(shelf, KEYS)
        if not harmed.statuses():
            harmed.run()
        if failed := failed_keys(harmed):
            harmed.run(retry=failed)
        assert failed_keys(harmed) == []
        assert tables_of(harmed.bench.lake) == tables_of(clean.bench.lake)
        assert missing_blobs(harmed.bench.lake, harmed.bench.blobs) == set()
        assert harmed.bench.lake.scan(MANIFEST).collect().height == len(KEYS)
