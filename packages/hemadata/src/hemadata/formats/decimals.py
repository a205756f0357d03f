"""Numbers in text, as annotation files write them."""

from collections.abc import Sequence


def decimal(text: str | float) -> float:
    """A decimal number; digits in groups, which Python would read on (`1_000`), are none.

    Raises:
        ValueError: it is no number.
    """
    if isinstance(text, str) and "_" in text:
        raise ValueError(f"{text!r} is no number")
    return float(text)


def decimals(texts: Sequence[str]) -> list[float]:
    """Several of them, looked at and read together.

    Raises:
        ValueError: one is no number.
    """
    if "_" in " ".join(texts):
        raise ValueError("one of them is no number")
    return list(map(float, texts))
