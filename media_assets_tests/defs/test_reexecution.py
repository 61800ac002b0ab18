"""Re-execution of a run over several batches, as the UI offers it: all of it, or from its failure."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from media_assets.defs.graph import build_defs
from media_assets.defs.resources import Settings
from media_assets.defs.runs import Launcher
from media_assets.tables import ITEM_STATUS
from media_assets_tests.shelf import Shelf

FROM_FAILURE = "dagster/is_resume_retry"  # what the UI and Dagster's own retries of runs set


def job() -> dg.JobDefinition:
    """The graph of this environment, in one process."""
    graph = build_defs()
    every = dg.define_asset_job("every_asset", dg.AssetSelection.all())  # the nameless job cannot be reconstructed
    defs = dg.Definitions(graph.assets, jobs=[every], resources=graph.resources, executor=dg.in_process_executor)
    return defs.resolve_job_def("every_asset")


@pytest.fixture
def reexecute(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, bool], str]:
    """Re-executes a run, all of it or from its failure; the new run's id."""
    monkeypatch.setattr("dagster.RetryPolicy.calculate_delay", lambda self, attempt: 0.0)
    monkeypatch.setenv("MEDIA_ASSETS_LAKE", settings.lake)
    monkeypatch.setenv("MEDIA_ASSETS_WORKERS", "0")
    monkeypatch.setenv("MEDIA_ASSETS_TENSOR_SPECS", settings.tensor_specs)
    monkeypatch.setenv("MEDIA_ASSETS_ALLOWED_NETWORKS", settings.allowed_networks)

    def start(run_id: str, from_failure: bool) -> str:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        tags = {name: value for name, value in run.tags.items() if "partition_range" in name}
        options = dg.ReexecutionOptions(run_id)
        if from_failure:
            options, tags = dg.ReexecutionOptions.from_failure(run_id, instance), tags | {FROM_FAILURE: "true"}
        done = dg.execute_job(
            dg.reconstructable(job), instance, run_config=run.run_config, tags=tags, reexecution_options=options
        )
        assert done.success
        return done.run_id

    return start


def done_by(settings: Settings) -> dict[str, str]:
    """Batch → the run that committed its statuses."""
    rows = settings.open_lake().scan(ITEM_STATUS).select("batch_id", "run_id").unique().collect()
    return dict(rows.iter_rows())


@pytest.mark.slow
def test_all_of_a_run_is_done_again_when_it_is_reexecuted(
    launcher: Launcher, plan_four: Callable[[], list[str]], settings: Settings, reexecute: Callable[[str, bool], str]
) -> None:
    batch_ids = plan_four()[:2]
    (first,) = launcher.materialize(batch_ids)
    again = reexecute(first.run_id, False)
    assert done_by(settings) == dict.fromkeys(batch_ids, again)
    once_more = reexecute(again, False)
    assert done_by(settings) == dict.fromkeys(batch_ids, once_more)


@pytest.mark.slow
def test_only_what_failed_is_done_again_when_a_run_is_reexecuted_from_its_failure(
    launcher: Launcher,
    plan_four: Callable[[], list[str]],
    settings: Settings,
    reexecute: Callable[[str, bool], str],
    shelf: Shelf,
) -> None:
    batch_ids = plan_four()
    shelf.statuses = {f"2-{i}.jpg": 503 for i in range(3)}
    (first,) = launcher.materialize(batch_ids)
    assert not first.success
    shelf.statuses = {}
    again = reexecute(first.run_id, True)
    assert done_by(settings) == dict.fromkeys(batch_ids, first.run_id) | {batch_ids[2]: again}
