"""Where the regions of a mask end: stains have the colours of regions, only a line of another colour is seen."""

import numpy as np

from hemadata.regions import REGIONS

COLOUR = (40, 255, 60)  # of no stain and of no region
OUTLINE = 1 + max(region.value for region in REGIONS.values())  # palette index of the line


def outlines(values: np.ndarray) -> np.ndarray:
    """Pixels of a mask beside which another region begins, on both sides; bool of the mask's shape [H, W]."""
    at_border = np.zeros(values.shape, bool)
    for one, other in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = values[one] != values[other]
        at_border[one] |= differs
        at_border[other] |= differs
    return at_border
