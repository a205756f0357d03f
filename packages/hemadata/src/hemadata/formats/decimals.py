"""Numbers in text, as annotation files write them."""


def decimal(text: str | float) -> float:
    """A decimal number; digits in groups, which Python would read on (`1_000`), are none.

    Raises:
        ValueError: it is no number.
    """
    if isinstance(text, str) and "_" in text:
        raise ValueError(f"{text!r} is no number")
    return float(text)
