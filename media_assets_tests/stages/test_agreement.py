"""Tables and statuses agree with each other, whatever ran beside or before: rivals, replays, stages made alone."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from media_assets.defs.runs import made_otherwise
from media_assets.errors import NotMaterialized, Outage, RivalRun
from media_assets.ingest.fetch.items import Fetched
from media_assets.lake.crash_points import watch_crash_points
from media_assets.lake.overview import batch_overview
from media_assets.lake.publications import unfinished_publications
from media_assets.media.tensors import TensorSpec
from media_assets.serving.tensors import TensorReader
from media_assets.stages import images
from media_assets.stages.done import done_batches
from media_assets.stages.stage import FRAMES, IMAGE_STAGES, KEYFRAMES, RAW, TENSORS
from media_assets.tables import FRAMES_IMAGES, ITEM_STATUS, RAW_MEDIA, TENSORS_IMAGES
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.shelf import Shelf
from media_assets_tests.stages.batches import BATCH, Case, make_bench, write_manifest
from media_assets_tests.stages.test_images import blob_of, rot

MakeCase = Callable[[str], Case]


@pytest.fixture(autouse=True)
def nobody_watches_afterwards() -> Iterator[None]:
    yield
    watch_crash_points()


def disagreements(case: Case) -> list[str]:
    """Where published tables and statuses contradict each other."""
    lake = case.bench.lake
    statuses = lake.scan(ITEM_STATUS).collect()
    media, frames = lake.scan(RAW_MEDIA).collect(), lake.scan(FRAMES_IMAGES).collect()
    tensors = set(lake.scan(TENSORS_IMAGES).collect()["frame_id"])
    found = []
    for stage, there in (("raw.media", media), ("frames.images", frames)):
        promised = statuses.filter((pl.col("stage") == stage) & (pl.col("n_outputs") > 0))
        if set(promised["item_key"]) != set(there["item_key"]):
            found.append(f"{stage}: promised {sorted(promised['item_key'])}, there are {sorted(there['item_key'])}")
    blobs = dict(media.select("item_key", "media_id").iter_rows())
    found += [key for key, blob in frames.select("item_key", "media_id").iter_rows() if blobs.get(key) != blob]
    found += sorted(set(frames["frame_id"]) ^ tensors)
    return found


@pytest.mark.parametrize("rotations", [(0, None), (None, 0), (90, None)])
def test_equal_bytes_with_unlike_hints_for_their_rotation_are_one_picture_and_its_repeat(
    tmp_path: Path, shelf: Shelf, rotations: tuple[int | None, int | None]
) -> None:
    case = Case(make_bench(tmp_path / "lake"))
    items = [{"item_key": "a", "uri": f"{shelf.url}/1.jpg"}, {"item_key": "b", "uri": f"{shelf.url}/repeat.jpg"}]
    for item, degrees in zip(items, rotations, strict=True):
        item |= {"rotation_degrees": degrees}
    write_manifest(case.bench.lake, items)
    case.run()
    assert case.statuses() == {"a": "accepted", "b": "duplicate"}
    assert disagreements(case) == []


@pytest.mark.parametrize("told_404", ["fast", "slow"])
def test_of_two_runs_of_one_batch_that_saw_unlike_answers_one_makes_all_of_it(
    make_case: MakeCase, shelf: Shelf, told_404: str
) -> None:
    """One run stops before its first commit until the other is before its last one, and the other way round."""
    one = make_case("lake")
    two = Case(make_bench(Path(one.bench.lake.location.root)))
    two.n_runs = 100
    slow_is_at_raw, fast_is_before_status = threading.Event(), threading.Event()

    def at(point: str) -> None:
        name = threading.current_thread().name
        if name == "slow" and point == "before raw/media":
            slow_is_at_raw.set()
            fast_is_before_status.wait(30)
        if name == "fast" and point == "before ingest/item_status" and not fast_is_before_status.is_set():
            fast_is_before_status.set()
            slow.join(30)

    errors: list[BaseException] = []

    def run(case: Case) -> None:
        try:
            case.run()
        except BaseException as error:
            errors.append(error)

    slow = threading.Thread(target=run, args=(two,), name="slow")
    fast = threading.Thread(target=run, args=(one,), name="fast")
    watch_crash_points(at)
    shelf.statuses = {"2.jpg": 404} if told_404 == "slow" else {}
    slow.start()
    assert slow_is_at_raw.wait(30)
    shelf.statuses = {"2.jpg": 404} if told_404 == "fast" else {}
    # What the first run fetched is forgotten, as on another machine.
    (Path(one.bench.lake.location.root) / "journals" / f"{BATCH}.jsonl").unlink(missing_ok=True)
    fast.start()
    fast.join(30)
    slow.join(30)
    assert errors == []
    assert disagreements(one) == []
    assert done_batches(one.bench.lake, IMAGE_STAGES) == {BATCH}


def test_a_run_that_is_overtaken_again_and_again_fails_and_its_batch_is_not_done(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.run()
    monkeypatch.setattr(images.time, "sleep", lambda seconds: None)
    lake, rival_turns = case.bench.lake, []

    def at(point: str) -> None:
        if point == "before ingest/item_status" and threading.current_thread() is threading.main_thread():
            rows = lake.scan(RAW_MEDIA, {"batch_id": [BATCH]}).collect()
            watch_crash_points()
            rival_turns.append(lake.overwrite(RAW_MEDIA, rows, {"batch_id": [BATCH]}, images.Provenance("rival", "1")))
            watch_crash_points(at)

    watch_crash_points(at)
    with pytest.raises(RivalRun, match=r"another run replaced raw/media .* run it again"):
        case.run()
    assert len(rival_turns) == 3
    watch_crash_points()
    assert done_batches(lake, IMAGE_STAGES) == set()
    case.run()
    assert unfinished_publications(lake.location) == set()
    assert done_batches(lake, IMAGE_STAGES) == {BATCH}


@pytest.mark.parametrize(
    ("taken_away", "looked_at"),
    [("after raw/media", "before frames/images"), ("after tensors/images", "before ingest/item_status")],
)
def test_a_mark_that_a_rival_took_away_is_there_again_before_the_next_commit(
    case: Case, taken_away: str, looked_at: str
) -> None:
    location, seen = case.bench.lake.location, []

    def at(point: str) -> None:
        if point == taken_away:
            shutil.rmtree(location.path / "publications")
        if point == looked_at:
            seen.append(unfinished_publications(location))

    watch_crash_points(at)
    case.run()
    assert seen == [{BATCH}]


def test_a_repeat_takes_the_place_of_an_original_that_is_gone_when_it_is_replayed(case: Case, shelf: Shelf) -> None:
    case.run()
    assert case.statuses()["repeat.jpg"] == "duplicate"
    rot(case, blob_of(case, "1.jpg"), "other bytes")
    case.run(stages=[FRAMES, TENSORS])  # finds the damage
    shelf.statuses["1.jpg"] = 404
    case.run(retry=["1.jpg"])
    assert (case.statuses()["1.jpg"], case.statuses()["repeat.jpg"]) == ("failed/not_found", "accepted")
    assert disagreements(case) == []


def test_what_later_stages_said_of_other_bytes_is_withdrawn_when_an_early_stage_is_made_alone(
    case: Case, shelf: Shelf
) -> None:
    case.run()
    shelf.statuses["2.jpg"] = 404
    shelf.files["0.jpg"] = make_jpeg(77)
    case.run(stages=[RAW], refetch=True)
    for stage in (FRAMES, TENSORS, KEYFRAMES):
        assert case.statuses(stage.name) == {}, stage.name
    assert done_batches(case.bench.lake, IMAGE_STAGES) == set()
    assert done_batches(case.bench.lake, [RAW]) == {BATCH}
    with pytest.raises(NotMaterialized, match=rf"without a status at stage tensors.images .*: {BATCH}"):
        TensorReader(case.bench.lake)
    case.run(stages=[FRAMES, TENSORS, KEYFRAMES])
    assert done_batches(case.bench.lake, IMAGE_STAGES) == {BATCH}
    assert disagreements(case) == []
    assert len(TensorReader(case.bench.lake)) > 0


def test_the_training_reader_serves_nothing_of_a_run_that_stopped_before_its_last_commit(case: Case) -> None:
    def at(point: str) -> None:
        if point == "before ingest/item_status":
            raise KeyboardInterrupt

    watch_crash_points(at)
    with pytest.raises(KeyboardInterrupt):
        case.run()
    watch_crash_points()
    lake = case.bench.lake
    assert lake.scan(ITEM_STATUS).collect().is_empty()
    with pytest.raises(NotMaterialized, match=rf"1 of 1 batches .* cut short at it: {BATCH}"):
        TensorReader(lake)
    assert len(TensorReader(lake, include_unfinished=True)) == len(lake.scan(TENSORS_IMAGES).collect()) > 0
    case.run()
    assert len(TensorReader(lake)) > 0


@pytest.mark.parametrize("again", [RAW, FRAMES, TENSORS])
def test_a_stage_made_alone_from_the_same_bytes_leaves_the_later_ones_done(case: Case, again: object) -> None:
    case.run()
    case.run(stages=[again])  # type: ignore[list-item]
    assert done_batches(case.bench.lake, IMAGE_STAGES) == {BATCH}
    assert disagreements(case) == []


def test_a_batch_of_which_everything_failed_is_done_at_every_stage(tmp_path: Path, shelf: Shelf) -> None:
    case = Case(make_bench(tmp_path / "lake"))
    write_manifest(case.bench.lake, [{"item_key": "x", "uri": f"{shelf.url}/nothing"}])
    assert done_batches(case.bench.lake, [TENSORS]) == set()
    case.run()
    assert case.statuses() == {"x": "failed/not_found"}
    assert done_batches(case.bench.lake, IMAGE_STAGES) == {BATCH}
    case.run(stages=[TENSORS])  # there is nothing to do, and that is no error
    case.run(stages=[FRAMES])
    assert done_batches(case.bench.lake, [TENSORS]) == {BATCH}


def test_an_item_whose_row_is_lost_is_read_again_by_a_replay_of_its_neighbour(case: Case) -> None:
    case.run()
    shutil.rmtree(Path(case.bench.lake.uri(RAW_MEDIA)))
    case.run(retry=["missing.jpg"])
    assert disagreements(case) == []
    assert done_batches(case.bench.lake, IMAGE_STAGES) == {BATCH}


def test_tensors_name_what_to_make_first_when_the_rows_of_frames_are_not_there(case: Case) -> None:
    case.run()
    shutil.rmtree(Path(case.bench.lake.uri(FRAMES_IMAGES)))
    with pytest.raises(NotMaterialized, match=rf"rows .* in frames/images .* --again --batch {BATCH}"):
        case.run(stages=[TENSORS])


def test_batches_of_other_specs_or_older_code_are_told_by_table(case: Case) -> None:
    lake = case.bench.lake
    case.run()
    assert made_otherwise(lake, IMAGE_STAGES, case.options) == {}
    other = replace(case.options, specs=(TensorSpec(size=(16, 16), resize_shorter_px=18),))
    assert made_otherwise(lake, IMAGE_STAGES, other) == {BATCH: {"tensors/images"}}
    assert made_otherwise(lake, [RAW, FRAMES], other) == {}
    case.run(stages=[TENSORS], specs=other.specs)
    assert made_otherwise(lake, IMAGE_STAGES, other) == {}
    assert set(lake.scan(TENSORS_IMAGES).collect()["spec"]) == {other.specs[0].name}, (
        "the table holds what is configured"
    )


def test_pending_is_never_below_zero(case: Case) -> None:
    case.run()
    lake = case.bench.lake
    stopped = pl.when(pl.col("status") == "failed").then("status").otherwise(pl.lit("filtered"))
    fewer = lake.scan(ITEM_STATUS, {"stage": ["raw.media"]}).collect().with_columns(status=stopped)
    lake.overwrite(ITEM_STATUS, fewer, {"stage": ["raw.media"], "batch_id": [BATCH]}, images.Provenance("x", "1"))
    assert batch_overview(lake)["pending"].to_list() == [0, 0, 0, 0]
    assert done_batches(lake, IMAGE_STAGES) == set(), "frames speak of items that never came to them"


def test_nothing_is_fetched_on_once_an_outage_ended_the_run(
    case: Case, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = case.bench.lake
    n_items = 300
    shelf.files |= {f"many-{i}.jpg": make_jpeg(i, (24, 16)) for i in range(n_items)}
    items = [{"item_key": f"{i}", "uri": f"{shelf.url}/many-{i}.jpg"} for i in range(n_items)]
    write_manifest(lake, items, "many.0001")
    ended: list[bool] = []
    real = images.BatchReader._opened

    def watched(self: object, results: Iterator[Fetched], missing: object) -> Iterator[object]:
        try:
            yield from real(self, results, missing)  # type: ignore[arg-type]
        finally:
            ended.append(True)

    monkeypatch.setattr(images.BatchReader, "_opened", watched)
    monkeypatch.setattr(images.BatchReader, "_finished", lambda self, outcome: _raise(Outage("the store is gone")))
    with pytest.raises(Outage) as caught:
        images.read_batch(case.bench, "many.0001", IMAGE_STAGES, case.options, images.Provenance("r", "1"))
    assert ended == [True], "closed before the error is let go"
    assert caught.value is not None
    assert not [thread for thread in threading.enumerate() if thread.name == "media-assets-fetch"]


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(("n_items", "is_outage"), [(2, False), (3, True)])
def test_a_tiny_batch_of_dead_links_gets_its_statuses(
    tmp_path: Path, shelf: Shelf, n_items: int, is_outage: bool
) -> None:
    case = Case(make_bench(tmp_path / "lake"))
    shelf.statuses = {f"dead-{i}": 503 for i in range(n_items)}
    write_manifest(case.bench.lake, [{"item_key": f"{i}", "uri": f"{shelf.url}/dead-{i}"} for i in range(n_items)])
    if is_outage:
        with pytest.raises(Outage):
            case.run()
        assert case.statuses() == {}
    else:
        case.run()
        assert set(case.statuses().values()) == {"failed/server_error"}
