"""Side-by-side timings; see README.md here and `python -m benchmarks.bench --help`."""

import d2l_autorec  # noqa: F401  # its import hook, before a benchmark imports MXNet
