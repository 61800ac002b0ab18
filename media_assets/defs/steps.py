"""The steps that make per-batch tables, and what each makes. Not here: what they do (`images.py`, `predictions.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from media_assets.errors import ErrorCode
from media_assets.stages.stage import PREDICTIONS, Stage

READ_STEP = "read_images"
PREDICT_STEP = "predict_frames"

_OF_ITS_FRAME = frozenset({ErrorCode.BLOB_DAMAGED, ErrorCode.STORAGE_FAILED})


def step_of(stage: Stage) -> str:
    """The step that makes a stage's table."""
    return PREDICT_STEP if stage is PREDICTIONS else READ_STEP


def needs_reading(stage: str, error_code: str) -> bool:
    """Whether a dead letter is replayed from its raw file: all but those of which only the models are asked again.

    A frame that is gone or damaged is one that only reading makes anew.
    """
    return stage != PREDICTIONS.name or error_code in _OF_ITS_FRAME


def run_config(by_step: Mapping[str, Mapping[str, Any]], steps: Iterable[str]) -> dict[str, Any]:
    """The configuration of a run of these steps: Dagster refuses that of a step which is not in it."""
    return {"ops": {step: {"config": dict(by_step[step])} for step in steps if by_step.get(step)}}
