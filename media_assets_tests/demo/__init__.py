"""Tests of the sample media and the sample server."""
