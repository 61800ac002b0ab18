"""The bounds of a fetch."""

from __future__ import annotations

import pytest

from media_assets.errors import SetupError
from media_assets.ingest.fetch.limits import FetchLimits


def test_limits_are_refused_when_they_are_not_positive() -> None:
    for name in ("max_bytes", "total_seconds", "n_connections", "max_attempts", "memory_bytes"):
        with pytest.raises(SetupError, match=name):
            FetchLimits(**{name: 0})
    with pytest.raises(SetupError, match="max_redirects"):
        FetchLimits(max_redirects=-1)
    assert FetchLimits(max_redirects=0, backoff_seconds=0).max_redirects == 0
