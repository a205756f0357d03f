"""Engines: what turns requests into text. One file each; the heavy ones are imported when they are chosen."""
