"""Text from expert labels, written by a served model or from templates, every sentence checked against its record."""
