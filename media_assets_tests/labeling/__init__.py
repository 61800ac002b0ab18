"""Tests of `media_assets.labeling`."""
