"""What the figures in the README come from; each file runs as ``python -m benchmarks.<name>``."""
