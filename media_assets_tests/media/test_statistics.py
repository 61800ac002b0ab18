"""Streaming channel statistics: exact, and the same for any split of the data."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_assets.media.statistics import ChannelStatistics, merge
from media_assets.tables import TENSORS_STATISTICS


def pictures(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 5, 7, 3), dtype=np.uint8)


def counted(batch: np.ndarray, layout: str = "hwc") -> ChannelStatistics:
    statistics = ChannelStatistics()
    statistics.add(batch, layout)
    return statistics


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.lists(st.integers(0, 12), max_size=5), st.randoms())
def test_any_split_in_any_order_gives_identical_rows(n: int, cuts: list[int], random: object) -> None:
    batch = pictures(n)
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    parts = [counted(batch[first:last]) for first, last in pairwise(edges)]
    random.shuffle(parts)  # type: ignore[attr-defined]
    assert reduce(merge, parts).rows("s") == counted(batch).rows("s")


def test_moments_and_histogram_equal_those_of_all_values_at_once() -> None:
    batch = pictures(20)
    statistics = counted(batch)
    unit = batch.reshape(-1, 3) / 255
    assert statistics.mean == pytest.approx(unit.mean(axis=0), abs=1e-14)
    assert statistics.std == pytest.approx(unit.std(axis=0), abs=1e-14)
    for channel in range(3):
        expected = np.bincount(batch[..., channel].ravel(), minlength=256)
        assert statistics.counts[channel].tolist() == expected.tolist()


def test_a_constant_channel_has_no_deviation_at_all() -> None:
    statistics = counted(np.full((3, 4, 4, 3), 77, np.uint8))
    assert statistics.std == (0.0, 0.0, 0.0)
    assert statistics.mean == pytest.approx((77 / 255,) * 3, abs=1e-15)


def test_layouts_single_tensors_and_views_count_alike() -> None:
    batch = pictures(4)
    batch.flags.writeable = False
    expected = counted(batch).rows("s")
    assert counted(batch.transpose(0, 3, 1, 2), "chw").rows("s") == expected
    assert counted(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)), "chw").rows("s") == expected
    one_by_one = ChannelStatistics()
    for tensor in batch:
        one_by_one.add(tensor)
    assert one_by_one.rows("s") == expected


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_made_from_8_bit_pictures_count_as_the_pictures(dtype: type) -> None:
    batch = pictures(6)
    assert counted((batch / 255).astype(dtype)).rows("s") == counted(batch).rows("s")


def test_counts_stay_exact_beyond_what_float32_can_hold() -> None:
    statistics = ChannelStatistics()
    n_values = 4099 * 4101  # odd and above 2**24, so float32 cannot hold it
    statistics.add(np.zeros((4099, 4101, 3), np.uint8))
    assert statistics.counts[:, 0].tolist() == [n_values] * 3
    assert statistics.n_values == n_values


def test_another_scale_changes_values_but_not_levels() -> None:
    batch = pictures(3)
    statistics = ChannelStatistics(scale=2 / 255)
    statistics.add(batch)
    assert statistics.mean == pytest.approx([2 * m for m in counted(batch).mean])
    with pytest.raises(ValueError, match="one scale"):
        merge(statistics, counted(batch))


def test_rows_hold_the_contract() -> None:
    assert ChannelStatistics().rows("s") == []
    rows = counted(pictures(3)).rows("s")
    TENSORS_STATISTICS.require(TENSORS_STATISTICS.frame(rows))
    assert [row["n_tensors"] for row in rows] == [3, 3, 3]


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_floats_outside_the_unit_range_are_refused(value: float) -> None:
    statistics = ChannelStatistics()
    tensor = np.full((2, 2, 3), 0.5, np.float32)
    tensor[1, 1, 2] = value
    with pytest.raises(ValueError, match=r"in 0\.\.1"):
        statistics.add(tensor)
    assert statistics.n_tensors == 0


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (1, 2, 3, 4, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="three channels"):
        ChannelStatistics().add(np.zeros(shape, np.uint8))


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="int32"):
        ChannelStatistics().add(np.zeros((2, 2, 3), np.int32))


def test_moments_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="add tensors first"):
        _ = ChannelStatistics().mean
