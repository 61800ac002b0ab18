"""Every project that is on, one after the other: pushed, or pulled, reopened where disputed and compared where wanted.

Not here: one project (`sync.py`), or who calls for it (the command line and the graph do).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.project_files import LabelProject
from media_assets.labeling.shown_media import ShownMedia
from media_assets.labeling.sync import LabelSync, PullReport, PushReport, ReconcileReport, ReopenReport
from media_assets.lake.delta import Lake, Provenance

ProjectProgress = Callable[[str, int, int | None], None]
"""Told a project's name, how many of its tasks are done, and of how many (None: nobody knows yet)."""


@dataclass
class PulledProject:
    """What pulling one project came to."""

    pulled: PullReport = field(default_factory=PullReport)
    reopened: ReopenReport = field(default_factory=ReopenReport)
    compared: ReconcileReport | None = None


@dataclass(frozen=True)
class LabelExchange:
    """The projects that are on, between a lake and a Label Studio. `at` is now, with a time zone."""

    lake: Lake
    client: LabelStudio
    projects: Sequence[LabelProject]
    media: ShownMedia
    at: datetime
    provenance: Provenance

    def push(self, progress: ProjectProgress) -> dict[str, PushReport]:
        """Push what is due; project → what came of it.

        Raises:
            LabelStudioFailed: what was pushed before is recorded.
        """
        return {project.name: self._sync(project).push(_of(progress, project)) for project in self.projects}

    def pull(self, progress: ProjectProgress, *, compare_all: bool = False) -> dict[str, PulledProject]:
        """Pull answers, ask again where they came to nothing, and with `compare_all` compare both sides as a whole.

        Raises:
            LabelStudioFailed: what was pulled before is kept.
        """
        found: dict[str, PulledProject] = {}
        for project in self.projects:
            sync, told = self._sync(project), _of(progress, project)
            compared = sync.reconcile(told) if compare_all else None
            found[project.name] = PulledProject(sync.pull(told), sync.reopen_disputed(), compared)
        return found

    def _sync(self, project: LabelProject) -> LabelSync:
        return LabelSync(self.lake, self.client, project, self.media, self.at, self.provenance)


def _of(progress: ProjectProgress, project: LabelProject) -> Callable[[int, int | None], None]:
    return lambda n_done, n_all: progress(project.name, n_done, n_all)
