"""`media-assets alerts test` and `list` as a user types them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from media_assets.cli import main
from media_assets.defs.alerts import watch
from media_assets.defs.resources import Settings, open_instance
from media_assets_tests.ops.alerts.webhook import Webhook

Run = Callable[..., tuple[Any, str]]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `media-assets alerts …`; its document or text, and what went to stderr."""
    monkeypatch.setenv("MEDIA_ASSETS_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("MEDIA_ASSETS_ALERT_URLS", raising=False)

    def invoke(*arguments: str, code: int = 0, urls: str | None = None) -> tuple[Any, str]:
        env = {} if urls is None else {"MEDIA_ASSETS_ALERT_URLS": urls}
        result = CliRunner().invoke(main, ["alerts", *arguments], env=env, catch_exceptions=False)
        assert result.exit_code == code, result.output + result.stderr
        return json.loads(result.stdout) if "--json" in arguments else result.stdout, result.stderr

    return invoke


def test_each_destination_has_a_verdict_and_one_failure_is_exit_code_one(run: Run, webhook: Webhook) -> None:
    document, _ = run("test", "--json", urls=f"{webhook.url}/a")
    assert document["rows"] == [
        {"destination": "JSON 1", "hears_of": "errors and warnings", "result": "delivered", "why": ""}
    ]
    assert webhook.seen[0]["title"] == "Media Assets: a test message"
    assert "What to do: nothing." in webhook.seen[0]["message"]
    webhook.statuses = [200, 403]
    document, told = run("test", "--json", code=1, urls=f"{webhook.url}/s3cret {webhook.url.replace('json', 'form')}/b")
    results = {row["destination"]: row["result"] for row in document["rows"]}
    assert sorted(results) == ["Form 1", "JSON 1"]
    assert sorted(results.values()) == ["FAILED", "delivered"]
    assert "s3cret" not in str(document) + told


def test_nobody_and_nonsense_are_told_with_a_code(run: Run) -> None:
    document, _ = run("test", "--json", code=1)
    assert document["error"]["code"] == "setup_error"
    assert "MEDIA_ASSETS_ALERT_URLS" in document["error"]["message"]
    document, told = run("test", "--json", code=1, urls="slack://s3cret")
    assert "number 1" in document["error"]["message"]
    assert "s3cret" not in str(document) + told


def test_what_is_open_is_listed(run: Run, webhook: Webhook) -> None:
    document, _ = run("list", "--json")
    assert (document["rows"], document["looked_at"]) == ([], None)
    assert "has not looked yet" in run("list")[0]
    settings = Settings.from_environment()
    with open_instance(settings) as instance:
        for check, batch_id in (("reconciles", "photos.0001"), ("reconciles", "photos.0002"), ("old", "photos.0001")):
            said = dg.AssetCheckEvaluation(dg.AssetKey(["raw", "media"]), check, False, partition=batch_id)
            instance.report_runless_asset_event(said)
        (destination,) = Settings(alert_urls=webhook.url).alert_destinations()
        webhook.statuses = [500]
        watch(instance, settings, [destination])
    document, told = run("list", "--json")
    assert [(row["trouble"], row["severity"], row["batches"]) for row in document["rows"]] == [
        ("2 batches of photos failed the check reconciles of raw/media", "error", ["photos.0001", "photos.0002"]),
        ("batch photos.0001 failed the check old of raw/media", "error", ["photos.0001"]),
    ]
    assert document["undelivered"] == {"JSON 1": "it answered 500"}
    assert "JSON 1 did not take the last message: it answered 500" in told
    assert "2 batches of photos failed" in " ".join(run("list")[0].split())
