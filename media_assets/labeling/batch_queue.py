"""A batch into the queues of its projects: erased items withdrawn, stills looked at once, the best queued.

Not here: choosing (`curation/priorities.py`), or what keeps a task from being there twice (`queue.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from media_assets.engine.map_items import Engine
from media_assets.labeling.candidates import Looks, frames_of, look_at, videos_of, with_hashes
from media_assets.labeling.project_files import LabelProject, require_valid
from media_assets.labeling.queue import Enqueued, enqueue, withdraw_erased
from media_assets.labeling.settling import forget_withdrawn
from media_assets.lake.blobs import BlobStore
from media_assets.lake.delta import Lake, Provenance


@dataclass(frozen=True)
class BatchQueued:
    """What became of a batch: counts by project, keys of tasks withdrawn now, and what its stills look like."""

    by_project: Mapping[str, Enqueued]
    withdrawn: Sequence[str]
    looks: Looks = field(default_factory=Looks)


def queue_batch(
    lake: Lake,
    blobs: BlobStore,
    engine: Engine,
    projects: Sequence[LabelProject],
    batch_id: str,
    at: datetime,
    provenance: Provenance,
) -> BatchQueued:
    """Queue a batch for these projects. Run again it changes nothing, unless the batch or its predictions did.

    Raises:
        SetupError: a project has no valid configuration; nothing is queued.
        StoreFailed: none of the stills could be opened.
    """
    for project in projects:
        require_valid(project)
    withdrawn = withdraw_erased(lake, batch_id, at, provenance)
    forget_withdrawn(lake, batch_id, provenance)
    subjects: dict[str, pl.DataFrame] = {}
    looks = Looks()
    if any(project.subject == "frame" for project in projects):
        frames = frames_of(lake, batch_id)
        looks = look_at(frames, blobs, engine)
        subjects["frame"] = with_hashes(frames, looks)
    if any(project.subject == "video" for project in projects):
        subjects["video"] = videos_of(lake, batch_id)
    by_project = {
        project.name: enqueue(lake, project, batch_id, subjects[project.subject], at, provenance)
        for project in projects
    }
    return BatchQueued(by_project, withdrawn, looks)
