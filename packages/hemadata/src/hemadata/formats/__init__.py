"""Parsers of annotation formats; none knows a source."""
