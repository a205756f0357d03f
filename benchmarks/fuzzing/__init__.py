"""Hostile input for hemadata: mutated files and trees, and what must hold on each. `benchmarks/fuzz.py` runs it."""
