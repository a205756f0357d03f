"""Wilson's interval for a share, from a count."""

from math import sqrt

_Z = 1.959963984540054  # 95 %


def wilson(hits: int, total: int, z: float = _Z) -> tuple[float, float]:
    """Return the lower and upper bound of the share `hits / total`; (0, 1) when nothing was counted."""
    if total == 0:
        return 0.0, 1.0
    share, spread = hits / total, z * z / total
    middle, width = share + spread / 2, z * sqrt((share * (1 - share) + spread / 4) / total)
    return max(0.0, (middle - width) / (1 + spread)), min(1.0, (middle + width) / (1 + spread))
