"""Batch profiles: what is measured, what history is, and that a missing profile is measured again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from media_assets.curation.profile import BRIGHTNESS_BINS, FormatCount
from media_assets.errors import NotMaterialized
from media_assets.lake.delta import Provenance
from media_assets.lake.planned_batches import planned_batches
from media_assets.media.tensors import TensorSpec, make_tensor
from media_assets.stages.brightness import BrightnessSample, mean_level
from media_assets.stages.images import read_batch
from media_assets.stages.profiles import keep_profile
from media_assets.stages.stage import IMAGE_STAGES, RAW
from media_assets.stages.workbench import FetchSettings, ReadOptions, RetryOnly, Workbench
from media_assets.tables import BATCH_PROFILES
from media_assets_tests.media.pictures import make_jpeg, make_png
from media_assets_tests.stages.batches import SMALL, make_bench, write_manifest

RUN = Provenance("run", "1")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    (tmp_path / "files").mkdir()
    made = make_bench(tmp_path / "lake")
    return replace(made, fetch=FetchSettings(local_roots=(tmp_path / "files",)))


def plan(bench: Workbench, folder: Path, number: int, files: dict[str, bytes], source: str = "test") -> str:
    batch_id, place = f"{source}.{number:04d}", folder / "files" / f"{source}{number}"
    place.mkdir()
    for name, content in files.items():
        (place / name).write_bytes(content)
    common = {"source": source, "planned_at": FIRST + timedelta(hours=number)}
    items = [{"item_key": f"{name}@00000000", "uri": (place / name).as_uri(), **common} for name in files]
    items = [item | {"licence": "CC0" if at else None} for at, item in enumerate(items)]
    write_manifest(bench.lake, items, batch_id)
    return batch_id


def run(bench: Workbench, batch_id: str, retry: frozenset[str] | None = None) -> tuple[int, ...]:
    options = ReadOptions(specs=(SMALL,), n_thumbnails=0, retry_only=None if retry is None else RetryOnly(retry))
    return read_batch(bench, batch_id, list(IMAGE_STAGES), options, RUN).brightness


def test_a_profile_counts_what_the_tables_say(bench: Workbench, tmp_path: Path) -> None:
    same = make_jpeg(1, (96, 64))
    files = {
        "a.jpg": same,
        "b.JPEG": same,
        "c.png": make_png(2, (64, 96)),
        "d.heic": b"no heic",
        "e": make_jpeg(3, (96, 64)),
    }
    batch_id = plan(bench, tmp_path, 1, files)
    profile, past = keep_profile(bench.lake, batch_id, run(bench, batch_id), RUN)
    assert past == []
    assert (profile.n_items, profile.n_failed, profile.n_duplicates) == (5, 1, 1)
    assert profile.formats[0] == FormatCount("jpeg", 2, 0)
    (heic,) = [each for each in profile.formats if each.format == "heic"]
    assert (heic.n, heic.n_failed) == (1, 1)
    assert heic.code
    assert profile.mimes == {"image/jpeg": 2, "image/png": 1}
    assert profile.licences == {"CC0": 4, "not stated": 1}
    assert sum(profile.longer_sides) == sum(profile.aspects) == 3
    assert len(profile.brightness) == len(BRIGHTNESS_BINS)
    assert sum(profile.brightness) == 3
    (row,) = bench.lake.scan(BATCH_PROFILES).collect().to_dicts()
    assert row == profile.row()


def test_history_is_what_was_planned_before_of_the_same_source_whatever_ran_first(
    bench: Workbench, tmp_path: Path
) -> None:
    ids = [plan(bench, tmp_path, number, {f"{number}.jpg": make_jpeg(number, (48, 32))}) for number in range(1, 5)]
    other = plan(bench, tmp_path, 1, {"x.jpg": make_jpeg(9, (48, 32))}, source="other")
    for batch_id in (ids[3], ids[0], ids[1], other):  # the third never runs
        run(bench, batch_id)
    _, past = keep_profile(bench.lake, ids[3], (), RUN)
    assert [each.batch_id for each in past] == [ids[0], ids[1]], "measured now, since nobody had"
    assert keep_profile(bench.lake, ids[0], (), RUN)[1] == [], "what came later is no past"
    assert set(bench.lake.partition_values(BATCH_PROFILES)) == {ids[0], ids[1], ids[3]}


def test_a_profile_that_has_not_changed_is_not_written_again(bench: Workbench, tmp_path: Path) -> None:
    batch_id = plan(bench, tmp_path, 1, {"a.jpg": make_jpeg(1, (48, 32))})
    levels = run(bench, batch_id)
    keep_profile(bench.lake, batch_id, levels, RUN)
    before = bench.lake.turn(BATCH_PROFILES, batch_id)
    keep_profile(bench.lake, batch_id, levels, RUN)
    assert bench.lake.turn(BATCH_PROFILES, batch_id) == before == 1


def test_a_replay_leaves_the_brightness_of_the_whole_batch(bench: Workbench, tmp_path: Path) -> None:
    files = {"a.jpg": make_jpeg(1, (48, 32)), "b.jpg": b"not yet"}
    batch_id = plan(bench, tmp_path, 1, files)
    first, _ = keep_profile(bench.lake, batch_id, run(bench, batch_id), RUN)
    (tmp_path / "files" / "test1" / "b.jpg").write_bytes(make_jpeg(2, (48, 32)))
    levels = run(bench, batch_id, frozenset({"b.jpg@00000000"}))
    again, _ = keep_profile(bench.lake, batch_id, levels, RUN)
    assert (first.n_failed, again.n_failed) == (1, 0)
    assert levels == ()
    assert again.brightness == first.brightness


def test_tables_made_alone_leave_the_brightness_as_it_is(bench: Workbench, tmp_path: Path) -> None:
    batch_id = plan(bench, tmp_path, 1, {"a.jpg": make_jpeg(1, (48, 32))})
    levels = run(bench, batch_id)
    keep_profile(bench.lake, batch_id, levels, RUN)
    assert read_batch(bench, batch_id, [RAW], ReadOptions(specs=(SMALL,)), RUN).brightness == ()
    assert keep_profile(bench.lake, batch_id, (), RUN)[0].brightness == levels


def test_a_batch_that_was_never_planned_has_no_profile(bench: Workbench) -> None:
    with pytest.raises(NotMaterialized, match="nothing"):
        keep_profile(bench.lake, "ghost.0001", (), RUN)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
@pytest.mark.parametrize("layout", ["hwc", "chw"])
def test_brightness_is_that_of_the_picture_however_it_is_stored(dtype: str, layout: str) -> None:
    spec = TensorSpec(size=(8, 8), resize_shorter_px=8, dtype=dtype, layout=layout)  # type: ignore[arg-type]
    picture = np.full((8, 8, 3), (255, 51, 0), np.uint8)
    assert mean_level(spec, make_tensor(picture, spec)) == pytest.approx(0.4, abs=2e-3)


def test_the_sample_is_bounded_and_does_not_depend_on_the_order() -> None:
    spec, tensor = SMALL, bytes([128]) * (32 * 32 * 3)
    for n_items in (1, 256, 5000, 100_000):
        sample = BrightnessSample(n_items)
        for position in range(n_items):
            if position % (1 + n_items // 256) == 0:
                sample.add(position, spec, tensor)
        assert len(sample.levels) <= 256


def test_batches_come_in_the_order_of_planning(bench: Workbench, tmp_path: Path) -> None:
    for number in (3, 1, 2):
        plan(bench, tmp_path, number, {"a.jpg": b"x", "b.jpg": b"y"})
    assert [(each.batch_id, each.n_items) for each in planned_batches(bench.lake)] == [
        ("test.0001", 2),
        ("test.0002", 2),
        ("test.0003", 2),
    ]
