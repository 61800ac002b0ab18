"""The entry that Dagster loads."""

from __future__ import annotations

import dagster as dg

from media_assets.defs.graph import build_defs


@dg.definitions
def defs() -> dg.Definitions:
    """What `dagster dev` and `dg` load."""
    return build_defs()
