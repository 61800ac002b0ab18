"""The drill `labels` of `make chaos`, in ten rounds, on the server that the other tests use."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_assets_tests.chaos.labels import N_ROUNDS_SMALL, endure
from media_assets_tests.chaos.result import Result
from media_assets_tests.services.label_studio import LabelStudioServer

pytestmark = [pytest.mark.services, pytest.mark.timeout(400)]


def test_each_task_is_there_once_and_every_answer_back_once_whatever_breaks(
    label_studio: LabelStudioServer, tmp_path: Path
) -> None:
    result = Result("labels", 2)
    endure(label_studio, tmp_path / "ledger.sqlite", result, N_ROUNDS_SMALL)
    assert result.broken == []
    assert result.is_held
    assert (result.lost, result.twice) == (0, 0)
    assert result.faults >= N_ROUNDS_SMALL // 2
