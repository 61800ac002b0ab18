"""`media-assets labels …`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from media_assets.cli import main
from media_assets.defs.partitions import PartitionRegistry
from media_assets.defs.resources import Settings, open_instance
from media_assets_tests.labeling.queues import annotate, answered, push, queue, said
from media_assets_tests.lake.lakes import lake_at


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Commands on a lake in which three tasks stand at three states."""
    monkeypatch.setenv("MEDIA_ASSETS_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MEDIA_ASSETS_LABEL_PROJECTS", raising=False)
    return CliRunner()


def test_status_shows_each_project_in_numbers(run: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lake_at(tmp_path / "lake")
    queue(lake, range(4), at=datetime.now(UTC) - timedelta(days=2))
    answered(lake, 0)
    push(lake, [1], datetime.now(UTC))
    annotate(lake, *said(0, ["fake", "fake"]))
    monkeypatch.setenv("MEDIA_ASSETS_LABEL_PROJECTS", "real-or-fake,boxes")
    shown = run.invoke(main, ["labels", "status", "--json"])
    assert shown.exit_code == 0, shown.output
    boxes, fakes = json.loads(shown.output)["rows"]
    assert (boxes["project"], boxes["queued"], boxes["left_today"], boxes["oldest_days"]) == ("boxes", 0, 200, None)
    assert (fakes["queued"], fakes["pushed"], fakes["annotated"]) == (2, 1, 1)
    assert (fakes["left_today"], fakes["oldest_days"], fakes["is_on"]) == (299, 2.0, True)
    assert "real-or-fake" in run.invoke(main, ["labels", "status"]).output
    monkeypatch.delenv("MEDIA_ASSETS_LABEL_PROJECTS")
    (left,) = json.loads(run.invoke(main, ["labels", "status", "--json"]).output)["rows"]
    assert (left["project"], left["is_on"], left["left_today"]) == ("real-or-fake", False, 0)


def test_without_a_project_every_command_says_how_to_have_one(run: CliRunner) -> None:
    assert "MEDIA_ASSETS_LABEL_PROJECTS=real-or-fake" in run.invoke(main, ["labels", "status"]).output
    for command in ("queue", "settle"):
        refused = run.invoke(main, ["labels", command])
        assert refused.exit_code == 1
        assert "MEDIA_ASSETS_LABEL_PROJECTS=real-or-fake" in refused.output


def test_queue_and_settle_run_each_batch_that_matches(
    run: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_ASSETS_LABEL_PROJECTS", "real-or-fake")
    monkeypatch.setenv("MEDIA_ASSETS_WORKERS", "0")
    registry = PartitionRegistry(open_instance(Settings(lake=str(tmp_path / "lake"))))
    for batch_id in ("a.0001", "b.0001"):
        registry.register(batch_id, 0, {})
    for command in ("queue", "settle"):
        done = run.invoke(main, ["labels", command, "--batch", "a.*", "--json"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["rows"] == [{"batch_id": "a.0001", "result": "done", "error": ""}]
    refused = run.invoke(main, ["labels", "queue", "--batch", "c.*"])
    assert refused.exit_code == 1
    assert "Expected a glob" in refused.output


def test_projects_lists_those_that_come_along(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_ASSETS_LABEL_PROJECTS", "real-or-fake")
    rows = json.loads(run.invoke(main, ["labels", "projects", "--json"]).output)["rows"]
    assert {row["project"]: row["is_on"] for row in rows} == {
        "boxes": False,
        "image-classes": False,
        "real-or-fake": True,
        "real-or-fake-video": False,
        "video-timeline": False,
    }


def test_a_project_that_is_none_is_refused_by_every_command_that_needs_it(
    run: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA_ASSETS_LABEL_PROJECTS", "no-such")
    refused = run.invoke(main, ["labels", "status"])
    assert refused.exit_code == 1
    assert "Expected the name of a labelling project (boxes" in refused.output
