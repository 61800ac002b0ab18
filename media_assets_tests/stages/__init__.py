"""Tests of the stages: one batch, from its manifest to its statuses."""
