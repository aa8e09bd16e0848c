"""What the figures in docs/benchmarks.md come from; files with a ``main`` run as ``python -m benchmarks.<name>``.

It may import every package. Begin with ``serving``; ``document`` says where tables go.
"""
