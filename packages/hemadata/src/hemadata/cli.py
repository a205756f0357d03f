"""Command line of hemadata."""


def main() -> None:
    """Entry point."""
