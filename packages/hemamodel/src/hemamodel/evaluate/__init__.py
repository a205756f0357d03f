"""Scores of a run on a split of the corpus. Test data never chooses a checkpoint."""
