"""How many examples a property is tried with: few in `make test`, more where `MEDIA_ASSETS_TEST_FACTOR` says so."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("MEDIA_ASSETS_TEST_FACTOR") or 1)
"""`MEDIA_ASSETS_TEST_FACTOR=50 make test` tries every such property fifty times as often."""


def few(n_examples: int) -> settings:
    """Settings for a property that is slow: so many examples times the factor, and no deadline."""
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(max_examples=n_examples * FACTOR, deadline=None, suppress_health_check=slow)
