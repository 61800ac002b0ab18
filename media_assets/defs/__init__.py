"""The Dagster graph: one module per stage, plus partitions, resources, automation, runs. It wires only."""

import warnings

import dagster as dg

# Range backfills and partitioned checks are beta and preview in Dagster 1.13; both are pinned and tested here.
warnings.filterwarnings("ignore", category=dg.BetaWarning, module=r"media_assets\.")
warnings.filterwarnings("ignore", category=dg.PreviewWarning, module=r"media_assets\.")
