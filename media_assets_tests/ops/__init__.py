"""Tests of what watches over the work."""
