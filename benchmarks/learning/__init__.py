"""The rows of `benchmarks/learn.py`, one file each, and their baselines."""
