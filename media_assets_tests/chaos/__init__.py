"""Kills runs over and over, then compares their tables with those of an unharmed run. Run by hand: `make chaos`."""
