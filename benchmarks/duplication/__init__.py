"""Parts of `benchmarks/duplicates.py`."""
