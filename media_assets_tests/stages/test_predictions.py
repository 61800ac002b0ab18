"""`predictions/frames`: one row per frame and model, one status per item, and nothing asked twice."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from media_assets.engine.limits import WorkerLimits
from media_assets.engine.map_items import InProcessEngine, ProcessPoolEngine
from media_assets.errors import (
    ItemError,
    ModelCode,
    ModelUnfit,
    NotMaterialized,
    Outage,
    ReconciliationBroken,
    SetupError,
)
from media_assets.lake.blobs import blob_path
from media_assets.lake.crash_points import watch_crash_points
from media_assets.lake.delta import Provenance
from media_assets.lake.overview import batch_overview
from media_assets.media.still import StillLimits
from media_assets.media.video.keyframes import KeyframeRequest
from media_assets.stages import predictions
from media_assets.stages.done import done_batches
from media_assets.stages.models import InstalledModel, installed_models
from media_assets.stages.predicting import FramePredictor, try_models
from media_assets.stages.predictions import PredictionsReport, PredictOptions, predict_batch
from media_assets.stages.stage import FRAMES, IMAGE_STAGES, KEYFRAMES, PREDICTIONS, RAW, TENSORS
from media_assets.stages.workbench import RetryOnly
from media_assets.tables import FAILURES, FRAMES_IMAGES, ITEM_STATUS, PREDICTIONS_FRAMES
from media_assets_tests.media.models.tiny import (
    colour_classifier,
    colour_detector,
    describe,
    install,
    large_classifier,
    moody_classifier,
    picky_classifier,
)
from media_assets_tests.media.video.clips import clip
from media_assets_tests.shelf import Shelf
from media_assets_tests.stages.batches import BATCH, Case, make_bench, write_manifest

STAGE = "predictions.frames"
PLUG_INS = "media_assets_tests.media.models.plugins:"
SHOWN = {"width_px": 16, "height_px": 16}


def solid(red: int, green: int, blue: int, size: tuple[int, int] = (24, 16)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (red, green, blue)).save(buffer, "PNG")
    return buffer.getvalue()


FILES = {
    "red.png": solid(255, 0, 0),
    "green.png": solid(0, 200, 10),
    "blue.png": solid(140, 0, 200),
    "pink.png": solid(200, 150, 150),
}


@dataclass
class Desk:
    """A batch whose pictures are read, a folder for models, and runs of the stage."""

    case: Case
    folder: Path
    n_runs: int = 0
    models: tuple[InstalledModel, ...] = field(default_factory=tuple)

    def install(self, *models: tuple[bytes, dict[str, Any]]) -> None:
        self.models = installed_models([install(self.folder, *each) for each in models])

    def run(self, retry: list[str] | None = None, **changes: Any) -> PredictionsReport:
        self.n_runs += 1
        retry_only = None if retry is None else RetryOnly(frozenset(retry))
        options = PredictOptions(self.models, retry_only=retry_only, **changes)
        return predict_batch(self.case.bench, BATCH, options, Provenance(f"predict-{self.n_runs}", "1"))

    def rows(self) -> pl.DataFrame:
        return self.case.bench.lake.scan(PREDICTIONS_FRAMES).sort("item_key", "frame_id", "model").collect()

    def labels(self) -> dict[str, str]:
        return dict(self.rows().select("item_key", "label").iter_rows())

    def fates(self) -> dict[str, str]:
        return self.case.statuses(STAGE)

    def is_done(self) -> bool:
        return BATCH in done_batches(self.case.bench.lake, [PREDICTIONS])


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as server:
        server.files = dict(FILES)
        yield server


@pytest.fixture
def unread(tmp_path: Path, shelf: Shelf) -> Desk:
    """A desk whose batch is planned."""
    case = Case(make_bench(tmp_path / "lake"))
    write_manifest(case.bench.lake, [{"item_key": key, "uri": f"{shelf.url}/{key}"} for key in shelf.files])
    return Desk(case, tmp_path / "models")


@pytest.fixture
def desk(unread: Desk) -> Desk:
    """A desk with a model and a batch of four pictures."""
    unread.case.run()
    unread.install((colour_classifier(), describe()))
    return unread


def test_each_frame_has_a_row_per_model_and_each_item_one_status(shelf: Shelf, tmp_path: Path) -> None:
    shelf.files |= {"clip.mp4": clip("h264"), "bad.png": b"no picture", "again.png": FILES["red.png"]}
    desk = Desk(Case(make_bench(tmp_path / "lake")), tmp_path / "models")
    lake = desk.case.bench.lake
    write_manifest(lake, [{"item_key": key, "uri": f"{shelf.url}/{key}"} for key in shelf.files])
    desk.case.run()
    desk.install((colour_classifier(), describe()), (colour_detector([(8, 8, 8, 8)]), describe("detection")))
    report = desk.run()
    assert desk.fates() == dict.fromkeys(["red.png", "green.png", "blue.png", "pink.png", "clip.mp4"], "accepted")
    rows = desk.rows()
    n_stills = rows.filter(pl.col("item_key") == "clip.mp4")["frame_id"].n_unique()
    assert n_stills > 1
    assert rows.height == 2 * (4 + n_stills)
    assert set(rows["model"]) == {"tiny-classification", "tiny-detection"}
    of_red = rows.filter(pl.col("item_key") == "red.png").to_dicts()
    assert [(row["label"], row["task"]) for row in of_red] == [("red", "classification"), ("red", "detection")]
    assert of_red[0]["score"] == pytest.approx(0.9999, abs=0.01)
    assert of_red[0]["regions"][0]["label"] == "red"
    assert of_red[1]["regions"][0] | {"score": 0} == {
        "label": "red", "score": 0, "x": 0.25, "y": pytest.approx(0.1, abs=0.06), "width": 0.5,
        "height": pytest.approx(0.8, abs=0.1),
    }  # fmt: skip
    assert {row["model_version"] for row in of_red} == {model.version for model in desk.models}
    frames = lake.scan(FRAMES_IMAGES).filter(pl.col("item_key") == "red.png").collect().row(0, named=True)
    assert {(row["frame_id"], row["blob"]) for row in of_red} == {(frames["frame_id"], frames["blob"])}
    statuses = lake.scan(ITEM_STATUS, {"stage": [STAGE]}).collect()
    assert dict(statuses.select("item_key", "n_outputs").iter_rows())["clip.mp4"] == 2 * n_stills
    assert set(statuses["code_version"]) == {"2/" + ",".join(model.name for model in desk.models)}
    told = report.stages["predictions/frames"]
    assert (told.n_entered, told.n_rows, report.n_asked) == (5, rows.height, 4 + n_stills)
    assert sum(report.labels["tiny-detection"].values()) == sum(report.scores["tiny-detection"]) == 4 + n_stills
    assert [finding.check for finding in report.findings if finding.passed] == [
        "contract_holds", "reconciles", "contract_holds"
    ]  # fmt: skip
    line = batch_overview(lake).filter(pl.col("stage") == STAGE).row(0, named=True)
    assert (line["expected"], line["accepted"], line["pending"]) == (5, 5, 0)
    assert desk.is_done()


def test_what_was_said_stays_and_nothing_is_asked_twice(desk: Desk) -> None:
    assert desk.run().n_asked == 4
    before, opened = desk.rows(), desk.case.n_opened
    assert desk.run().n_asked == 0
    assert desk.case.n_opened == opened
    assert desk.run(again=True).n_asked == 4
    assert desk.rows().equals(before)
    assert desk.fates() == dict.fromkeys(FILES, "accepted")
    desk.run(again=True, still_limits=StillLimits(max_bytes=10))
    assert desk.fates() == dict.fromkeys(FILES, "accepted"), "a frame may be larger than its raw file was allowed to be"


def test_a_frame_that_a_model_cannot_take_is_a_dead_letter_and_its_replay_touches_it_alone(desk: Desk) -> None:
    desk.install((picky_classifier(), describe()))
    desk.run()
    assert desk.fates() == dict.fromkeys(FILES, "accepted") | {"green.png": "failed/model_output_invalid"}
    assert set(desk.rows()["item_key"]) == FILES.keys() - {"green.png"}
    desk.install((picky_classifier(least_red=-1), describe(version="1.0")))
    assert desk.run(retry=["green.png"]).n_asked == 1, "another model, which is not asked about the others"
    assert set(desk.fates().values()) == {"accepted"}
    history = desk.case.bench.lake.scan(FAILURES).collect()
    assert history.select("stage", "item_key", "n_failures", "resolution").rows() == [
        (STAGE, "green.png", 1, "accepted")
    ]


def test_a_replay_leaves_other_dead_letters_and_what_was_said_alone(desk: Desk) -> None:
    desk.install((picky_classifier(least_red=0.6), describe()))
    desk.run()  # green and blue: fewer than three, so no model is blamed
    failed = {key for key, fate in desk.fates().items() if fate.startswith("failed")}
    assert failed == {"green.png", "blue.png"}
    assert desk.run(retry=["blue.png"]).n_asked == 1
    attempts = desk.case.bench.lake.scan(ITEM_STATUS, {"stage": [STAGE]}).select("item_key", "attempts").collect()
    assert dict(attempts.iter_rows()) == dict.fromkeys(FILES, 1) | {"blue.png": 2}


def test_a_replay_without_models_changes_nothing(desk: Desk) -> None:
    desk.install((picky_classifier(), describe()))
    desk.run()
    before, fates = desk.rows(), desk.fates()
    desk.models = ()
    with pytest.raises(SetupError, match="MEDIA_ASSETS_MODELS"):
        desk.run(retry=["green.png"])
    assert desk.rows().equals(before)
    assert desk.fates() == fates


def test_a_replay_with_another_model_that_fails_blames_it_and_leaves_all_as_it_was(desk: Desk) -> None:
    desk.install((picky_classifier(), describe()))
    desk.run()
    before, fates = desk.rows(), desk.fates()
    desk.install((moody_classifier(most_red=-1), describe(version="2.0")))
    with pytest.raises(ModelUnfit) as raised:
        desk.run(retry=["green.png"], outage_share=1.0)
    assert raised.value.code is ModelCode.FAILS_ON_MOST
    assert desk.rows().equals(before)
    assert desk.fates() == fates
    desk.install((picky_classifier(), describe()))
    desk.run(retry=["green.png"], outage_share=1.0)
    assert desk.fates() == fates, "the same model fails on it again: that is no news"


@pytest.mark.parametrize(
    ("plug_in", "keys"),
    [
        ("Buggy", ["red.png", "clip.mp4"]),
        ("Hungry", ["red.png", "clip.mp4"]),
        ("Unloadable", ["red.png"]),
        ("Slow", ["red.png"]),
    ],
)
def test_models_that_fail_on_all_of_a_small_batch_are_to_blame(
    unread: Desk, shelf: Shelf, plug_in: str, keys: list[str]
) -> None:
    files = dict(FILES) | {"clip.mp4": clip("h264")}
    shelf.files = {key: files[key] for key in keys}
    lake = unread.case.bench.lake
    write_manifest(lake, [{"item_key": key, "uri": f"{shelf.url}/{key}"} for key in keys])
    unread.case.run()
    unread.install((colour_classifier(), describe()))
    unread.run()
    before, fates = unread.rows(), unread.fates()
    if plug_in == "Slow":
        pooled(unread, WorkerLimits(wall_seconds=1.0))
    unread.install((b"", describe(adapter=PLUG_INS + plug_in)))
    with pytest.raises(ModelUnfit):
        unread.run()
    assert unread.rows().equals(before)
    assert unread.fates() == fates


def test_what_these_models_said_before_speaks_for_them(desk: Desk) -> None:
    desk.install((picky_classifier(least_red=0.6), describe()))
    desk.run()
    assert desk.run().n_asked == 2, "both fail again, and nothing else is asked about"
    assert sorted(desk.fates().values()) == ["accepted"] * 2 + ["failed/model_output_invalid"] * 2


def test_a_model_that_fails_on_most_is_to_blame_and_nothing_is_published(desk: Desk) -> None:
    desk.install((moody_classifier(most_red=0.3), describe()))
    with pytest.raises(ModelUnfit, match="failed on 3 of 4 items") as raised:
        desk.run()
    assert raised.value.code is ModelCode.FAILS_ON_MOST
    assert desk.fates() == {}
    desk.install((b"", describe(adapter=PLUG_INS + "Buggy")))
    with pytest.raises(ModelUnfit, match="RuntimeError: a defect"):
        desk.run()
    desk.install((moody_classifier(most_red=0.75), describe()))
    desk.run()
    assert desk.fates()["red.png"] == "failed/model_failed"
    assert list(desk.fates().values()).count("accepted") == 3


def test_a_changed_model_is_another_version_and_asks_again(desk: Desk) -> None:
    desk.run()
    before = desk.rows()
    desk.install((colour_classifier(gain=-10), describe()))
    assert desk.run().n_asked == 4
    assert desk.labels()["red.png"] != dict(before.select("item_key", "label").iter_rows())["red.png"]
    assert set(desk.rows()["model_version"]).isdisjoint(set(before["model_version"]))


def test_a_model_that_changes_while_a_run_is_under_way_is_refused(desk: Desk) -> None:
    (desk.folder / "classification.onnx").write_bytes(colour_classifier(gain=3))
    with pytest.raises(ModelUnfit) as raised:
        desk.run()
    assert raised.value.code is ModelCode.FILE_CHANGED
    assert desk.fates() == {}


@pytest.mark.parametrize(
    ("data", "description", "code"),
    [
        (b"no model", describe(), ModelCode.FILE_UNREADABLE),
        (colour_classifier(), describe(labels=["red", "green"]), ModelCode.OUTPUT_MISMATCH),
        (colour_classifier(side=8), describe(), ModelCode.INPUT_MISMATCH),
        (colour_classifier(), describe(input=SHOWN | {"dtype": "uint8"}), ModelCode.INPUT_MISMATCH),
        (colour_classifier(), describe(output={"task": "classification", "output": "x"}), ModelCode.OUTPUT_MISMATCH),
        (colour_classifier(), describe(output={"task": "detection", "form": "yolo"}), ModelCode.OUTPUT_MISMATCH),
        (b"", describe(adapter="media_assets_tests.media.models.plugins:Broken"), ModelCode.OUTPUT_MISMATCH),
        (b"", describe(adapter="no.such:PlugIn"), ModelCode.RUNTIME_MISSING),
    ],
)  # fmt: skip
def test_a_model_that_is_not_as_described_fails_the_run_and_blames_no_frame(
    desk: Desk, data: bytes, description: dict[str, Any], code: ModelCode
) -> None:
    desk.install((data, description))
    with pytest.raises(ModelUnfit) as raised:
        desk.run()
    assert raised.value.code is code
    assert desk.fates() == {}
    assert not desk.is_done()


def test_a_damaged_frame_is_a_dead_letter_that_may_pass_and_comes_back_when_it_is_made_anew(desk: Desk) -> None:
    frame = (
        desk.case.bench.lake.scan(FRAMES_IMAGES).filter(pl.col("item_key") == "red.png").collect().row(0, named=True)
    )
    assert desk.case.bench.blobs.local_root is not None
    path = desk.case.bench.blobs.local_root / blob_path(frame["blob"])
    path.write_bytes(FILES["green.png"])
    desk.run()
    assert desk.fates()["red.png"] == "failed/blob_damaged"
    path.unlink()
    desk.run()
    assert desk.fates()["red.png"] == "failed/storage_failed"
    desk.case.run(refetch=True)
    assert desk.run().n_asked == 1
    assert desk.labels()["red.png"] == "red"


def test_a_store_that_is_down_is_an_outage_and_no_frame_is_blamed(desk: Desk) -> None:
    desk.run()
    before = desk.rows()
    assert desk.case.bench.blobs.local_root is not None
    for row in desk.case.bench.lake.scan(FRAMES_IMAGES).collect().iter_rows(named=True):
        (desk.case.bench.blobs.local_root / blob_path(row["blob"])).unlink()
    with pytest.raises(Outage, match="more than 50% of 4 items"):
        desk.run(again=True)
    assert desk.rows().equals(before)
    assert set(desk.fates().values()) == {"accepted"}


def test_nothing_enters_without_a_model_and_what_another_had_said_goes(desk: Desk) -> None:
    desk.models = ()
    assert desk.run().stages["predictions/frames"].n_entered == 0
    assert desk.case.bench.lake.table(PREDICTIONS_FRAMES) is None
    desk.install((colour_classifier(), describe()))
    desk.run()
    desk.models = ()
    desk.run()
    assert (desk.rows().height, desk.fates()) == (0, {})


def test_frames_come_first(unread: Desk) -> None:
    unread.install((colour_classifier(), describe()))
    with pytest.raises(NotMaterialized, match="frames/images of batch"):
        unread.run()
    unread.case.run([stage for stage in IMAGE_STAGES if stage is not KEYFRAMES])
    with pytest.raises(NotMaterialized, match="frames/keyframes of batch"):
        unread.run()
    unread.case.run([KEYFRAMES])
    unread.run()
    assert unread.is_done()


def test_a_batch_is_behind_until_new_frames_are_asked_about(unread: Desk, shelf: Shelf) -> None:
    shelf.files.pop("red.png")
    unread.case.run()
    unread.install((colour_classifier(), describe()))
    unread.run()
    assert unread.is_done()
    shelf.files = dict(FILES)
    unread.case.run(retry=["red.png"])
    assert not unread.is_done()
    assert unread.run().n_asked == 1
    assert unread.is_done()


def test_what_was_said_of_frames_that_are_no_more_is_withdrawn(unread: Desk, shelf: Shelf) -> None:
    shelf.files |= {"clip.mp4": clip("h264")}
    keys = list(shelf.files)
    lake = unread.case.bench.lake
    write_manifest(lake, [{"item_key": key, "uri": f"{shelf.url}/{key}"} for key in keys])
    unread.case.run(keyframes=KeyframeRequest("uniform:2"))
    unread.install((colour_classifier(), describe()))
    unread.run()
    unread.case.run(keyframes=KeyframeRequest("uniform:2"))
    assert unread.is_done(), "the same frames"
    shelf.files["red.png"] = solid(0, 0, 255)
    unread.case.run(refetch=True, keyframes=KeyframeRequest("uniform:2"))
    assert set(unread.fates()) == set(keys) - {"red.png"}
    assert not unread.is_done()
    assert unread.run().n_asked == 1
    assert unread.labels()["red.png"] == "blue"
    unread.case.run([KEYFRAMES], keyframes=KeyframeRequest("uniform:3"))
    assert set(unread.fates()) == set(keys) - {"clip.mp4"}
    assert not unread.is_done()
    assert unread.run().n_asked == 3
    assert unread.is_done()
    shelf.files.pop("green.png")
    shelf.files["red.png"] = solid(0, 255, 0)
    unread.case.run([RAW], refetch=True)
    assert unread.fates() == {}, "nobody knows of what frames there will be"
    unread.case.run(keyframes=KeyframeRequest("uniform:3"))
    assert not unread.is_done()
    assert unread.run().n_asked == 6
    assert unread.labels()["red.png"] == "green"


def test_an_item_that_came_for_one_that_left_is_not_done(unread: Desk, shelf: Shelf) -> None:
    red = shelf.files.pop("red.png")
    unread.case.run()
    unread.install((colour_classifier(), describe()))
    unread.run()
    del shelf.files["blue.png"]
    shelf.files["red.png"] = red
    unread.case.run(refetch=True)
    assert not unread.is_done()
    unread.run()
    assert set(unread.fates()) == set(unread.labels()) == {"red.png", "green.png", "pink.png"}


def test_a_lost_answer_is_found_before_anything_is_published(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = FramePredictor.predictions

    def lossy(self: FramePredictor, frames: Any) -> Iterator[Any]:
        yield from (each for each in sound(self, frames) if each.frame.item_key != "red.png")

    monkeypatch.setattr(FramePredictor, "predictions", lossy)
    with pytest.raises(ReconciliationBroken, match="without a status"):
        desk.run()
    assert desk.fates() == {}


@pytest.mark.parametrize("point", ["after predictions/frames", "before ending a publication"])
def test_a_killed_run_leaves_the_batch_undone_and_the_next_ends_like_a_clean_one(desk: Desk, point: str) -> None:
    desk.run()
    clean = desk.rows()
    desk.install((picky_classifier(), describe()))

    def kill(name: str) -> None:
        if name == point:
            raise KeyboardInterrupt

    watch_crash_points(kill)
    try:
        with pytest.raises(KeyboardInterrupt):
            desk.run()
    finally:
        watch_crash_points()
    assert not desk.is_done()
    assert BATCH in done_batches(desk.case.bench.lake, [FRAMES, TENSORS, KEYFRAMES]), (
        "what was read is done all the same"
    )
    desk.install((colour_classifier(), describe()))
    desk.run()
    assert desk.rows().equals(clean)
    assert desk.is_done()


def test_frames_that_are_replaced_while_models_are_asked_are_asked_about_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, n_tries = predictions._audited, 0

    def meanwhile(rows: Any) -> Any:
        nonlocal n_tries
        n_tries += 1
        if n_tries == 1:
            desk.case.run([FRAMES])
        return sound(rows)

    monkeypatch.setattr(predictions, "_audited", meanwhile)
    monkeypatch.setattr("media_assets.stages.attempts.time.sleep", lambda seconds: None)
    desk.run()
    assert n_tries == 2
    assert desk.is_done()


def pooled(desk: Desk, limits: WorkerLimits | None = None) -> Desk:
    """The same desk, with frames decoded and models asked in a worker process."""
    desk.case.bench = replace(desk.case.bench, engine=ProcessPoolEngine(1, limits))
    return desk


def test_frames_are_asked_about_together_in_a_worker_without_rights(desk: Desk) -> None:
    numbers = [str(n) for n in range(1, 9)]
    output = {"task": "classification", "scores": "probabilities"}
    counting = describe(id="counting", adapter=PLUG_INS + "Counting", labels=numbers, output=output, file="")
    prying = describe(id="prying", adapter=PLUG_INS + "Prying", labels=["could", "could not"], output=output)
    desk.models = installed_models([install(desk.folder, b"", prying), written(desk.folder, counting)])
    pooled(desk).run()
    said = desk.rows().select("model", "label").unique().rows()
    assert sorted(said) == [("counting", "4"), ("prying", "could not")]


def written(folder: Path, description: dict[str, Any]) -> Path:
    """The sidecar of a plug-in that has no file."""
    sidecar = install(folder, b"", description | {"file": "unused"})
    sidecar.write_text(sidecar.read_text().replace('"unused"', '""'))
    return sidecar


def test_a_frame_that_kills_its_worker_costs_one_item(desk: Desk) -> None:
    output, seen = {"task": "classification", "scores": "probabilities"}, SHOWN | {"fit": "stretch"}
    desk.install((b"", describe(adapter=PLUG_INS + "Deadly", output=output, input=seen)))
    pooled(desk).run()
    assert desk.fates() == dict.fromkeys(FILES, "accepted") | {"red.png": "failed/decoder_crashed"}


class Weighing(InProcessEngine):
    """Remembers how many frames each work had."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def map_items(self, task: Any, works: Any) -> Any:
        def weighed() -> Iterator[Any]:
            for work in works:
                self.sizes.append(len(work.key))
                yield work

        return super().map_items(task, weighed())


def test_after_a_work_that_was_too_much_the_next_ones_are_smaller(unread: Desk, shelf: Shelf) -> None:
    shelf.files = {f"{n}.png": solid(n, 0, 0) for n in range(24)}
    write_manifest(unread.case.bench.lake, [{"item_key": key, "uri": f"{shelf.url}/{key}"} for key in shelf.files])
    unread.case.run()
    engine = Weighing()
    unread.case.bench = replace(unread.case.bench, engine=engine)
    unread.install((b"", describe(adapter=PLUG_INS + "Hungry")))
    with pytest.raises(ModelUnfit):
        unread.run()
    assert engine.sizes[:5] == [8, 4, 2, 1, 1]


def test_an_onnx_model_is_loaded_and_asked_in_a_confined_worker(desk: Desk) -> None:
    desk.run()
    here = desk.rows()
    pooled(desk).run(again=True)
    assert desk.rows().equals(here)


def test_a_model_that_a_worker_cannot_hold_is_told_from_a_bad_file(desk: Desk) -> None:
    desk.install((large_classifier(100), describe()))
    with pytest.raises(ModelUnfit, match="MEDIA_ASSETS_WORKER_MEMORY_MIB") as raised:
        pooled(desk, WorkerLimits(memory_bytes=500 << 20)).run()
    assert raised.value.code is ModelCode.TOO_LARGE


def test_the_sheet_shows_the_least_sure_frames_first(desk: Desk) -> None:
    report = desk.run(n_thumbnails=2)
    surest_last = desk.rows().sort("uncertainty", descending=True)["label"].to_list()
    assert [cell.caption.split()[0] for cell in report.cells] == surest_last[:2]


def test_a_gray_picture_tells_whether_models_can_be_used(desk: Desk) -> None:
    engine = ProcessPoolEngine(1)
    try_models(engine, desk.models)
    desk.install((b"garbage", describe()))
    with pytest.raises(ModelUnfit) as raised:
        try_models(engine, desk.models)
    assert raised.value.code is ModelCode.FILE_UNREADABLE
    desk.install((b"", describe(adapter="no.such:PlugIn")))
    with pytest.raises(ModelUnfit, match=r"no\.such"):
        try_models(engine, desk.models)
    desk.install((picky_classifier(), describe()))
    with pytest.raises(ItemError, match="model_output_invalid"):
        try_models(desk.case.bench.engine, desk.models)
