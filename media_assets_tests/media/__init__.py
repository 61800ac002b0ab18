"""Tests of `media_assets.media`."""
