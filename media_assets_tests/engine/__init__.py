"""Tests of `media_assets.engine`."""
