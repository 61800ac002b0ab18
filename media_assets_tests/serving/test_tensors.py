"""The training reader: equal arrays from every layout, one order, every sample once."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from deltalake import write_deltalake

from media_assets.errors import ContractBroken, LakeUnfit, NotMaterialized, SetupError
from media_assets.lake.delta import Lake
from media_assets.lake.parts import PartWriter
from media_assets.media.tensors import NORMALIZATIONS, TensorSpec, normalize
from media_assets.serving.statistics import measure_statistics
from media_assets.serving.tensors import MiniBatch, TensorReader
from media_assets.tables import TENSORS_IMAGES, TENSORS_STATISTICS
from media_assets_tests.serving.tensor_lakes import (
    PROVENANCE,
    SMALL,
    in_reader_order,
    lake_at,
    respecified,
    samples,
    write,
)

N_SAMPLES = 150  # three row groups


def spec_of(dtype: str, layout: str) -> TensorSpec:
    return TensorSpec(size=(6, 8), resize_shorter_px=8, dtype=dtype, layout=layout)


def compacted(lake: Lake) -> Lake:
    """Rewritten by default properties, which loses the mapped layout."""
    table = lake.table(TENSORS_IMAGES)
    assert table is not None
    assert table.optimize.compact()["numFilesRemoved"] > 1
    return lake


def stacked(reader: TensorReader, **options: object) -> np.ndarray:
    return np.concatenate([batch.x.copy() for batch in reader.mini_batches(64, **options)])


def with_pyarrow(lake: Lake, layout: str) -> dict[str, np.ndarray]:
    """Every normalized sample by frame, read by pyarrow and the reference formula."""
    table = lake.table(TENSORS_IMAGES)
    assert table is not None
    found = {}
    for row in table.to_pyarrow_table().to_pylist():
        stored = np.frombuffer(row["tensor"], row["dtype"]).reshape(row["shape"])
        x = normalize(stored, row["scale"], tuple(row["mean"]), tuple(row["std"]), row["layout"])
        x = x if row["layout"] == "hwc" else x.transpose(1, 2, 0)
        found[row["frame_id"]] = x if layout == "nhwc" else x.transpose(2, 0, 1)
    return found


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("stored_layout", ["hwc", "chw"])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_mapped_and_decoded_samples_equal_the_reference(
    tmp_path: Path, dtype: str, stored_layout: str, layout: str
) -> None:
    spec = spec_of(dtype, stored_layout)
    lake = write(lake_at(tmp_path), samples(N_SAMPLES, spec))
    mapped = TensorReader(lake, layout=layout)
    assert (mapped.n_mapped_files, mapped.n_fallback_files) == (1, 0)
    x = stacked(mapped)
    assert x.dtype == np.float32
    assert x.shape == (N_SAMPLES, *((3, 6, 8) if layout == "nchw" else (6, 8, 3)))
    reference = with_pyarrow(lake, layout)
    np.testing.assert_allclose(x, [reference[frame] for frame in mapped.frame_ids], atol=2e-6)

    rewrite_compressed(lake)
    decoded = TensorReader(lake, layout=layout)
    assert (decoded.n_mapped_files, decoded.n_fallback_files) == (0, 1)
    np.testing.assert_array_equal(decoded.frame_ids, mapped.frame_ids)
    np.testing.assert_array_equal(stacked(decoded), x)


TOLERANCE = {"uint8": 2e-6, "float32": 2e-6, "float16": 1e-3}
"""As `TensorReader` states: how far a normalized value may lie from the exact one, by the type it is stored in."""


def test_normalized_mini_batches_agree_whatever_the_stored_type_and_layout(tmp_path: Path) -> None:
    rows = samples(70)
    rows[0].picture[:2] = 0  # the whole range, so that the largest normalized values are among them
    rows[0].picture[2:4] = 255
    kinds = [(dtype, stored) for dtype in TOLERANCE for stored in ("hwc", "chw")]
    lake = write(
        lake_at(tmp_path),
        [row for dtype, stored in kinds for row in respecified(rows, dtype=dtype, layout=stored)],
    )
    pictures = np.stack([sample.picture for sample in in_reader_order(rows)]).astype(np.float64)
    for name in (None, "imagenet"):
        mean, std = (np.array(values) for values in NORMALIZATIONS["imagenet"])
        exact = (pictures / 255 - mean) / std
        for dtype, stored in kinds:
            (row,) = respecified(rows[:1], dtype=dtype, layout=stored)
            for layout in ("nhwc", "nchw"):
                want = exact if layout == "nhwc" else exact.transpose(0, 3, 1, 2)
                reader = TensorReader(lake, row.spec.name, layout=layout, normalization=name)
                np.testing.assert_allclose(stacked(reader), want, rtol=0, atol=TOLERANCE[dtype])
                halved = TensorReader(lake, row.spec.name, layout=layout, normalization=name, dtype="float16")
                np.testing.assert_allclose(stacked(halved), want, rtol=0, atol=TOLERANCE["float16"])


def rewrite_compressed(lake: Lake) -> None:
    table = lake.table(TENSORS_IMAGES)
    assert table is not None
    write_deltalake(table, table.to_pyarrow_table(), mode="overwrite", schema_mode="overwrite")


def test_compaction_by_default_properties_falls_back_to_equal_arrays(tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    everything = samples(80) + samples(20, SMALL, "b.0002")
    everything += respecified(everything, dtype="float32") + respecified(everything, layout="chw")
    write(lake, everything)
    before = TensorReader(lake, SMALL.name)
    x = stacked(before)
    assert before.n_mapped_files == 2
    compacted(lake)
    after = TensorReader(lake, SMALL.name)
    assert (after.n_mapped_files, after.n_fallback_files) == (0, 2)
    np.testing.assert_array_equal(after.frame_ids, before.frame_ids)
    np.testing.assert_array_equal(stacked(after), x)
    np.testing.assert_array_equal(stacked(before), x)  # the old files are still there


def test_fallback_decodes_some_rows_at_a_time_and_leaves_no_scratch_file(tmp_path: Path) -> None:
    lake = write(lake_at(tmp_path / "lake"), samples(N_SAMPLES))
    rewrite_compressed(lake)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    reader = TensorReader(lake, scratch=scratch)
    assert len(stacked(reader)) == N_SAMPLES
    assert list(scratch.iterdir()) == []


def test_fallback_is_refused_when_the_scratch_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = write(lake_at(tmp_path), samples(70))
    rewrite_compressed(lake)
    reader = TensorReader(lake)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(LakeUnfit, match="free bytes"):
        reader[0]


def test_raw_uint8_gives_the_stored_bytes(tmp_path: Path) -> None:
    rows = samples(70)
    lake = write(lake_at(tmp_path), rows)
    expected = np.stack([sample.stored for sample in in_reader_order(rows)])
    np.testing.assert_array_equal(stacked(TensorReader(lake, layout="nhwc", dtype="uint8")), expected)
    nchw = stacked(TensorReader(lake, dtype="uint8"))
    np.testing.assert_array_equal(nchw, expected.transpose(0, 3, 1, 2))
    assert nchw.flags.c_contiguous


def test_raw_uint8_gives_the_stored_bytes_of_a_chw_spec(tmp_path: Path) -> None:
    rows = samples(5, spec_of("uint8", "chw"))
    lake = write(lake_at(tmp_path), rows)
    expected = np.stack([sample.picture for sample in in_reader_order(rows)])
    np.testing.assert_array_equal(stacked(TensorReader(lake, layout="nhwc", dtype="uint8")), expected)


@pytest.mark.parametrize("stored", ["uint8", "float16", "float32"])
def test_float16_output_is_the_rounded_float32(tmp_path: Path, stored: str) -> None:
    lake = write(lake_at(tmp_path), samples(10, spec_of(stored, "hwc")))
    for layout in ("nchw", "nhwc"):
        exact = stacked(TensorReader(lake, layout=layout))
        half = stacked(TensorReader(lake, layout=layout, dtype="float16"))
        assert half.dtype == np.float16
        np.testing.assert_array_equal(half, exact.astype(np.float16))


def test_shuffle_covers_every_sample_once_and_repeats_by_seed_and_epoch(tmp_path: Path) -> None:
    reader = TensorReader(write(lake_at(tmp_path), samples(N_SAMPLES)))

    def order(**options: int) -> list[int]:
        return [int(n) for batch in reader.mini_batches(32, shuffle=True, **options) for n in batch.numbers]

    first = order(seed=3, epoch=1)
    assert sorted(first) == list(range(N_SAMPLES))
    assert first != list(range(N_SAMPLES))
    assert first == order(seed=3, epoch=1)
    assert first != order(seed=3, epoch=2)
    assert first != order(seed=4, epoch=1)


def test_shuffle_is_the_same_on_every_machine(tmp_path: Path) -> None:
    reader = TensorReader(write(lake_at(tmp_path), samples(8)))
    (batch,) = reader.mini_batches(8, shuffle=True, seed=1, epoch=2)
    bits = np.random.PCG64(np.random.SeedSequence([1, 2])).random_raw(8)
    assert batch.numbers.tolist() == sorted(range(8), key=lambda n: bits[n])


def test_a_sampler_names_the_numbers_of_the_mini_batches_without_torch(tmp_path: Path) -> None:
    reader = TensorReader(write(lake_at(tmp_path), samples(50)))
    for drop_last in (False, True):
        for rank in range(3):
            options = {"shuffle": True, "seed": 1, "drop_last": drop_last, "rank": rank, "world_size": 3}
            sampler = reader.sampler(4, **options)
            sampler.set_epoch(5)
            named = [numbers.tolist() for numbers in sampler]
            assert named == [batch.numbers.tolist() for batch in reader.mini_batches(4, epoch=5, **options)]
            assert len(named) == len(sampler)
    np.testing.assert_array_equal(reader[named[0]], next(reader.mini_batches(4, epoch=5, **options)).x)
    with pytest.raises(ValueError, match="epoch"):
        sampler.set_epoch(-1)


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_ranks_are_disjoint_and_cover_everything(tmp_path: Path, world_size: int) -> None:
    reader = TensorReader(write(lake_at(tmp_path), samples(50)))
    shares = [
        [n for batch in reader.mini_batches(4, shuffle=True, rank=rank, world_size=world_size) for n in batch.numbers]
        for rank in range(world_size)
    ]
    assert sorted(n for share in shares for n in share) == list(range(50))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_drop_last_gives_every_rank_the_same_number_of_whole_mini_batches(tmp_path: Path) -> None:
    reader = TensorReader(write(lake_at(tmp_path), samples(50)))
    for rank in range(3):
        sizes = [len(batch) for batch in reader.mini_batches(4, drop_last=True, rank=rank, world_size=3)]
        assert sizes == [4, 4, 4, 4]


def test_order_does_not_depend_on_how_the_rows_came(tmp_path: Path) -> None:
    rows = samples(100) + samples(30, SMALL, "b.0000")
    one = TensorReader(write(lake_at(tmp_path / "one"), rows))
    other = TensorReader(write(lake_at(tmp_path / "other"), reversed(rows)))
    pairs = zip(one.mini_batches(16, shuffle=True), other.mini_batches(16, shuffle=True), strict=True)
    for mine, theirs in pairs:
        np.testing.assert_array_equal(mine.frame_ids, theirs.frame_ids)
        np.testing.assert_array_equal(mine.batch_ids, theirs.batch_ids)
        np.testing.assert_array_equal(mine.x, theirs.x)
    assert one.frame_ids.tolist() == [sample.frame_id for sample in in_reader_order(rows)]
    assert one.batch_ids.tolist() == [sample.batch_id for sample in in_reader_order(rows)]


def test_a_replaced_batch_does_not_break_an_open_reader(tmp_path: Path) -> None:
    old = samples(70)
    lake = write(lake_at(tmp_path), old)
    reader = TensorReader(lake)
    write(lake, samples(20, seed=9))
    expected = [sample.expected("nchw") for sample in in_reader_order(old)]
    np.testing.assert_allclose(stacked(reader), expected, atol=2e-6)
    assert len(TensorReader(lake)) == 20
    assert len(TensorReader(lake, version=reader.version)) == 70


def test_a_pickled_reader_reads_the_same_version(tmp_path: Path) -> None:
    lake = write(lake_at(tmp_path), samples(70))
    reader = TensorReader(lake, normalization="half", layout="nhwc")
    packed = pickle.dumps(reader)
    assert len(packed) < 2000
    write(lake, samples(3))
    np.testing.assert_array_equal(stacked(pickle.loads(packed)), stacked(reader))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_decodes_files_that_cannot_be_mapped(tmp_path: Path) -> None:
    """As loaders with workers do. Threads do not survive a fork: a library that waits for its own would hang."""
    lake = write(lake_at(tmp_path), samples(70))
    x = stacked(TensorReader(lake))
    rewrite_compressed(lake)
    reader = TensorReader(lake)

    def read() -> None:
        np.testing.assert_array_equal(reader[:], x)

    child = multiprocessing.get_context("fork").Process(target=read)
    child.start()
    child.join(30)
    try:
        assert child.exitcode == 0
    finally:
        child.kill()
        child.join()


def test_mini_batches_keep_their_arrays_unless_told_to_reuse_one(tmp_path: Path) -> None:
    reader = TensorReader(write(lake_at(tmp_path), samples(20)))
    own = list(reader.mini_batches(6))
    np.testing.assert_array_equal(np.concatenate([batch.x for batch in own]), reader[:])
    assert [len(batch) for batch in own] == [6, 6, 6, 2]
    shared = [batch.x.__array_interface__["data"][0] for batch in reader.mini_batches(6, reuse_buffer=True)]
    assert len(set(shared)) == 1
    np.testing.assert_array_equal(stacked(reader, reuse_buffer=True), reader[:])


def test_single_reads_equal_mini_batches(tmp_path: Path) -> None:
    reader = TensorReader(write(lake_at(tmp_path), samples(20)))
    x = stacked(reader)
    np.testing.assert_array_equal(reader[3], x[3])
    np.testing.assert_array_equal(reader[-1], x[-1])
    np.testing.assert_array_equal(reader[4:9:2], x[4:9:2])
    np.testing.assert_array_equal(reader[np.array([7, 0, 7])], x[[7, 0, 7]])
    for outside in (20, -21):
        with pytest.raises(IndexError, match="20"):
            reader[outside]


def test_samples_of_many_shapes_are_read_one_by_one(tmp_path: Path) -> None:
    spec = TensorSpec(fit="shorter_side", resize_shorter_px=6)
    rows = samples(12, spec, sizes=[(6, 8), (8, 6), (6, 11)])
    reader = TensorReader(write(lake_at(tmp_path), rows))
    for number, sample in enumerate(in_reader_order(rows)):
        np.testing.assert_allclose(reader[number], sample.expected("nchw"), atol=2e-6)
    with pytest.raises(ValueError, match="one by one"):
        reader.mini_batches(4)


def test_shapes_of_equal_size_are_not_confused(tmp_path: Path) -> None:
    spec = TensorSpec(fit="shorter_side", resize_shorter_px=6)
    rows = samples(8, spec, sizes=[(6, 8), (8, 6)])
    reader = TensorReader(write(lake_at(tmp_path), rows), layout="nhwc")
    assert reader.n_mapped_files == 1
    assert [reader[n].shape for n in range(8)] == [sample.picture.shape for sample in in_reader_order(rows)]


def test_normalization_is_chosen_when_reading(tmp_path: Path) -> None:
    rows = samples(30)
    lake = write(lake_at(tmp_path), rows)
    pictures = np.stack([sample.picture for sample in in_reader_order(rows)])
    for name, (mean, std) in NORMALIZATIONS.items():
        expected = normalize(pictures, 1 / 255, mean, std, "hwc")
        np.testing.assert_allclose(stacked(TensorReader(lake, normalization=name, layout="nhwc")), expected, atol=2e-6)
    own = ((0.1, 0.2, 0.3), (1.0, 2.0, 0.5))
    expected = normalize(pictures, 1 / 255, *own, "hwc")
    np.testing.assert_allclose(stacked(TensorReader(lake, normalization=own, layout="nhwc")), expected, atol=2e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [("uint8", 1e-4), ("float32", 1e-4), ("float16", 3e-3)])
def test_measured_normalization_gives_zero_mean_and_unit_deviation(
    tmp_path: Path, dtype: str, tolerance: float
) -> None:
    lake = write(lake_at(tmp_path), samples(60, spec_of(dtype, "hwc")))
    with pytest.raises(NotMaterialized, match="tensors/statistics"):
        TensorReader(lake, normalization="measured")
    lake.overwrite(TENSORS_STATISTICS, measure_statistics(lake), {}, PROVENANCE)
    x = stacked(TensorReader(lake, normalization="measured"))
    np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), 0, atol=tolerance)
    np.testing.assert_allclose(x.std(axis=(0, 2, 3)), 1, atol=tolerance)


def test_floats_of_unknown_normalization_are_not_normalized_again(tmp_path: Path) -> None:
    spec = TensorSpec(size=(6, 8), resize_shorter_px=8, dtype="float32", mean=(0.1, 0.2, 0.3))
    lake = write(lake_at(tmp_path), samples(5, spec))
    with pytest.raises(ValueError, match="neither the row nor"):
        TensorReader(lake, normalization="half")
    assert len(TensorReader(lake)) == 5


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"normalization": "imagnet"}, "imagenet"),
        ({"normalization": ((0.0, 0.0), (1.0, 1.0))}, "three means"),
        ({"normalization": ((0.0,) * 3, (1.0, 0.0, 1.0))}, "above 0"),
        ({"layout": "hwc"}, "nchw"),
        ({"dtype": "float64"}, "float32"),
        ({"dtype": "uint8", "normalization": "half"}, "no normalization"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path: Path, options: dict[str, object], told: str) -> None:
    lake = write(lake_at(tmp_path), samples(2))
    with pytest.raises(ValueError, match=told):
        TensorReader(lake, **options)


def test_raw_bytes_of_floats_are_refused(tmp_path: Path) -> None:
    lake = write(lake_at(tmp_path), samples(2, spec_of("float32", "hwc")))
    with pytest.raises(ValueError, match="stores float32"):
        TensorReader(lake, dtype="uint8")


@pytest.mark.parametrize("options", [{"size": 0}, {"rank": 2, "world_size": 2}, {"seed": -1}])
def test_wrong_pass_arguments_are_refused_before_the_first_mini_batch(tmp_path: Path, options: dict[str, int]) -> None:
    reader = TensorReader(write(lake_at(tmp_path), samples(2)))
    with pytest.raises(ValueError, match="Expected size"):
        reader.mini_batches(**{"size": 1, **options})


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    with pytest.raises(NotMaterialized, match="tensors/images"):
        TensorReader(lake)
    lake.ensure(TENSORS_IMAGES)
    with pytest.raises(NotMaterialized, match="tensors/images"):
        TensorReader(lake)
    rows = samples(2)
    write(lake, rows + respecified(rows, dtype="float32"))
    with pytest.raises(NotMaterialized, match=SMALL.name):
        TensorReader(lake, "another")
    with pytest.raises(ValueError, match=r"2 specs.*uint8"):
        TensorReader(lake)
    with pytest.raises(NotMaterialized, match=r"b\.0009"):
        TensorReader(lake, SMALL.name, ["b.0001", "b.0009"])
    with pytest.raises(NotMaterialized, match="version 77"):
        TensorReader(lake, SMALL.name, version=77)


def test_batches_narrow_the_reader(tmp_path: Path) -> None:
    lake = write(lake_at(tmp_path), samples(5) + samples(7, SMALL, "b.0002") + samples(3, SMALL, "b.0003"))
    reader = TensorReader(str(tmp_path), batches=["b.0003", "b.0001"])
    assert len(reader) == 8
    assert set(reader.batch_ids) == {"b.0001", "b.0003"}
    assert len(TensorReader(lake)) == 15


def test_specs_stored_in_two_ways_are_refused(tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    write(lake, samples(3))
    row = {**samples(3, SMALL, "b.0002")[0].row, "scale": 1.0}
    lake.overwrite(TENSORS_IMAGES, TENSORS_IMAGES.frame([row]), {"batch_id": ["b.0002"]}, PROVENANCE)
    with pytest.raises(ContractBroken, match="2 ways"):
        TensorReader(lake)


def test_a_tensor_of_the_wrong_size_is_refused_when_read(tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    rows = [sample.row for sample in samples(3)]
    rows[1]["tensor"] = rows[1]["tensor"][:-1]
    lake.overwrite(TENSORS_IMAGES, TENSORS_IMAGES.frame(rows), {"batch_id": ["b.0001"]}, PROVENANCE)
    with pytest.raises(ContractBroken, match="expected a tensor of 144 bytes"):
        TensorReader(lake)[:]


def test_mapped_tensors_whose_sizes_only_add_up_are_refused_when_read(tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    rows = [sample.row for sample in samples(4)]
    rows[1]["tensor"], rows[2]["tensor"] = rows[1]["tensor"] + b"x", rows[2]["tensor"][:-1]
    with PartWriter(lake, TENSORS_IMAGES, "b.0001", "tensor") as writer:
        for row in rows:
            writer.append("file", row)
        writer.commit(PROVENANCE)
    reader = TensorReader(lake)
    assert reader.n_mapped_files == 1
    with pytest.raises(ContractBroken, match="expected a tensor of 144 bytes"):
        reader[:]


def test_a_frame_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    lake = write(lake_at(tmp_path), samples(3))
    table = lake.table(TENSORS_IMAGES)
    assert table is not None
    write_deltalake(table, table.to_pyarrow_table(), mode="append")
    with pytest.raises(ContractBroken, match="twice"):
        TensorReader(lake)


def test_frame_ids_of_another_form_are_refused(tmp_path: Path) -> None:
    lake = write(lake_at(tmp_path), samples(3))
    table = lake.table(TENSORS_IMAGES)
    assert table is not None
    frame = pl.from_arrow(table.to_pyarrow_table())
    assert isinstance(frame, pl.DataFrame)
    write_deltalake(table, frame.with_columns(pl.col("frame_id").str.to_uppercase()), mode="overwrite")
    with pytest.raises(ContractBroken, match="hexadecimal"):
        TensorReader(lake)


@pytest.mark.parametrize("feature", ["deletionVectors", "columnMapping"])
def test_tables_whose_files_do_not_speak_for_themselves_are_refused(tmp_path: Path, feature: str) -> None:
    lake = write(lake_at(tmp_path), samples(3))
    assert len(TensorReader(lake)) == 3
    with_feature(lake, feature)
    with pytest.raises(LakeUnfit, match=feature):
        TensorReader(lake)


def with_feature(lake: Lake, feature: str) -> None:
    """Commit a change as another writer would: the newest file again, with a deletion vector."""
    table = lake.table(TENSORS_IMAGES)
    assert table is not None
    log = Path(lake.uri(TENSORS_IMAGES), "_delta_log")
    newest = log / f"{table.version():020d}.json"
    add = next(json.loads(line)["add"] for line in newest.read_text().splitlines() if '"add"' in line)
    vector = {"storageType": "u", "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^", "offset": 4, "sizeInBytes": 40}
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": [feature], "writerFeatures": [feature]}
    actions: list[dict[str, object]] = [{"protocol": protocol}]
    if feature == "deletionVectors":
        actions.append({"remove": {"path": add["path"], "deletionTimestamp": 1, "dataChange": True}})
        actions.append({"add": {**add, "deletionVector": {**vector, "cardinality": 6}}})
    text = "\n".join(json.dumps(action) for action in actions)
    (log / f"{table.version() + 1:020d}.json").write_text(text)


def test_files_come_from_the_log_and_never_from_the_folder(tmp_path: Path) -> None:
    lake = write(lake_at(tmp_path), samples(10))
    write(lake, samples(4, seed=5))
    assert len(list(Path(lake.uri(TENSORS_IMAGES)).rglob("*.parquet"))) > 1
    assert len(TensorReader(lake)) == 4


def test_many_row_groups_and_files_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media_assets.lake.parts.ROW_GROUP_ROWS", 4)
    monkeypatch.setattr("media_assets.lake.parts.FILE_ROW_GROUPS", 3)
    rows = samples(50)
    reader = TensorReader(write(lake_at(tmp_path), rows))
    assert (reader.n_mapped_files, reader.n_fallback_files) == (5, 0)
    np.testing.assert_allclose(stacked(reader), [s.expected("nchw") for s in in_reader_order(rows)], atol=2e-6)


def test_files_outside_this_machine_are_decoded_through_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = write(lake_at(tmp_path), samples(70))
    x = stacked(TensorReader(lake))
    monkeypatch.setattr("media_assets.serving.files.TensorTable.local_path", lambda *_: None)
    reader = TensorReader(lake)
    assert (reader.n_mapped_files, reader.n_fallback_files) == (0, 1)
    np.testing.assert_array_equal(stacked(reader), x)


def test_torch_is_asked_for_by_name_when_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = TensorReader(write(lake_at(tmp_path), samples(2)))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SetupError, match="pip install torch"):
        next(reader.mini_batches(2)).as_torch()


def test_torch_shares_the_memory(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    batch: MiniBatch = next(TensorReader(write(lake_at(tmp_path), samples(2))).mini_batches(2))
    tensor = batch.as_torch()
    tensor[0, 0, 0, 0] = 123.0
    assert batch.x[0, 0, 0, 0] == 123.0


@pytest.mark.parametrize("is_mapped", [True, False], ids=["mapped", "decoded"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_torch_loader_with_workers_gives_the_readers_mini_batches(
    tmp_path: Path, method: str, is_mapped: bool
) -> None:
    data = pytest.importorskip("torch.utils.data")
    lake = write(lake_at(tmp_path), samples(70) + samples(20, SMALL, "b.0002"))
    if not is_mapped:
        rewrite_compressed(lake)
    reader = TensorReader(lake, normalization="imagenet")
    assert (reader.n_fallback_files == 0) == is_mapped
    sampler = reader.sampler(16, shuffle=True, seed=3)
    options = {"num_workers": 2, "multiprocessing_context": method, "persistent_workers": True}
    loader = data.DataLoader(reader, batch_size=None, sampler=sampler, **options)
    assert len(loader) == 6
    for epoch in range(2):
        sampler.set_epoch(epoch)
        pairs = list(zip(sampler, loader, strict=True))  # read before this process has opened a single value
        expected = list(
            TensorReader(lake, normalization="imagenet").mini_batches(16, shuffle=True, seed=3, epoch=epoch)
        )
        for (numbers, x), batch in zip(pairs, expected, strict=True):
            np.testing.assert_array_equal(numbers, batch.numbers)
            np.testing.assert_array_equal(x.numpy(), batch.x)


def test_a_reader_is_a_torch_dataset_of_single_samples(tmp_path: Path) -> None:
    data = pytest.importorskip("torch.utils.data")
    reader = TensorReader(write(lake_at(tmp_path), samples(70)))
    loader = data.DataLoader(reader, batch_size=16, num_workers=2)
    np.testing.assert_array_equal(np.concatenate([x.numpy() for x in loader]), reader[:])
