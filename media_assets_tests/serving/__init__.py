"""Tests of the readers over finished tables."""
