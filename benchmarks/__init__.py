"""Measurements: each module a script, run as `python -m benchmarks.<name>`."""
