"""Arrays filled with samples: what lies in the rows, in the layout and type that were asked for.

Not here: how one sample is filled (`placing.py`), which samples and in what order (`tensors.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from media_assets.serving.normalization import Factors
from media_assets.serving.placing import Layout, Output, Place, copy_bytes, laid_out, placer
from media_assets.serving.rows import Numbers, TensorRows


@dataclass(frozen=True)
class Filler:
    """Hands out the samples of some rows as stored * a + b."""

    rows: TensorRows
    factors: tuple[Factors, Factors]
    layout: Layout
    output: Output

    def one(self, number: int) -> npt.NDArray[Any]:
        """One sample, whatever the shapes of the others."""
        shape = self.rows.shape(number)
        sample = np.empty(self._laid_out(shape), self.output)
        value = next(self.rows.values(np.array([number])))
        if (place := self._placer(shape)) is None:
            sample.reshape(-1).view(np.uint8)[...] = value
        else:
            place(sample, value)
        return sample

    def stack(self, numbers: Numbers, into: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """Some samples, in `into` where an array of their number is given.

        Raises:
            ValueError: the rows are of different shapes.
        """
        x = self.empty(len(numbers)) if into is None else into
        values = self.rows.values(numbers)
        if (place := self._place) is None:
            lines = x.reshape(len(x), -1).view(np.uint8)
            for line, value in zip(lines, values, strict=True):
                copy_bytes(line, value)
        else:
            for sample, value in zip(x, values, strict=True):
                place(sample, value)
        return x

    def empty(self, n: int) -> npt.NDArray[Any]:
        """An array for n samples.

        Raises:
            ValueError: the rows are of different shapes.
        """
        return np.empty((n, *self.sample_shape()), self.output)

    def sample_shape(self) -> tuple[int, ...]:
        """The shape that all samples have.

        Raises:
            ValueError: they have several.
        """
        shapes = self.rows.shapes
        if len(set(shapes)) > 1:
            raise ValueError(
                f"Spec {self.rows.form.spec!r} holds samples of {len(set(shapes))} shapes, such as "
                f"{sorted(set(shapes))[:3]}, which do not stack: read them one by one (reader[i]), or use a "
                f"spec with a fixed size."
            )
        return self._laid_out(shapes[0])

    def require_output(self) -> None:
        """Refuse raw uint8 values of a spec that stores floats.

        Raises:
            ValueError: it does.
        """
        _ = self._place

    @cached_property
    def _place(self) -> Place | None:
        """How a sample of the first shape is filled."""
        return self._placer(self.rows.shapes[0])

    def _placer(self, shape: tuple[int, ...]) -> Place | None:
        return placer(replace(self.rows.form, shape=shape), self.factors, self.layout, self.output)

    def _laid_out(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return laid_out(shape, self.rows.form.layout, self.layout)
