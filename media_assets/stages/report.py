"""What a run over one batch has to tell: counts, rates, findings, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from media_assets.media.contact_sheet import Cell
from media_assets.stages.audit import Finding


@dataclass(frozen=True)
class StageReport:
    """What one stage did with a batch."""

    table: str
    n_entered: int
    n_rows: int
    counts: Mapping[str, int]  # by status
    codes: Mapping[str, int]  # failures by error code
    n_bytes: int  # of media, frames kept apart from their raw file, or tensors


@dataclass(frozen=True)
class BatchReport:
    """What a run did with a batch."""

    batch_id: str
    stages: Mapping[str, StageReport]  # by table path
    findings: tuple[Finding, ...]
    n_read: int
    n_downloaded: int
    n_downloaded_bytes: int
    seconds: float
    decode_cpu_seconds: float
    n_damaged_blobs: int  # kept blobs that were no longer what was kept: fetched again, or the item failed
    cells: tuple[Cell, ...] = field(default=(), repr=False)  # the contact sheet's pictures
    cells_of_stills: tuple[Cell, ...] = field(default=(), repr=False)  # the same of `frames/keyframes`
    brightness: tuple[int, ...] = ()  # a sample of the tensors made, counted in `curation.profile.BRIGHTNESS_BINS`

    @property
    def images_per_s(self) -> float:
        """Items read per second of wall clock."""
        return self.n_read / self.seconds if self.seconds > 0 else 0.0
