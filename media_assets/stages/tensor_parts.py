"""The tensors of one batch on their way into the table: which rows were written, and which are still owed.

Not here: the files themselves (`lake/parts.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from media_assets.errors import ContractBroken
from media_assets.lake.delta import Lake
from media_assets.lake.parts import PartWriter
from media_assets.stages.audit import Finding
from media_assets.tables import TENSORS_IMAGES


@dataclass
class TensorParts:
    """A part writer that remembers the keys of its rows."""

    writer: PartWriter
    n_bytes: int = 0
    _per_frame: Counter[str] = field(default_factory=Counter)
    _keys: set[tuple[str, str]] = field(default_factory=set)
    _violation: str | None = None

    @property
    def n_rows_in_all(self) -> int:
        """Rows written and not dropped."""
        return self._per_frame.total()

    def n_rows(self, frame_id: str) -> int:
        """Rows of one frame."""
        return self._per_frame[frame_id]

    def append(self, row: dict[str, Any]) -> None:
        """Write one row; a broken contract is remembered for the audit instead of raised half-way.

        A key that was written already is left out: items with the same bytes and unlike hints for their rotation are
        opened each by itself, and may turn out to be the same frame.
        """
        key = (row["frame_id"], row["spec"])
        if key in self._keys:
            return
        try:
            self.writer.append(row["spec"], row)
        except ContractBroken as error:
            self._violation = self._violation or str(error)
        self._per_frame[row["frame_id"]] += 1
        self._keys.add(key)
        self.n_bytes += len(row["tensor"])

    def settle(self, lake: Lake, batch_id: str, expected: set[str], specs: Sequence[str]) -> None:
        """Copy the rows of frames that stay as they are, drop those of frames that turned out to be duplicates."""
        try:
            owed = expected - set(self._per_frame)
            if owed:
                self._copy(lake, batch_id, owed, specs)
            self.writer.finish()
            if unexpected := set(self._per_frame) - expected:
                self.writer.drop("frame_id", unexpected)
                for frame_id in unexpected:
                    del self._per_frame[frame_id]
                self._keys = {key for key in self._keys if key[0] in expected}
        except ContractBroken as error:
            self._violation = self._violation or str(error)

    def finding(self) -> Finding:
        """Whether every row held the contract as it was written. No key comes twice: `append` sees to it."""
        detail: dict[str, object] = {"n_rows": self.n_rows_in_all}
        if self._violation:
            detail["violations"] = [self._violation]
        return Finding(TENSORS_IMAGES.path, "contract_holds", "violations" not in detail, detail)

    def _copy(self, lake: Lake, batch_id: str, frame_ids: set[str], specs: Sequence[str]) -> None:
        stored = lake.scan(TENSORS_IMAGES, {"batch_id": [batch_id]})
        ids = stored.select("frame_id", "spec").collect()
        owed = ids.filter(pl.col("frame_id").is_in(list(frame_ids)) & pl.col("spec").is_in(list(specs)))
        for chunk in owed["frame_id"].unique().sort().to_frame().iter_slices(64):  # bounds the bytes in memory
            wanted = pl.col("frame_id").is_in(chunk["frame_id"].to_list()) & pl.col("spec").is_in(list(specs))
            for row in stored.filter(wanted).collect().iter_rows(named=True):
                self.append(row)
