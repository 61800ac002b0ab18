"""Hostile files and servers through the whole path, and fuzzing: `python -m media_assets_tests.hostile`."""
