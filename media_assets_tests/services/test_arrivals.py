"""The drill `arrivals` in its small form: things arrive while daemon, code server and runs are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_assets_tests.chaos import arrivals
from media_assets_tests.chaos.result import Options
from media_assets_tests.services.availability import give_up

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]


def test_everything_that_arrives_is_there_once_whatever_is_killed(tmp_path: Path) -> None:
    result = arrivals.run(tmp_path, Options(small=True))
    if result.skipped is not None:
        give_up(result.skipped)
    assert result.is_held, result.broken
    assert (result.lost, result.twice) == (0, 0)
    assert result.kills >= 2
