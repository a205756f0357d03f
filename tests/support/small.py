"""Settings that make the tiny preset smaller still."""

SMALL = ("queries=10", "dim=32", "hidden=32", "text.dim=32", "text.layers=1", "backbone.width=8", "encoder_layers=1")
