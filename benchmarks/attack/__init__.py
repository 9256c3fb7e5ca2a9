"""Hostile inputs by area, each with an oracle: `python -m benchmarks.attack`, or `make attack`."""
