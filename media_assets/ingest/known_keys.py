"""Which item keys are planned already, in 16 bytes each.

A set of Python strings costs about 120 bytes a key, more than a gigabyte for the nine million Open Images.
Kept here is a 128-bit BLAKE2b digest per key, in sorted numpy arrays: 16 bytes a key (28 MB for the 1.7
million training images), and twice that for a moment while arrays are merged. Two keys among ten million
share a digest with probability 1e-25, far below that of a memory error, so that a hit needs no second look at
the text.

Not here: where known keys come from (`planning.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

N_DIGEST_BYTES = 16
_DTYPE = np.dtype(f"S{N_DIGEST_BYTES}")  # numpy drops trailing zeros on reading only; comparison is over all bytes
_N_MERGE_RATIO = 4

Digests: TypeAlias = npt.NDArray[np.bytes_]


def digests_of(keys: Iterable[str]) -> Digests:
    """The digest of each key, in order. Shape (n,), dtype S16."""
    joined = b"".join(blake2b(key.encode(), digest_size=N_DIGEST_BYTES).digest() for key in keys)
    return np.frombuffer(joined, dtype=_DTYPE)


def first_seen(digests: Digests) -> npt.NDArray[np.bool_]:
    """Whether each digest is the first of its value in this array."""
    is_first = np.zeros(len(digests), dtype=np.bool_)
    is_first[np.unique(digests, return_index=True)[1]] = True
    return is_first


class KnownKeys:
    """A growing set of digests: a few sorted arrays, merged when they become many of like size."""

    def __init__(self) -> None:
        self._runs: list[Digests] = []

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def add(self, digests: Digests) -> None:
        """Add digests (those already present may be given again)."""
        if not len(digests):
            return
        self._runs.append(np.unique(digests))
        while len(self._runs) > 1 and len(self._runs[-2]) <= _N_MERGE_RATIO * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.union1d(self._runs[-1], last)

    def contains(self, digests: Digests) -> npt.NDArray[np.bool_]:
        """Whether each digest was added. Shape (n,)."""
        is_known = np.zeros(len(digests), dtype=np.bool_)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, digests), len(run) - 1)
            is_known |= run[at] == digests
        return is_known
