"""In which order samples are read: the same on every machine, for any number of workers. Not here: reading them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from media_assets.serving.rows import Numbers


@dataclass
class MiniBatchOrder:
    """The numbers of one mini-batch after the other; what a torch `DataLoader` takes as its `sampler`.

    It is drawn in the loader's own process and says what its workers read, so that neither their number nor their speed
    changes anything. Arguments: as `TensorReader.mini_batches`.

    Raises:
        ValueError: a number out of range.
    """

    n_samples: int
    size: int
    shuffle: bool = False
    seed: int = 0
    epoch: int = 0
    drop_last: bool = False
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.size < 1 or not 0 <= self.rank < self.world_size or min(self.seed, self.epoch) < 0:
            raise ValueError(
                f"Expected size >= 1, 0 <= rank < world_size, and seed and epoch >= 0; got size {self.size}, rank "
                f"{self.rank}, world_size {self.world_size}, seed {self.seed}, epoch {self.epoch}."
            )

    def set_epoch(self, epoch: int) -> None:
        """Another epoch, at least 0: another order, where samples are shuffled."""
        if epoch < 0:
            raise ValueError(f"Expected an epoch of at least 0, got {epoch}.")
        self.epoch = epoch

    def __len__(self) -> int:
        n_mine = len(range(self.rank, self._n_used, self.world_size))
        return -(-n_mine // self.size)

    def __iter__(self) -> Iterator[Numbers]:
        numbers = self.numbers()
        for first in range(0, len(numbers), self.size):
            yield numbers[first : first + self.size]

    def numbers(self) -> Numbers:
        """All numbers of this rank, in order."""
        n = self.n_samples
        order = _shuffled(n, self.seed, self.epoch) if self.shuffle else np.arange(n, dtype=np.int64)
        return order[: self._n_used][self.rank :: self.world_size]

    @property
    def _n_used(self) -> int:
        whole = self.size * self.world_size
        return self.n_samples // whole * whole if self.drop_last else self.n_samples


def _shuffled(n: int, seed: int, epoch: int) -> Numbers:
    """A permutation made of raw generator bits, whose stream numpy never changes."""
    bits = np.random.PCG64(np.random.SeedSequence([seed, epoch])).random_raw(n)
    return np.argsort(bits, kind="stable")
