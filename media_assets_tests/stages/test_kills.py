"""`kill -9` between each pair of commits and in the middle of the download; the next run ends like a clean one."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from media_assets.lake.crash_points import watch_crash_points
from media_assets.lake.delta import Provenance
from media_assets.lake.journal import FetchJournal
from media_assets.lake.publications import Publications
from media_assets.stages.done import done_batches
from media_assets.stages.stage import IMAGE_STAGES, TENSORS
from media_assets.tables import FRAMES_IMAGES, ITEM_STATUS, RAW_MEDIA, TENSORS_IMAGES
from media_assets_tests.equality import missing_blobs, tables_of
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.shelf import Shelf
from media_assets_tests.stages.batches import BATCH, Case
from media_assets_tests.stages.conftest import KEYS, SIZE

POINTS = (
    "before raw/media",
    "before frames/images",
    "before tensors/images",
    "before ingest/item_status",
    "after ingest/item_status",
)


def run_until_killed(case: Case, *arguments: str) -> None:
    """Run the batch in a process that kills itself."""
    command = [sys.executable, "-m", "media_assets_tests.stages.dying_run", case.bench.lake.location.root, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


@pytest.mark.parametrize("point", POINTS)
def test_the_next_run_ends_like_a_clean_one_when_killed_between_commits(
    point: str, make_case: Callable[[str], Case], shelf: Shelf
) -> None:
    clean, case = make_case("clean"), make_case("lake")
    clean.run()
    shelf.hits.clear()
    run_until_killed(case, point)
    published = [not case.bench.lake.scan(t).collect().is_empty() for t in (RAW_MEDIA, FRAMES_IMAGES, TENSORS_IMAGES)]
    n_published = POINTS.index(point)
    assert published == [n_published > i for i in range(3)]
    is_done = not case.bench.lake.scan(ITEM_STATUS).collect().is_empty()
    assert is_done == (point == POINTS[-1])

    case.run()
    assert tables_of(case.bench.lake) == tables_of(clean.bench.lake)
    assert missing_blobs(case.bench.lake, case.bench.blobs) == set()
    # Only the missing and the truncated one may be asked for again, and the latter only after its status was kept.
    assert {key for key, n in shelf.hits.items() if n > 1} <= {"missing.jpg", "cut.jpg"}


def test_nothing_stored_is_downloaded_again_when_killed_in_the_middle(
    make_case: Callable[[str], Case], shelf: Shelf
) -> None:
    clean, case = make_case("clean"), make_case("lake")
    clean.run()
    shelf.hits.clear()
    run_until_killed(case, "after journal", "4")
    stored = set((case.bench.lake.location.path / "journals").glob("*.jsonl"))
    assert stored, "the journal outlives the process"

    kept = set(FetchJournal.of(case.bench.lake.location, "test.0001").entries())
    assert len(kept) == 4
    before = dict(shelf.hits)
    case.run()
    for key in KEYS:
        assert shelf.hits[key] - before.get(key, 0) == (0 if key in kept else 1), key
    assert tables_of(case.bench.lake) == tables_of(clean.bench.lake)


@pytest.mark.parametrize("point", POINTS)
def test_a_batch_is_not_done_and_mends_itself_when_its_replay_is_killed_between_commits(
    point: str, make_case: Callable[[str], Case], shelf: Shelf
) -> None:
    clean, case = make_case("clean"), make_case("lake")
    lake = case.bench.lake
    case.run()
    assert done_batches(lake, IMAGE_STAGES) == {BATCH}
    shelf.files["missing.jpg"] = make_jpeg(33, SIZE)  # the source was mended
    clean.run()
    run_until_killed(case, point, "1", "missing.jpg")
    assert done_batches(lake, IMAGE_STAGES) == set(), "new rows may stand beside old statuses"

    # The next replay, of whatever item, finds rows that its statuses do not speak of: it makes the batch whole first.
    case.run(retry=["cut.jpg"])
    assert done_batches(lake, IMAGE_STAGES) == {BATCH}
    assert tables_of(lake) == tables_of(clean.bench.lake)


def test_a_stage_alone_does_not_end_what_a_run_of_all_stages_began(
    make_case: Callable[[str], Case], shelf: Shelf
) -> None:
    case = make_case("lake")
    case.run()
    run_until_killed(case, "before frames/images")
    case.run(stages=[TENSORS])
    assert done_batches(case.bench.lake, [TENSORS]) == set(), "raw/media is still half published"
    case.run()
    assert done_batches(case.bench.lake, IMAGE_STAGES) == {BATCH}


@pytest.mark.parametrize("killed", ["before frames/images", "before ingest/failures", "before ingest/item_status"])
def test_a_batch_is_marked_anew_before_each_commit_when_a_rival_takes_its_mark_away(
    killed: str, make_case: Callable[[str], Case]
) -> None:
    """A rival that ends in between takes our mark for one that was cut short, and ends it together with its own."""
    case = make_case("lake")
    case.run()
    publications = Publications.of(case.bench.lake.location)

    def overtaken_then_killed(point: str) -> None:
        if point == "after raw/media":
            with publications.under_way(BATCH, [stage.name for stage in IMAGE_STAGES]):
                pass
            assert publications.unfinished() == set()
        if point == killed:
            raise KeyboardInterrupt

    watch_crash_points(overtaken_then_killed)
    try:
        with pytest.raises(KeyboardInterrupt):
            case.run()
    finally:
        watch_crash_points()
    assert done_batches(case.bench.lake, IMAGE_STAGES) == set()


def test_rows_that_are_gone_are_made_again_when_a_refetch_is_killed(
    make_case: Callable[[str], Case], shelf: Shelf
) -> None:
    clean, case = make_case("clean"), make_case("lake")
    clean.run()
    case.run()
    case.bench.lake.overwrite(RAW_MEDIA, RAW_MEDIA.frame([]), {"batch_id": [BATCH]}, Provenance("killed", "1"))
    with suppress(KeyboardInterrupt), Publications.of(case.bench.lake.location).under_way(BATCH, ["raw.media"]):
        raise KeyboardInterrupt
    case.run(retry=["cut.jpg"])
    assert tables_of(case.bench.lake) == tables_of(clean.bench.lake)


def test_a_replay_asks_the_source_again_when_the_run_before_was_killed_in_its_last_moments(
    make_case: Callable[[str], Case], shelf: Shelf
) -> None:
    case = make_case("lake")
    for point in ("before clearing the journal", "before ending a publication"):
        run_until_killed(case, point)
        assert done_batches(case.bench.lake, IMAGE_STAGES) == set()
    case.run()  # media-assets materialize
    shelf.files["cut.jpg"] = make_jpeg(9, SIZE)  # the source was mended
    case.run(retry=["cut.jpg"])
    assert case.statuses()["cut.jpg"] == "accepted"


def test_refused_bytes_are_not_opened_again_when_a_killed_run_had_fetched_them_once_more(
    make_case: Callable[[str], Case], shelf: Shelf
) -> None:
    case = make_case("lake")
    case.run()
    run_until_killed(case, "after journal", "1", "cut.jpg")  # a replay that got the same truncated bytes, and died
    assert FetchJournal.of(case.bench.lake.location, BATCH).entries()
    shelf.files["cut.jpg"] = make_jpeg(9, SIZE)  # the source was mended
    case.run(retry=["cut.jpg"])
    assert case.statuses()["cut.jpg"] == "accepted"
    assert FetchJournal.of(case.bench.lake.location, BATCH).entries() == {}
