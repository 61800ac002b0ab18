"""Statistics of stored tensors: exact, over every layout, in one pass."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from media_assets.errors import ContractBroken, NotMaterialized
from media_assets.media.tensors import TensorSpec
from media_assets.serving import counts
from media_assets.serving.statistics import measure_statistics
from media_assets.tables import TENSORS_IMAGES, TENSORS_STATISTICS
from media_assets_tests.serving.tensor_lakes import PROVENANCE, SMALL, Sample, lake_at, respecified, samples, write
from media_assets_tests.serving.test_tensors import compacted, rewrite_compressed


def expected_rows(rows: list[Sample]) -> list[dict[str, object]]:
    """By numpy, over all pixels at once."""
    pixels = np.concatenate([sample.picture.reshape(-1, 3) for sample in rows])
    unit = pixels / 255
    return [
        {
            "spec": rows[0].spec.name,
            "channel": channel,
            "n_tensors": len(rows),
            "n_values": len(pixels),
            "mean": pytest.approx(unit[:, channel].mean(), abs=1e-12),
            "std": pytest.approx(unit[:, channel].std(), abs=1e-12),
            "histogram": np.bincount(pixels[:, channel], minlength=256).tolist(),
        }
        for channel in range(3)
    ]


@pytest.mark.parametrize("layout", ["hwc", "chw"])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_statistics_are_exact_for_every_stored_form(tmp_path: Path, dtype: str, layout: str) -> None:
    spec = TensorSpec(size=(6, 8), resize_shorter_px=8, dtype=dtype, layout=layout)
    rows = samples(100, spec) + samples(30, spec, "b.0002", seed=1)
    lake = write(lake_at(tmp_path), rows)
    measured = measure_statistics(lake)
    assert measured.to_dicts() == expected_rows(rows)
    TENSORS_STATISTICS.require(measured)
    rewrite_compressed(lake)
    assert measure_statistics(lake).equals(measured)


def test_every_spec_is_measured_and_compaction_changes_nothing(tmp_path: Path) -> None:
    pictures = samples(20) + samples(20, SMALL, "b.0002", seed=1)
    floats = respecified(pictures, dtype="float32")
    odd = samples(6, TensorSpec(fit="shorter_side", resize_shorter_px=6), sizes=[(6, 8), (9, 6)])
    lake = write(lake_at(tmp_path), pictures + floats + odd)
    expected = sorted(
        expected_rows(pictures) + expected_rows(floats) + expected_rows(odd),
        key=lambda row: (str(row["spec"]), row["channel"]),
    )
    measured = measure_statistics(lake)
    assert measured.to_dicts() == expected
    assert measure_statistics(compacted(lake)).equals(measured)


def test_batches_and_versions_narrow_the_measurement(tmp_path: Path) -> None:
    first = samples(9)
    lake = write(lake_at(tmp_path), first + samples(5, SMALL, "b.0002", seed=1))
    version = lake.table(TENSORS_IMAGES).version()
    assert measure_statistics(lake, ["b.0001"]).to_dicts() == expected_rows(first)
    write(lake, samples(2, seed=7))
    assert measure_statistics(str(tmp_path), ["b.0001"], version=version).to_dicts() == expected_rows(first)


def test_an_empty_table_has_no_statistics_and_a_missing_one_is_named(tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    with pytest.raises(NotMaterialized, match="tensors/images"):
        measure_statistics(lake)
    lake.ensure(TENSORS_IMAGES)
    measured = measure_statistics(lake)
    assert measured.height == 0
    assert measured.schema == TENSORS_STATISTICS.schema


def test_floats_without_a_preset_need_their_normalization(tmp_path: Path) -> None:
    spec = TensorSpec(size=(6, 8), resize_shorter_px=8, dtype="float32", mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    rows = samples(9, spec)
    lake = write(lake_at(tmp_path), rows)
    with pytest.raises(ValueError, match=spec.name):
        measure_statistics(lake)
    measured = measure_statistics(lake, normalizations={spec.name: (spec.mean, spec.std)})
    assert measured.to_dicts() == expected_rows(rows)
    with pytest.raises(ContractBroken, match=r"in 0\.\.1"):
        measure_statistics(lake, normalizations={spec.name: ((0.9,) * 3, (9.0,) * 3)})


def test_one_spec_stored_in_two_ways_is_refused(tmp_path: Path) -> None:
    lake = write(lake_at(tmp_path), samples(3))
    row = {**samples(1, SMALL, "b.0002")[0].row, "scale": 1.0}
    lake.overwrite(TENSORS_IMAGES, TENSORS_IMAGES.frame([row]), {"batch_id": ["b.0002"]}, PROVENANCE)
    with pytest.raises(ContractBroken, match="2 ways"):
        measure_statistics(lake)


def test_no_thread_goes_on_when_one_file_is_at_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "n_usable_cores", lambda: 3)
    batches = [samples(200, SMALL, f"b.{number:04d}", seed=number) for number in range(6)]
    lake = write(lake_at(tmp_path), [sample for members in batches for sample in members])
    assert measure_statistics(lake).to_dicts() == expected_rows([sample for members in batches for sample in members])
    row = {**batches[0][0].row, "tensor": b"short"}
    lake.overwrite(TENSORS_IMAGES, TENSORS_IMAGES.frame([row]), {"batch_id": ["b.0000"]}, PROVENANCE)
    with pytest.raises(ContractBroken, match="144 bytes"):
        measure_statistics(lake)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("media-assets-counts")] == []
