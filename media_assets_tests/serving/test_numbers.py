"""An index means what it means to numpy, or is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets.serving.numbers import numbers_of, single_number

N = 7
_ENDS = st.none() | st.integers(-9, 9)
_SLICES = st.builds(slice, _ENDS, _ENDS, st.none() | st.integers(-3, 3).filter(bool))
_NUMBERS = st.lists(st.integers(-N, N - 1), max_size=9)
_MASKS = st.lists(st.booleans(), min_size=N, max_size=N)


@given(key=_SLICES | _NUMBERS | _NUMBERS.map(lambda each: np.array(each, np.int8)) | _MASKS | _MASKS.map(np.array))
def test_numbers_are_those_that_numpy_takes(key: Any) -> None:
    wanted = np.arange(N)[np.array(key, int) if isinstance(key, list) and not key else key]
    found = numbers_of(key, N)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, wanted)


@given(number=st.integers(-30, 30))
def test_a_single_number_is_that_which_numpy_takes(number: int) -> None:
    if -N <= number < N:
        assert single_number(number, N) == single_number(np.array(number), N) == range(N)[number]
    else:
        for kind in (int, np.int64):
            with pytest.raises(IndexError, match=f"below 7, got {number}"):
                single_number(kind(number), N)


@pytest.mark.parametrize(
    "key",
    ["x", [0.5], [[1, 2]], [True], np.ones(8, bool), [7], [-8], np.array([2**63], np.uint64), None, (1, [2])],
)
def test_what_is_no_index_is_refused(key: Any) -> None:
    assert single_number(key, N) is None
    with pytest.raises(IndexError, match="Expected"):
        numbers_of(key, N)


@pytest.mark.parametrize("key", [True, np.False_])
def test_a_truth_value_is_no_number(key: Any) -> None:
    with pytest.raises(IndexError, match="mask of 7"):
        single_number(key, N)
