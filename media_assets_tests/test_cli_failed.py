"""What failed, as a user meets it on the command line: shown with its reason, run by one command, kept in a history."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from media_assets.cli import main
from media_assets.defs.partitions import PartitionRegistry
from media_assets.defs.resources import Settings, dagster_home, open_instance
from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.shelf import Shelf
from media_assets_tests.stages.batches import BATCH, write_manifest

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command with `--json` and returns its document."""
    monkeypatch.setattr("dagster.RetryPolicy.calculate_delay", lambda self, attempt: 0.0)
    monkeypatch.setenv("MEDIA_ASSETS_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MEDIA_ASSETS_WORKERS", "0")
    monkeypatch.setenv("MEDIA_ASSETS_ALLOWED_NETWORKS", "127.0.0.0/8")
    monkeypatch.setenv("MEDIA_ASSETS_TENSOR_SPECS", '[{"size": [32, 32], "resize_shorter_px": 36}]')

    def invoke(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(main, [*arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == code, result.output + result.stderr
        return json.loads(result.stdout)

    return invoke


@pytest.mark.slow
def test_dead_links_that_look_like_an_outage_are_accepted_by_a_person_and_told_until_they_come_back(
    run: Run, tmp_path: Path
) -> None:
    with Shelf() as shelf:
        shelf.files = {f"{i}.jpg": make_jpeg(i, (96, 64)) for i in range(3)}
        shelf.is_down = True
        settings = Settings(lake=str(tmp_path / "lake"))
        assert run("status")["failed_batches"] == []
        assert not (tmp_path / "home").exists(), "whoever looks makes no home"
        write_manifest(settings.open_lake(), [{"item_key": key, "uri": f"{shelf.url}/{key}"} for key in shelf.files])
        with dagster_home(tmp_path / "home"), open_instance(settings) as instance:
            PartitionRegistry(instance).register(BATCH, 3, {})
        run("materialize", code=1)
        (failed,) = run("status")["failed_batches"]
        assert failed["batch_id"] == BATCH
        assert "failed for causes that may pass" in failed["error"]
        assert failed["next"].startswith("by itself, ")
        assert failed["command"] == f"media-assets materialize --failed --batch {BATCH}"
        assert run("status", "--batch", "other*")["failed_batches"] == []

        (row,) = run("materialize", "--failed", "--accept-failures")["rows"]
        assert (row["result"], row["failed"]) == ("done", 3)
        assert run("status")["failed_batches"] == []
        assert run("materialize", "--failed")["rows"] == []
        shelf.is_down = False
        assert run("dead-letters", "history", "--resolved")["rows"] == []
        run("dead-letters", "replay", "--item", "0.jpg")
        history = run("dead-letters", "history", "0.jpg", "--batch", "test.*", "--resolved")["rows"]
        assert [(row["resolution"], row["n_failures"]) for row in history] == [("accepted", 1)]
        assert len(run("dead-letters", "history")["rows"]) == 3
    shown = CliRunner().invoke(main, ["dead-letters", "history"]).stdout
    assert shown.startswith("3 dead letters, with those that were resolved")
    refused = CliRunner().invoke(main, ["materialize", "--outdated", "--again"])
    assert refused.exit_code == 2
    assert "--outdated alone" in refused.output
