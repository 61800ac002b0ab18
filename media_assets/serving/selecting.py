"""Which samples are meant by what stands in the brackets of `reader[...]`: numpy's rules for one axis.

What it costs depends on how many are asked for, never on how many there are. Not here: reading them (`filling.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from media_assets.serving.rows import Numbers

Key = SupportsIndex | slice | Sequence[int] | Sequence[bool] | npt.NDArray[Any]
"""A number, a slice, some numbers in any order, or a mask; negative numbers count from the end."""


def selected(key: Key, n_samples: int) -> int | Numbers:
    """The number that is meant, or the numbers in their order; each from 0 to n_samples - 1.

    Raises:
        IndexError: a number outside of the samples, a mask of another length, or anything else.
    """
    if isinstance(key, slice):
        return np.arange(*key.indices(n_samples), dtype=np.int64)
    if not isinstance(key, (np.ndarray, Sequence)):
        return _single(key, n_samples)
    keys = np.asarray(key)
    if keys.ndim == 0 and keys.dtype.kind in "iu":
        return _single(keys, n_samples)
    if not keys.size and not isinstance(key, np.ndarray):
        keys = keys.astype(np.int64)  # of an empty list numpy makes floats
    if keys.ndim != 1 or keys.dtype.kind not in "iub":
        raise IndexError(
            f"Expected a number, a slice, or one dimension of whole numbers or of a mask, got {keys.dtype} of shape "
            f"{keys.shape}."
        )
    return _masked(keys, n_samples) if keys.dtype.kind == "b" else _several(keys, n_samples)


def _single(key: Any, n_samples: int) -> int:
    try:
        if isinstance(key, (bool, np.bool_)):
            raise TypeError
        number = index(key)
    except TypeError:
        raise IndexError(f"Expected a number, a slice, an array of numbers or a mask, got {key!r}.") from None
    if not -n_samples <= number < n_samples:
        raise _outside(number, n_samples)
    return number % n_samples


def _several(keys: npt.NDArray[Any], n_samples: int) -> Numbers:
    if not len(keys):
        return keys.astype(np.int64)
    # as Python's numbers, which hold both a negative one and the largest of uint64
    for extreme in (int(keys.min()), int(keys.max())):
        if not -n_samples <= extreme < n_samples:
            raise _outside(extreme, n_samples)
    numbers: Numbers = keys.astype(np.int64)
    numbers[numbers < 0] += n_samples
    return numbers


def _masked(keys: npt.NDArray[Any], n_samples: int) -> Numbers:
    if len(keys) != n_samples:
        raise IndexError(f"Expected a mask of {n_samples} samples, got one of {len(keys)}.")
    numbers: Numbers = np.flatnonzero(keys).astype(np.int64)
    return numbers


def _outside(number: int, n_samples: int) -> IndexError:
    return IndexError(f"Expected numbers from {-n_samples} to {n_samples - 1}, got {number}.")
