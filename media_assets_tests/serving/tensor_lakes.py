"""Small lakes of tensors, made in code, for the tests of the readers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.location import LakeLocation
from media_assets.lake.parts import PartWriter
from media_assets.media.tensors import TensorSpec, normalize
from media_assets.tables import TENSORS_IMAGES

PROVENANCE = Provenance("run", "code")
SMALL = TensorSpec(size=(6, 8), resize_shorter_px=8)


@dataclass(frozen=True)
class Sample:
    """One tensor before it is written, and the 8-bit picture that it was made from."""

    batch_id: str
    spec: TensorSpec
    picture: npt.NDArray[np.uint8]
    number: int

    @property
    def frame_id(self) -> str:
        return hashlib.sha256(f"{self.batch_id} {self.number}".encode()).hexdigest()[:32]

    @property
    def stored(self) -> npt.NDArray[Any]:
        """What the row holds, in the spec's type and layout."""
        pixels: npt.NDArray[Any] = self.picture
        if self.spec.dtype != "uint8":
            pixels = normalize(pixels, 1 / 255, self.spec.mean, self.spec.std, "hwc").astype(self.spec.dtype)
        return np.ascontiguousarray(pixels if self.spec.layout == "hwc" else pixels.transpose(2, 0, 1))

    @property
    def row(self) -> dict[str, Any]:
        affine = self.spec.affine
        return {
            "batch_id": self.batch_id,
            "frame_id": self.frame_id,
            "spec": self.spec.name,
            "shape": list(self.stored.shape),
            "layout": self.spec.layout,
            "dtype": self.spec.dtype,
            "scale": affine.scale,
            "mean": list(affine.mean),
            "std": list(affine.std),
            "tensor": self.stored.tobytes(),
        }

    def expected(self, layout: str) -> npt.NDArray[np.float32]:
        """The normalized sample by the reference implementation."""
        affine = self.spec.affine
        x = normalize(self.stored, affine.scale, affine.mean, affine.std, self.spec.layout)
        as_hwc = x if self.spec.layout == "hwc" else x.transpose(1, 2, 0)
        return as_hwc if layout == "nhwc" else as_hwc.transpose(2, 0, 1)


def samples(
    n: int,
    spec: TensorSpec = SMALL,
    batch_id: str = "b.0001",
    sizes: Sequence[tuple[int, int]] | None = None,
    seed: int = 0,
) -> list[Sample]:
    """Samples of random pictures; `sizes` overrides the spec's (height, width) one after the other."""
    rng = np.random.default_rng(seed)
    shapes = sizes or [spec.size]
    pictures = [rng.integers(0, 256, (*shapes[i % len(shapes)], 3), dtype=np.uint8) for i in range(n)]
    return [Sample(batch_id, spec, picture, number) for number, picture in enumerate(pictures)]


def lake_at(folder: Path) -> Lake:
    return Lake(LakeLocation(str(folder)))


def write(lake: Lake, rows: Iterable[Sample]) -> Lake:
    """Replace each batch by its samples, in the order given."""
    batches: dict[str, list[Sample]] = {}
    for sample in rows:
        batches.setdefault(sample.batch_id, []).append(sample)
    for batch_id, members in batches.items():
        with PartWriter(lake, TENSORS_IMAGES, batch_id, "tensor") as writer:
            for sample in members:
                writer.append(sample.spec.name, sample.row)
            writer.commit(PROVENANCE)
    return lake


def in_reader_order(rows: Iterable[Sample]) -> list[Sample]:
    return sorted(rows, key=lambda sample: (sample.batch_id, sample.frame_id))


def respecified(rows: Iterable[Sample], **changes: Any) -> list[Sample]:
    return [replace(sample, spec=_changed(sample.spec, changes)) for sample in rows]


def _changed(spec: TensorSpec, changes: dict[str, Any]) -> TensorSpec:
    fields = {name: getattr(spec, name) for name in spec.__struct_fields__}
    return TensorSpec(**{**fields, **changes})
