"""Command line of hemasynth."""


def main() -> None:
    """Entry point."""
