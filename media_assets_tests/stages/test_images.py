"""One batch through the stages: what is published, what is kept, what is left alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from media_assets.errors import ContractBroken, ErrorCode, NotMaterialized, Outage, ReconciliationBroken
from media_assets.lake.delta import Provenance
from media_assets.media.tensors import TensorSpec
from media_assets.stages import assemble, images, rows
from media_assets.stages.stage import FRAMES, IMAGE_STAGES, RAW, TENSORS, Stage
from media_assets.stages.workbench import ReadOptions
from media_assets.tables import ALL_TABLES, FRAMES_IMAGES, ITEM_STATUS, RAW_MEDIA, TENSORS_IMAGES
from media_assets_tests.equality import missing_blobs, tables_of
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.shelf import Shelf
from media_assets_tests.stages.batches import BATCH, SMALL, Case, write_manifest

MakeCase = Callable[[str], Case]

RAW_WANT = {
    "0.jpg": "accepted",
    "1.jpg": "accepted",
    "2.jpg": "accepted",
    "alpha.png": "accepted",
    "repeat.jpg": "duplicate",
    "cut.jpg": "failed/truncated",
    "plain.png": "accepted",
    "missing.jpg": "failed/not_found",
}


def test_every_item_has_one_status_and_its_rows_when_a_batch_is_read(case: Case, shelf: Shelf) -> None:
    report = case.run()
    assert case.statuses("raw.media") == RAW_WANT
    going_on = {key for key, status in RAW_WANT.items() if status == "accepted"}
    frames = case.statuses("frames.images")
    assert frames == {key: "converted" if key == "alpha.png" else "accepted" for key in going_on}
    assert case.statuses("tensors.images") == dict.fromkeys(going_on, "accepted")
    lake = case.bench.lake
    assert {n: lake.scan(t).select(pl.len()).collect().item() for n, t in (("r", RAW_MEDIA), ("f", FRAMES_IMAGES))} == {
        "r": 5,
        "f": 5,
    }
    tensors = lake.scan(TENSORS_IMAGES).collect()
    assert tensors.height == 5
    assert all(np.frombuffer(t, np.uint8).size == 32 * 32 * 3 for t in tensors["tensor"])
    assert missing_blobs(lake, case.bench.blobs) == set()
    assert all(finding.passed for finding in report.findings)
    assert report.stages["raw/media"].codes == {"truncated": 1, "not_found": 1}


def test_every_status_names_its_run_its_code_and_its_bytes(case: Case) -> None:
    case.run()
    case.run([TENSORS])
    versions = images.code_versions(IMAGE_STAGES, case.options)
    media = dict(case.bench.lake.scan(RAW_MEDIA).select("item_key", "media_id").collect().iter_rows())
    statuses = case.bench.lake.scan(ITEM_STATUS, {"batch_id": [BATCH]}).collect()
    for row in statuses.iter_rows(named=True):
        assert row["run_id"] == ("run-2" if row["stage"] == TENSORS.name else "run-1")
        assert row["code_version"] == versions[row["stage"]]
        assert row["is_retryable"] == (ErrorCode(row["error_code"]).is_retryable if row["error_code"] else None)
        if row["stage"] == RAW.name and row["status"] == "accepted":
            assert row["blob"] == media[row["item_key"]]
    assert set(statuses["error_code"]) == {None, "truncated", "not_found"}


def test_every_item_is_fetched_once_and_opened_once_when_a_batch_is_read(case: Case, shelf: Shelf) -> None:
    case.run()
    assert all(n == 1 for n in shelf.hits.values())
    assert case.n_opened == 6  # 8 items, one missing, one with the bytes of another


def test_the_place_in_the_batch_decides_who_is_the_original_when_bytes_arrive_late(case: Case, shelf: Shelf) -> None:
    shelf.delays["1.jpg"] = 0.3  # its repeat comes first
    case.run()
    assert case.statuses() == RAW_WANT


def test_the_tables_are_the_same_when_a_batch_is_read_again(case: Case, shelf: Shelf) -> None:
    case.run()
    want, n_hits = tables_of(case.bench.lake), shelf.n_hits
    case.run()
    assert tables_of(case.bench.lake) == want
    assert shelf.n_hits == n_hits + 2  # only what had failed was asked for again


def test_what_was_accepted_stays_accepted_when_the_source_answers_404_later(case: Case, shelf: Shelf) -> None:
    case.run()
    want = tables_of(case.bench.lake)
    shelf.files = {"cut.jpg": shelf.files["cut.jpg"]}
    case.run()
    assert tables_of(case.bench.lake) == want


def test_the_source_is_asked_again_when_told_to_refetch(case: Case, shelf: Shelf) -> None:
    case.run()
    shelf.files["2.jpg"] = make_jpeg(77, (96, 64))
    case.run(refetch=True)
    assert shelf.hits["2.jpg"] == 2
    got = case.bench.lake.scan(RAW_MEDIA).filter(pl.col("item_key") == "2.jpg").collect()["size_bytes"].item()
    assert got == len(shelf.files["2.jpg"])


def test_a_lost_blob_is_fetched_again_when_the_batch_is_read_again(case: Case, shelf: Shelf) -> None:
    case.run()
    want = tables_of(case.bench.lake)
    media_id = case.bench.lake.scan(RAW_MEDIA).filter(pl.col("item_key") == "0.jpg").collect()["media_id"].item()
    path = case.bench.blobs.source(media_id)
    assert not isinstance(path, bytes)
    path.unlink()
    case.run()
    assert tables_of(case.bench.lake) == want
    assert shelf.hits["0.jpg"] == 2


ROT = {
    "other bytes": lambda body: body[:-40] + bytes([body[-40] ^ 1]) + body[-39:],
    "shorter": lambda body: body[:-40],
    "longer": lambda body: body + b"and more",
    "empty": lambda body: b"",
    "another picture": lambda body: make_jpeg(99, (96, 64)),
}
"""Ways in which kept bytes are no longer what was kept. The first still decodes."""


def rot(case: Case, blob: str, how: str) -> None:
    path = case.bench.blobs.source(blob)
    assert not isinstance(path, bytes)
    path.write_bytes(ROT[how](path.read_bytes()))


def blob_of(case: Case, key: str, column: str = "media_id") -> str:
    table = RAW_MEDIA if column == "media_id" else FRAMES_IMAGES
    return str(case.bench.lake.scan(table).filter(pl.col("item_key") == key).collect()[column].item())


@pytest.mark.parametrize("how", ROT)
def test_a_damaged_blob_is_fetched_again_in_the_run_that_finds_it(case: Case, shelf: Shelf, how: str) -> None:
    case.run()
    want = tables_of(case.bench.lake)
    rot(case, blob_of(case, "0.jpg"), how)
    report = case.run()
    assert tables_of(case.bench.lake) == want
    assert missing_blobs(case.bench.lake, case.bench.blobs) == set()
    assert shelf.hits["0.jpg"] == 2
    assert (report.n_damaged_blobs, report.n_downloaded) == (1, 2)  # cut.jpg, which had failed, was asked for, too


def test_all_items_of_a_damaged_blob_are_read_when_it_is_fetched_again(case: Case, shelf: Shelf) -> None:
    case.run()
    want = tables_of(case.bench.lake)
    rot(case, blob_of(case, "1.jpg"), "other bytes")
    assert case.run().n_damaged_blobs == 2  # the original and its repeat
    assert tables_of(case.bench.lake) == want
    assert missing_blobs(case.bench.lake, case.bench.blobs) == set()


def test_a_damaged_blob_does_not_spoil_an_item_that_brings_the_same_bytes(case: Case, shelf: Shelf) -> None:
    items = [{"item_key": key, "uri": f"{shelf.url}/{key}"} for key in ("1.jpg", "repeat.jpg")]
    shelf.statuses = {"repeat.jpg": 404}
    write_manifest(case.bench.lake, items)
    case.run()
    rot(case, blob_of(case, "1.jpg"), "other bytes")
    shelf.statuses = {"1.jpg": 404}
    case.run()
    assert case.statuses() == {"1.jpg": "failed/not_found", "repeat.jpg": "accepted"}
    assert missing_blobs(case.bench.lake, case.bench.blobs) == set()
    letter = case.bench.lake.scan(ITEM_STATUS).filter(pl.col("status") == "failed").collect()["message"].item()
    assert "damaged" in letter


def test_what_a_killed_run_had_fetched_is_verified_when_it_rotted(make_case: MakeCase, shelf: Shelf) -> None:
    clean, case = make_case("clean"), make_case("lake")
    clean.run()
    shelf.statuses = {f"{i}.jpg": 503 for i in range(1, 3)} | {"alpha.png": 503, "plain.png": 503, "repeat.jpg": 503}
    with pytest.raises(Outage):
        case.run()
    shelf.statuses = {}
    rot(case, blob_of(clean, "0.jpg"), "other bytes")
    assert case.run().n_damaged_blobs == 1
    assert tables_of(case.bench.lake) == tables_of(clean.bench.lake)
    assert missing_blobs(case.bench.lake, case.bench.blobs) == set()


@pytest.mark.parametrize(("stage", "key"), [(FRAMES, "0.jpg"), (TENSORS, "0.jpg"), (TENSORS, "alpha.png")])
def test_a_damaged_blob_is_a_dead_letter_and_a_replay_heals_it_when_nothing_can_be_fetched(
    make_case: MakeCase, shelf: Shelf, stage: Stage, key: str
) -> None:
    case, clean = make_case("lake"), make_case("clean")
    case.run()
    rot(case, blob_of(case, key, "media_id" if stage is FRAMES else "blob"), "other bytes")
    n_hits = shelf.n_hits
    assert case.run([stage]).n_damaged_blobs == 1
    assert shelf.n_hits == n_hits
    assert case.statuses(stage.name)[key] == "failed/blob_damaged"
    is_letter = (pl.col("status") == "failed") & (pl.col("stage") == stage.name)
    letter = case.bench.lake.scan(ITEM_STATUS).filter(is_letter).collect().row(0, named=True)
    assert letter["is_retryable"]
    assert "dead-letters replay --code blob_damaged" in letter["message"]
    frames = set(case.bench.lake.scan(FRAMES_IMAGES).filter(pl.col("item_key") == key).collect()["frame_id"])
    assert frames.isdisjoint(case.bench.lake.scan(TENSORS_IMAGES).collect()["frame_id"])

    case.run(retry=[key])
    clean.run()
    assert tables_of(case.bench.lake) == tables_of(clean.bench.lake)
    assert missing_blobs(case.bench.lake, case.bench.blobs) == set()
    assert shelf.hits[key] == (3 if key == "0.jpg" else 2)  # alpha's frame was made from its raw file, which is whole


def test_an_outage_is_told_when_most_kept_blobs_are_damaged_and_nothing_can_be_fetched(case: Case) -> None:
    case.run([RAW])
    for key in ("0.jpg", "1.jpg", "2.jpg"):
        rot(case, blob_of(case, key), "other bytes")
    with pytest.raises(Outage, match="materialize all tables"):
        case.run([FRAMES])


def test_nothing_is_published_when_a_retryable_cause_hits_most_of_a_batch(case: Case, shelf: Shelf) -> None:
    shelf.statuses = {f"{i}.jpg": 503 for i in range(3)} | {"alpha.png": 503, "plain.png": 503}
    with pytest.raises(Outage, match="server_error"):
        case.run()
    assert all(case.bench.lake.scan(t).collect().is_empty() for t in ALL_TABLES if t.path != "ingest/manifest")


def test_what_was_fetched_stays_fetched_when_an_outage_ends(make_case: MakeCase, shelf: Shelf) -> None:
    clean, case = make_case("clean"), make_case("lake")
    clean.run()
    shelf.hits.clear()
    shelf.statuses = {f"{i}.jpg": 503 for i in range(3)} | {"alpha.png": 503, "plain.png": 503}
    with pytest.raises(Outage):
        case.run()
    n_repeat = shelf.hits["repeat.jpg"]
    shelf.statuses = {}
    case.run()
    assert shelf.hits["repeat.jpg"] == n_repeat  # it was there already
    assert tables_of(case.bench.lake) == tables_of(clean.bench.lake)


def test_one_unreachable_item_is_a_dead_letter_when_the_others_came(case: Case, shelf: Shelf) -> None:
    shelf.statuses = {"0.jpg": 503}
    case.run()
    assert case.statuses()["0.jpg"] == "failed/server_error"
    assert case.statuses()["1.jpg"] == "accepted"


def test_a_replay_touches_only_what_failed_and_ends_like_a_clean_run(make_case: MakeCase, shelf: Shelf) -> None:
    mended = dict(shelf.files) | {"cut.jpg": make_jpeg(9, (96, 64)), "missing.jpg": make_jpeg(11, (96, 64))}
    case, clean = make_case("lake"), make_case("clean")
    case.run()
    n_opened, n_hits = case.n_opened, shelf.n_hits
    shelf.files = mended
    case.run(retry=["cut.jpg", "missing.jpg"])
    assert case.n_opened == n_opened + 2
    assert shelf.n_hits == n_hits + 2
    clean.run()
    assert tables_of(case.bench.lake) == tables_of(clean.bench.lake)


def test_a_replay_makes_the_rest_anew_when_other_code_made_it(case: Case, shelf: Shelf) -> None:
    case.run()
    shelf.is_down = True  # what is made anew is made from the blobs
    larger = TensorSpec(size=(48, 48), resize_shorter_px=50)
    case.run(retry=["cut.jpg"], specs=(SMALL, larger), outage_share=1.0)
    counts = dict(case.bench.lake.scan(TENSORS_IMAGES).group_by("spec").len().collect().iter_rows())
    assert counts == {SMALL.name: 5, larger.name: 5}
    status = case.bench.lake.scan(ITEM_STATUS, {"stage": [TENSORS.name]}).collect()
    assert set(status["code_version"]) == {
        images.code_versions([TENSORS], ReadOptions(specs=(SMALL, larger)))[TENSORS.name]
    }


def test_a_repeat_gives_way_when_its_earlier_twin_is_replayed(make_case: MakeCase, shelf: Shelf) -> None:
    case, clean = make_case("lake"), make_case("clean")
    shelf.statuses = {"1.jpg": 404}
    case.run()
    assert case.statuses()["repeat.jpg"] == "accepted"
    shelf.statuses = {}
    case.run(retry=["1.jpg"])
    clean.run()
    assert case.statuses() == RAW_WANT
    assert tables_of(case.bench.lake) == tables_of(clean.bench.lake)


def test_repeats_with_other_rotations_leave_no_tensor_behind(case: Case, shelf: Shelf) -> None:
    items = [
        {"item_key": "a", "uri": f"{shelf.url}/1.jpg", "rotation_degrees": 90},
        {"item_key": "b", "uri": f"{shelf.url}/repeat.jpg", "rotation_degrees": 180},
    ]
    write_manifest(case.bench.lake, items)
    shelf.delays["1.jpg"] = 0.2
    case.run()
    assert case.statuses() == {"a": "accepted", "b": "duplicate"}
    frames = case.bench.lake.scan(FRAMES_IMAGES).collect()
    assert frames["turned_degrees"].to_list() == [270]  # 90 counter-clockwise
    assert case.bench.lake.scan(TENSORS_IMAGES).collect()["frame_id"].to_list() == frames["frame_id"].to_list()


def test_each_stage_alone_gives_what_all_together_give(make_case: MakeCase, shelf: Shelf) -> None:
    together, alone = make_case("together"), make_case("alone")
    together.run()
    alone.run([RAW])
    shelf.is_down = True  # the later stages start from the blobs
    alone.run([FRAMES])
    alone.run([TENSORS])
    want, got = tables_of(together.bench.lake), tables_of(alone.bench.lake)
    assert {name: rows for name, rows in got.items() if name != "ingest.item_status"} == {
        name: rows for name, rows in want.items() if name != "ingest.item_status"
    }
    assert alone.statuses("tensors.images") == together.statuses("tensors.images")


def test_a_new_spec_starts_from_the_blobs_when_only_tensors_are_made(case: Case, shelf: Shelf) -> None:
    case.run()
    shelf.is_down, n_hits = True, shelf.n_hits
    larger = TensorSpec(size=(48, 48), resize_shorter_px=50, dtype="float32")
    case.run([TENSORS], specs=(SMALL, larger))
    assert shelf.n_hits == n_hits
    counts = dict(case.bench.lake.scan(TENSORS_IMAGES).group_by("spec").len().collect().iter_rows())
    assert counts == {SMALL.name: 5, larger.name: 5}
    status = case.bench.lake.scan(ITEM_STATUS, {"stage": ["tensors.images"]}).collect()
    assert set(status["n_outputs"]) == {2}


def test_a_stage_says_what_is_missing_when_the_one_before_has_not_run(case: Case) -> None:
    with pytest.raises(NotMaterialized, match="raw/media"):
        case.run([FRAMES])
    with pytest.raises(NotMaterialized, match="frames/images"):
        case.run([TENSORS])


def test_an_unplanned_batch_is_refused(case: Case) -> None:
    with pytest.raises(NotMaterialized, match="nothing"):
        images.read_batch(case.bench, "other.0001", IMAGE_STAGES, case.options, Provenance("r", "1"))


@pytest.mark.parametrize("broken", ["raw_row", "frame_row", "tensor_row"])
def test_nothing_is_published_when_a_row_breaks_its_contract(
    case: Case, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.run()
    want = tables_of(case.bench.lake)
    wrong = {"raw_row": {"size_bytes": 0}, "frame_row": {"width_px": 0}, "tensor_row": {"scale": -1.0}}[broken]
    sound = getattr(rows, broken)
    module = images if broken == "tensor_row" else assemble
    monkeypatch.setattr(module, broken, lambda *a: sound(*a) | wrong)
    with pytest.raises(ContractBroken) as caught:
        case.run()
    assert tables_of(case.bench.lake) == want
    assert [f for f in caught.value.findings if not f.passed]  # type: ignore[attr-defined]


def test_nothing_is_published_when_an_item_is_lost_on_the_way(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = assemble.StatusWriter.done

    def forgetful(self: assemble.StatusWriter, item_key: str, *rest: object) -> dict[str, object]:
        return sound(self, "0.jpg" if item_key == "2.jpg" else item_key, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(assemble.StatusWriter, "done", forgetful)
    with pytest.raises(ReconciliationBroken, match=r"2\.jpg"):
        case.run()
    assert case.bench.lake.scan(RAW_MEDIA).collect().is_empty()


def test_an_erased_item_stays_erased_when_its_batch_is_read_again(case: Case, shelf: Shelf) -> None:
    case.run()
    lake = case.bench.lake
    here = {"stage": ["raw.media"], "batch_id": [BATCH]}
    statuses = lake.scan(ITEM_STATUS, here).collect()
    is_erased = pl.col("item_key") == "0.jpg"
    erased = statuses.with_columns(
        pl.when(is_erased).then(pl.lit("erased")).otherwise("status").alias("status"),
        pl.when(is_erased).then(0).otherwise("n_outputs").cast(pl.Int64).alias("n_outputs"),
    )
    lake.overwrite(ITEM_STATUS, erased, here, Provenance("erasure", "1"))
    n_hits = shelf.hits["0.jpg"]
    case.run(refetch=True)
    assert case.statuses()["0.jpg"] == "erased"
    assert shelf.hits["0.jpg"] == n_hits
    assert "0.jpg" not in set(lake.scan(RAW_MEDIA).collect()["item_key"])


def test_attempts_and_the_first_failure_are_remembered_when_an_item_keeps_failing(case: Case) -> None:
    case.run()
    first = case.bench.lake.scan(ITEM_STATUS).filter(pl.col("item_key") == "missing.jpg").collect().row(0, named=True)
    case.run()
    again = case.bench.lake.scan(ITEM_STATUS).filter(pl.col("item_key") == "missing.jpg").collect().row(0, named=True)
    assert (first["attempts"], again["attempts"]) == (1, 2)
    assert again["first_failed_at"] == first["first_failed_at"] < again["last_failed_at"]


def test_an_empty_network_batch_of_only_bad_items_is_published(case: Case, shelf: Shelf) -> None:
    write_manifest(case.bench.lake, [{"item_key": "missing.jpg", "uri": f"{shelf.url}/missing.jpg"}])
    report = case.run()
    assert case.statuses() == {"missing.jpg": "failed/not_found"}
    assert report.stages["tensors/images"].n_rows == 0
