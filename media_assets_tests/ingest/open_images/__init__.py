"""Tests of reading Open Images metadata."""
