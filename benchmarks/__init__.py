"""What performance claims stand on. Run by hand: `make bench`; each run leaves a dated file in `results/`."""
