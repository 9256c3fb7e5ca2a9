"""Side-by-side timings; see README.md here and `python -m benchmarks.bench --help`."""
