"""Command line of hemamodel."""


def main() -> None:
    """Entry point."""
