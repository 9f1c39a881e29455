"""Measures the whole road and its parts, beside the official CLI, on a stub of the service: `python -m benchmarks`."""
