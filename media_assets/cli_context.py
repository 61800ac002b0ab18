"""What the commands share: the settings they work with, how runs are started and shown, options that several take.

Not here: the commands (`cli.py`, `cli_plans.py`, `cli_dead_letters.py`), how they end (`cli_failures.py`), how a table
looks (`cli_output.py`).
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import click

from media_assets.cli_output import Output

if TYPE_CHECKING:
    from media_assets.defs.resources import Settings
    from media_assets.defs.runs import Launcher, RunResult
    from media_assets.stages.workbench import Progress

NOTHING_PLANNED = "Nothing is planned yet: media-assets plan …"
MOST_HOURS = 1_000_000  # a century: beyond it, there are no dates

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")


def current_settings() -> Settings:
    """What the environment says."""
    from media_assets.defs.resources import Settings

    return Settings.from_environment()


def usable_settings() -> Settings:
    """The settings, once the lake's store has answered: what cannot be reached is told before any work."""
    settings = current_settings()
    settings.location().storage.require_usable()
    return settings


def checked_settings() -> Settings:
    """The same, for commands that start work: what is wrong with any setting is said before anything begins."""
    settings = usable_settings()
    settings.check()
    return settings


def open_launcher(settings: Settings, progress: Progress) -> Launcher:
    """Starts runs in this process, recorded in the Dagster home of the lake."""
    from media_assets.defs.resources import open_instance
    from media_assets.defs.runs import Launcher

    launcher = Launcher(settings, open_instance(settings), progress)
    gc.set_threshold(50_000, 20, 100)  # all is imported; what the runs leave is to be found sooner
    return launcher


def show_runs(
    settings: Settings,
    results: list[RunResult],
    output: Output,
    nothing: str,
    facts: dict[str, int] | None = None,
) -> None:
    """What became of each batch; ends with exit code 1 when a run failed."""
    from media_assets.defs.runs import batch_results

    rows = batch_results(settings.open_lake(), results)
    shown = (
        rows if output.as_json else [{k: v for k, v in row.items() if k not in ("run_id", "erased")} for row in rows]
    )
    output.table("Batches", shown, nothing, facts)
    if not all(result.success for result in results):
        raise SystemExit(1)
    if n_failed := sum(row["failed"] for row in rows):
        output.say(f"{n_failed} items are dead letters: media-assets dead-letters list")
