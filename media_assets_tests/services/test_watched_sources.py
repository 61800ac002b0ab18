"""A source that goes quiet while `dagster dev` runs turns red without a run, then green. After the inbox's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_assets_tests.media.pictures import make_jpeg
from media_assets_tests.services.dagster_dev import DagsterDev
from media_assets_tests.services.workplace import Workplace

pytestmark = [pytest.mark.services, pytest.mark.timeout(400)]

MANIFEST = ("ingest", "manifest")
CHECK = "uploads_is_fresh"
SECONDS = 180  # the interval of 45, and some ticks of two sensors on a slow machine


def test_a_quiet_source_turns_red_and_green_when_a_file_comes(workplace: Workplace, dagster_dev: DagsterDev) -> None:
    def shows(status: str) -> bool:
        return dagster_dev.check_shown(MANIFEST, CHECK)[0] == status

    dagster_dev.wait_for("the quiet source is red", lambda: shows("FAILED"), SECONDS)
    assert "Expected a batch of uploads at least every 45s" in dagster_dev.check_shown(MANIFEST, CHECK)[1]
    inbox = Path(workplace.settings.inbox)
    inbox.mkdir(exist_ok=True)
    (inbox / "back.jpg").write_bytes(make_jpeg(900, (160, 120)))
    dagster_dev.wait_for("the source is green again", lambda: shows("SUCCEEDED"), SECONDS)
    assert "(1 item) came at" in dagster_dev.check_shown(MANIFEST, CHECK)[1]
