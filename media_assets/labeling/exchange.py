"""Every project that is on, one after the other: pushed, or pulled, reopened where disputed and compared where wanted.

What one project fails at does not keep the others from theirs. Which batches the graph has to be told of is kept in the
lake until it was told, whatever fails or dies in between.

Not here: one project (`sync.py`), or who calls for it (the command line and the graph do).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from media_assets.labeling.history import keep_told, untold
from media_assets.labeling.label_studio.client import LabelStudio
from media_assets.labeling.project_files import LabelProject
from media_assets.labeling.shown_media import ShownMedia
from media_assets.labeling.sync import LabelSync, PullReport, PushReport, ReconcileReport, ReopenReport
from media_assets.lake.delta import Lake, Provenance

ProjectProgress = Callable[[str, int, int | None], None]
"""Told a project's name, how many of its tasks are done, and of how many (None: nobody knows yet)."""


Report = TypeVar("Report")


@dataclass(frozen=True)
class Exchanged(Generic[Report]):
    """What became of each project: its report, or why it failed."""

    reports: dict[str, Report] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)

    def require_all(self) -> None:
        """Raise what the first of the failed projects failed at; nothing, where none did."""
        for name, error in self.failures.items():
            error.add_note(f"project {name}")
            raise error


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

    def push(self, progress: ProjectProgress) -> Exchanged[PushReport]:
        """Push what is due. What was pushed before a project failed is recorded."""
        return self._each(lambda project, sync: sync.push(_of(progress, project)))

    def pull(self, progress: ProjectProgress, *, compare_all: bool = False) -> Exchanged[PulledProject]:
        """Pull answers, ask again where they came to nothing, and with `compare_all` compare both sides as a whole.

        What was pulled before a project failed is kept. Whoever calls it tells the graph what came (`tell`).
        """

        def work(project: LabelProject, sync: LabelSync) -> PulledProject:
            told = _of(progress, project)
            compared = sync.reconcile(told) if compare_all else None
            return PulledProject(sync.pull(told), sync.reopen_disputed(), compared)

        return self._each(work)

    def tell(self, tell: Callable[[str], object]) -> list[str]:
        """Tell which batches have answers that nobody was told of, in this exchange or in one that died; returned too.

        `tell` must have kept each when it returns. A batch is told again where this dies before its end.
        """
        news = untold(self.lake)
        for batch_id in news.batches:
            tell(batch_id)
        keep_told(self.lake, news, self.provenance)
        return list(news.batches)

    def _each(self, work: Callable[[LabelProject, LabelSync], Report]) -> Exchanged[Report]:
        exchanged: Exchanged[Report] = Exchanged()
        for project in self.projects:
            try:
                exchanged.reports[project.name] = work(project, self._sync(project))
            except Exception as error:  # whatever it is, the others have their turn before it is raised
                exchanged.failures[project.name] = error
        return exchanged

    def _sync(self, project: LabelProject) -> LabelSync:
        return LabelSync(self.lake, self.client, project, self.media, self.at, self.provenance)


def _of(progress: ProjectProgress, project: LabelProject) -> Callable[[int, int | None], None]:
    return lambda n_done, n_all: progress(project.name, n_done, n_all)
