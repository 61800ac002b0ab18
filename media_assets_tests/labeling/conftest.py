"""A lake for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_assets.lake.delta import Lake
from media_assets_tests.lake.lakes import lake_at


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return lake_at(tmp_path / "lake")
