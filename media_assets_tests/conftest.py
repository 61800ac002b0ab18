"""What holds for every test: between two attempts nobody is made to wait as long as a real server would need."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg
import pytest

from media_assets.defs import retries
from media_assets.defs.resources import Settings
from media_assets.stages.workbench import FetchSettings


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many attempts as ever, of downloads and of steps, but one soon after the other; in this process only."""
    sound = Settings.fetch

    def fetch(settings: Settings) -> FetchSettings:
        usual = sound(settings)
        return replace(usual, limits=replace(usual.limits, backoff_seconds=0.01))

    monkeypatch.setattr(Settings, "fetch", fetch)
    monkeypatch.setattr(retries, "_POLICY", dg.RetryPolicy(retries._POLICY.max_retries, delay=0.01))
