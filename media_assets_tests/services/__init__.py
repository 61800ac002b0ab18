"""Tests against real servers on loopback: the sample server, `dagster dev` and a browser."""
