"""The stages of the image path: their names, tables and code versions."""

from __future__ import annotations

from dataclasses import dataclass

from media_assets.tables import FRAMES_IMAGES, RAW_MEDIA, TENSORS_IMAGES, TableContract


@dataclass(frozen=True)
class Stage:
    """One step of the path. Its name in `ingest/item_status` is its table's name in SQL."""

    contract: TableContract
    code_version: str  # raised whenever the same input may give another output

    @property
    def name(self) -> str:
        """The value of `stage` in `ingest/item_status`."""
        return self.contract.name


# 2: damaged pixels of PNGs and missing strips of TIFFs are refused; 3: no queries of URLs in raw/media; 4: videos
RAW = Stage(RAW_MEDIA, code_version="4")
FRAMES = Stage(FRAMES_IMAGES, code_version="1")
TENSORS = Stage(TENSORS_IMAGES, code_version="1")

IMAGE_STAGES: tuple[Stage, ...] = (RAW, FRAMES, TENSORS)
"""In the order of the data's path, which is also the order of their commits."""


def stage_named(name: str) -> Stage:
    """The stage with this name; `raw/media` and `raw.media` are both understood.

    Raises:
        KeyError: there is no such stage.
    """
    wanted = name.replace("/", ".")
    for stage in IMAGE_STAGES:
        if stage.name == wanted:
            return stage
    raise KeyError(f"Expected a stage of {[stage.name for stage in IMAGE_STAGES]}, got {name!r}.")
