"""What a training loop is handed: some samples and where they come from."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from media_assets.errors import SetupError
from media_assets.serving.numbers import Numbers


@dataclass(frozen=True)
class MiniBatch:
    """Some samples: `x[i]` is sample `numbers[i]`, frame `frame_ids[i]` of ingest batch `batch_ids[i]`.

    `x` has the reader's type and shape (n, 3, h, w) for `nchw`, (n, h, w, 3) for `nhwc`; channels R, G, B.
    """

    numbers: Numbers
    frame_ids: npt.NDArray[np.str_]
    batch_ids: npt.NDArray[np.str_]
    x: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.numbers)

    def as_torch(self) -> Any:
        """`x` as a torch tensor on the same memory.

        Raises:
            SetupError: torch is not installed.
        """
        try:
            torch = importlib.import_module("torch")
        except ImportError as error:
            raise SetupError("as_torch() needs torch, which is not installed: pip install torch, or use x.") from error
        return torch.from_numpy(self.x)
