"""Tests of the sources and of planning."""
