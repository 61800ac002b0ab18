"""What stands in the reader's brackets means what it means to numpy, at the cost of what is asked for."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets.serving.rows import TensorRows
from media_assets.serving.selecting import selected
from media_assets.serving.tensors import TensorReader
from media_assets_tests.serving.tensor_lakes import lake_at, samples, write

_SMALL_INTEGERS = st.integers(-14, 14)
_TYPES = st.sampled_from(["int8", "int32", "int64", "uint8", "uint64"])


def _as_array(numbers: list[int], kind: str) -> Any:
    return np.array([abs(number) for number in numbers] if kind.startswith("u") else numbers, kind)


KEYS: st.SearchStrategy[Any] = st.one_of(
    _SMALL_INTEGERS,
    _SMALL_INTEGERS.map(np.int32),
    _SMALL_INTEGERS.map(np.array),
    st.slices(12),
    st.builds(slice, st.none() | _SMALL_INTEGERS, st.none() | _SMALL_INTEGERS, st.sampled_from([None, 1, -1, 3, -5])),
    st.lists(_SMALL_INTEGERS, max_size=6),
    st.builds(_as_array, st.lists(_SMALL_INTEGERS, max_size=6), _TYPES),
    st.lists(st.booleans(), min_size=1, max_size=12),
    st.lists(st.booleans(), min_size=1, max_size=12).map(np.array),  # numpy takes an empty mask for one sample
    st.just(np.array([2**63 + 1, 0], np.uint64)),
    st.just(np.array([0.0])),
    st.just(1.5),
)


@given(KEYS, st.integers(0, 12))
def test_the_same_numbers_as_numpy(key: Any, n_samples: int) -> None:
    try:
        expected = np.arange(n_samples)[key]
    except (IndexError, OverflowError):
        with pytest.raises(IndexError, match=r"Expected .*got"):
            selected(key, n_samples)
        return
    found = selected(key, n_samples)
    assert isinstance(found, int) == (np.ndim(expected) == 0)
    assert np.asarray(found).dtype == np.int64
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("key", [True, np.True_, None, "a", ["a"], [[0, 1]], np.zeros((2, 2), int), 1.0])
def test_what_is_no_number_is_refused(key: Any) -> None:
    with pytest.raises(IndexError, match=r"Expected .*got"):
        selected(key, 4)


def test_a_read_costs_what_is_asked_for_and_not_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = TensorReader(write(lake_at(tmp_path), samples(20)))
    x = reader[:]
    n_samples = 10_000_000
    monkeypatch.setattr(TensorRows, "__len__", lambda _: n_samples)
    tracemalloc.start()
    try:
        np.testing.assert_array_equal(reader[3], x[3])
        np.testing.assert_array_equal(reader[4:9:2], x[4:9:2])
        np.testing.assert_array_equal(reader[[7, 0, 3 - n_samples]], x[[7, 0, 3]])
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
