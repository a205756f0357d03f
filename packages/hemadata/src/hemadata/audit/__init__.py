"""Looking at a corpus as a stranger would."""
