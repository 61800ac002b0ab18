"""Judging what came in: batches against the recent past, sources against their clocks. Pure."""
