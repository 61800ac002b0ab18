"""The same pixels stored three ways, for reading them: the tensor table of a lake, one raw array, WebDataset shards."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.location import LakeLocation
from media_assets.lake.parts import PartWriter
from media_assets.media.tensors import TensorSpec
from media_assets.stages.rows import tensor_row
from media_assets.tables import TENSORS_IMAGES

SHAPE = (224, 224, 3)
_ROWS_A_BATCH, _ROWS_A_SHARD = 2_000, 1_000
_FORMAT = 1


@dataclass(frozen=True)
class ReadingSet:
    """`n` tensors of the default TensorSpec."""

    root: Path
    n: int

    @property
    def lake(self) -> Lake:
        """The lake whose `tensors/images` holds them, in ingest batches of 2,000."""
        return Lake(LakeLocation(str(self.root / "lake")))

    @property
    def raw(self) -> Path:
        """One array of shape (n, 224, 224, 3), in the order of the reader's numbers."""
        return self.root / "raw.npy"

    @property
    def shards(self) -> str:
        """WebDataset's name for its shards of raw uint8 values."""
        return str(self.root / "shards" / f"{{000..{-(-self.n // _ROWS_A_SHARD) - 1:03d}}}.tar")


def reading_set(folder: Path, n: int) -> ReadingSet:
    """The set below a folder, written on first use. Pixels are noise: a copy does not care."""
    made, marker = ReadingSet(folder / f"tensors-{n}", n), folder / f"tensors-{n}" / "complete.json"
    if not marker.is_file() or json.loads(marker.read_text("utf-8")) != {"format": _FORMAT}:
        print(f"writing {n} tensors three times", flush=True)
        shutil.rmtree(made.root, ignore_errors=True)
        (made.root / "shards").mkdir(parents=True)
        _write(made)
        marker.write_text(json.dumps({"format": _FORMAT}), "utf-8")
    return made


def _write(made: ReadingSet) -> None:
    raw = np.lib.format.open_memmap(made.raw, "w+", np.uint8, (made.n, *SHAPE))
    for first in range(0, made.n, _ROWS_A_BATCH):
        numbers = range(first, min(first + _ROWS_A_BATCH, made.n))
        batch_id = f"reading.{first // _ROWS_A_BATCH:04d}"
        ids = sorted(hashlib.md5(str(i).encode(), usedforsecurity=False).hexdigest() for i in numbers)
        _write_batch(made, raw, batch_id, list(zip(numbers, ids, strict=True)))
    for first in range(0, made.n, _ROWS_A_SHARD):
        _write_shard(made.root / "shards" / f"{first // _ROWS_A_SHARD:03d}.tar", raw, first)
    raw.flush()


def _write_batch(made: ReadingSet, raw: NDArray[np.uint8], batch_id: str, rows: list[tuple[int, str]]) -> None:
    spec, rng = TensorSpec(), np.random.default_rng([rows[0][0], 0x5E7])
    with PartWriter(made.lake, TENSORS_IMAGES, batch_id, "tensor") as writer:
        for number, frame_id in rows:
            raw[number] = rng.integers(0, 256, SHAPE, np.uint8)
            data = raw[number].tobytes()
            writer.append(spec.name, tensor_row(batch_id, frame_id, spec, SHAPE, data))
        writer.commit(Provenance("benchmark", "benchmark"))


def _write_shard(path: Path, raw: NDArray[np.uint8], first: int) -> None:
    with tarfile.open(path, "w") as file:
        for number, pixels in enumerate(raw[first : first + _ROWS_A_SHARD], first):
            entry = tarfile.TarInfo(f"{number:08d}.u8")
            entry.size = pixels.nbytes
            file.addfile(entry, io.BytesIO(pixels.tobytes()))
