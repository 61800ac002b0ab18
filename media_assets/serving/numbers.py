"""The numbers that an index means, in memory for those numbers alone: a set may hold millions of samples."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.int64]
Index: TypeAlias = slice | Sequence[int] | npt.NDArray[Any]


def single_number(key: object, n: int) -> int | None:
    """The number below `n` that one whole number means, counted from the end if negative; None for any other index.

    Raises:
        IndexError: it is outside.
    """
    if isinstance(key, (bool, np.bool_)):
        raise IndexError(f"Expected a number, a slice, numbers or a mask of {n} booleans, got {key}.")
    try:
        number = operator.index(key)  # type: ignore[arg-type]
    except TypeError:
        return None
    if not -n <= number < n:
        raise IndexError(f"Expected a number below {n}, got {number}.")
    return number % n


def numbers_of(key: Index, n: int) -> Numbers:
    """The numbers below `n` that a slice, an array of numbers or a mask of `n` booleans means, shape (m,).

    Raises:
        IndexError: one is outside, or the index is none of these.
    """
    if isinstance(key, slice):
        return np.arange(*key.indices(n), dtype=np.int64)
    try:
        array = np.asarray(key)
    except ValueError:  # ragged
        array = np.empty((), object)
    if array.dtype == np.bool_ and array.shape == (n,):
        return np.flatnonzero(array)
    if array.size == 0 and array.ndim == 1:
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise IndexError(
            f"Expected a slice, numbers or a mask of {n} booleans, got {array.dtype} of shape {array.shape}."
        )
    if len(outside := array[(array >= n) | (array < -n)]):
        raise IndexError(f"Expected numbers below {n}, got {outside[0]} ({len(outside)} outside).")
    numbers = array.astype(np.int64)
    numbers[numbers < 0] += n
    return numbers
