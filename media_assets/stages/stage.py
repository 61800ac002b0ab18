"""The stages of the path: their names, tables and code versions, and which comes after which."""

from __future__ import annotations

from dataclasses import dataclass

from media_assets.tables import (
    FRAMES_IMAGES,
    FRAMES_KEYFRAMES,
    PREDICTIONS_FRAMES,
    RAW_MEDIA,
    TENSORS_IMAGES,
    TableContract,
)


@dataclass(frozen=True)
class Stage:
    """One step of the path. Its name in `ingest/item_status` is its table's name in SQL."""

    contract: TableContract
    code_version: str  # raised whenever the same input may give another output
    after: Stage | None = None  # whose items enter it; None: all of the manifest

    @property
    def name(self) -> str:
        """The value of `stage` in `ingest/item_status`."""
        return self.contract.name

    @property
    def line(self) -> tuple[Stage, ...]:
        """The stages that an item passes to come here, the first one first, this one last."""
        return (self,) if self.after is None else (*self.after.line, self)


# 2: damaged pixels of PNGs and missing strips of TIFFs are refused; 3: no queries of URLs in raw/media; 4: videos
RAW = Stage(RAW_MEDIA, code_version="4")
FRAMES = Stage(FRAMES_IMAGES, code_version="1", after=RAW)
TENSORS = Stage(TENSORS_IMAGES, code_version="1", after=FRAMES)
KEYFRAMES = Stage(FRAMES_KEYFRAMES, code_version="1", after=RAW)

IMAGE_STAGES: tuple[Stage, ...] = (RAW, FRAMES, TENSORS, KEYFRAMES)
"""In the order of their commits. Pictures go on from `raw/media` to frames and tensors, videos to keyframes."""

# 2: a single logit is a yes or no; after KEYFRAMES as well
PREDICTIONS = Stage(PREDICTIONS_FRAMES, code_version="2", after=FRAMES)

STAGES: tuple[Stage, ...] = (*IMAGE_STAGES, PREDICTIONS)
"""Every stage: those that one reading of the batch makes, then what models say. Nothing enters without a model."""


def stage_named(name: str) -> Stage:
    """The stage with this name; `raw/media` and `raw.media` are both understood.

    Raises:
        KeyError: there is no such stage.
    """
    wanted = name.replace("/", ".")
    for stage in STAGES:
        if stage.name == wanted:
            return stage
    raise KeyError(f"Expected a stage of {[stage.name for stage in STAGES]}, got {name!r}.")
