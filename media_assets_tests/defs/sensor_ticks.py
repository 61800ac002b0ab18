"""What the daemon does with a tick, in this process: runs what was requested, once for each key, as the sensor's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from media_assets.defs.descriptions import asset_key
from media_assets.defs.graph import build_defs
from media_assets.defs.resources import Settings, WorkbenchResource
from media_assets.stages.stage import IMAGE_STAGES


@dataclass
class Daemon:
    """Ticks one sensor over and over; its cursor outlives a tick, and can be forgotten."""

    instance: dg.DagsterInstance
    settings: Settings
    sensor: dg.SensorDefinition
    cursor: str | None = None
    n_ticks: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.job = build_defs(self.settings).resolve_implicit_global_asset_job_def()
        self.resources = {"workbench": WorkbenchResource.of(self.settings)}

    def tick(self, *, keep_cursor: bool = True) -> list[dg.RunRequest]:
        """What one tick requests."""
        self.n_ticks += 1
        context = dg.build_sensor_context(self.instance, self.cursor, resources=self.resources)
        result: Any = self.sensor(context)
        if keep_cursor:
            self.cursor = context.cursor
        return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []

    def tick_and_run(self) -> list[str]:
        """One tick, and the runs that it asks for; their ids."""
        return [run_id for request in self.tick() if (run_id := self.run(request)) is not None]

    def run(self, request: dg.RunRequest) -> str | None:
        """Run a request, unless its key was used."""
        tags = {"dagster/run_key": str(request.run_key), "dagster/sensor_name": self.sensor.name}
        if self.instance.get_runs_count(dg.RunsFilter(tags=tags)):
            return None
        return self.job.execute_in_process(
            run_config=dict(request.run_config),
            instance=self.instance,
            partition_key=request.partition_key,
            asset_selection=list(request.asset_selection or _EVERY_TABLE),
            tags={**request.tags, **tags},
            raise_on_error=False,
        ).run_id


_EVERY_TABLE = [asset_key(stage.contract) for stage in IMAGE_STAGES]
