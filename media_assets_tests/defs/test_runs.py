"""What a run that was killed at its end leaves to the next one."""

from __future__ import annotations

from collections.abc import Callable

from media_assets.defs.resources import Settings
from media_assets.defs.runs import Launcher, statistics_are_behind


def test_statistics_are_behind_until_every_tensor_is_counted(
    plan_four: Callable[[], list[str]], settings: Settings, launcher: Launcher
) -> None:
    lake = settings.open_lake()
    assert not statistics_are_behind(lake)
    first, second = plan_four()[:2]
    for batch_id in (first, second):
        (result,) = launcher.materialize([batch_id])
        assert result.success, result.error
        assert statistics_are_behind(lake)  # the process was killed here
        assert launcher.measure_statistics().success
        assert not statistics_are_behind(lake)
