"""Morphology on demand: WBCAtt attributes as changes to the look of a kind, so that a picture shows its labels."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hemadata.errors import UsageError
from hemadata.phantom.kinds import Granules, Kind

# attribute -> value -> fields of `Kind` that it sets. Granules are set below: three attributes speak about them.
TRAITS: dict[str, dict[str, dict[str, Any]]] = {
    "cell_size": {"big": {"size": 1.9}, "small": {"size": 1.2}},
    "cell_shape": {"round": {"ripple": 0.015, "aspect": 1.03}, "irregular": {"ripple": 0.13, "aspect": 1.18}},
    "nucleus_shape": {
        "segmented-bilobed": {"nucleus": "bilobed"},
        "segmented-multilobed": {"nucleus": "segmented"},
        "unsegmented-band": {"nucleus": "band"},
        "unsegmented-indented": {"nucleus": "indented"},
        "unsegmented-round": {"nucleus": "round"},
        "irregular": {"nucleus": "irregular"},
    },
    "nuclear_cytoplasmic_ratio": {"low": {"share": 0.6}, "high": {"share": 0.88}},
    "chromatin_density": {"densely": {"chromatin": 0.9}, "loosely": {"chromatin": 0.05}},
    "cytoplasm_vacuole": {"yes": {"vacuoles": 5}, "no": {"vacuoles": 0}},
    "cytoplasm_texture": {"clear": {"frost": 0.02}, "frosted": {"frost": 0.6}},
    "cytoplasm_colour": {
        "light blue": {"colour": "light blue"},
        "blue": {"colour": "blue"},
        "purple blue": {"colour": "purple blue"},
    },
    "granule_type": {"small": {}, "round": {}, "coarse": {}, "nil": {}},
    "granule_colour": {"pink": {}, "red": {}, "purple": {}, "nil": {}},
    "granularity": {"yes": {}, "no": {}},
}

_GRANULE_TYPES = {"small": (0.022, 0.3), "round": (0.05, 0.9), "coarse": (0.07, 0.8)}  # radius, density


def with_traits(kind: Kind, traits: Mapping[str, str]) -> Kind:
    """`kind` changed so that it shows `traits`.

    Args:
        kind: the look to start from; attributes that `traits` leaves out stay as they are.
        traits: attribute name to value, as WBCAtt spells them.

    Raises:
        UsageError: an attribute or value that WBCAtt does not have.
    """
    changes: dict[str, Any] = {}
    for attribute, value in traits.items():
        if attribute not in TRAITS:
            raise UsageError(f"cannot draw the attribute {attribute!r}: expected one of {sorted(TRAITS)}")
        if value not in TRAITS[attribute]:
            raise UsageError(f"cannot draw {attribute} = {value!r}: expected one of {sorted(TRAITS[attribute])}")
        changes |= TRAITS[attribute][value]
    return replace(kind, granules=_granules(kind.granules, traits), **changes)


def _granules(usual: Granules | None, traits: Mapping[str, str]) -> Granules | None:
    """One word for no granules is enough; a type, a colour or a yes calls for them."""
    form, colour = traits.get("granule_type"), traits.get("granule_colour")
    if traits.get("granularity") == "no" or "nil" in (form, colour):
        return None
    if usual is None and form is None and colour is None and "granularity" not in traits:
        return None
    granules = usual or Granules("purple")
    if form is not None:
        radius, density = _GRANULE_TYPES[form]
        granules = replace(granules, radius=radius, density=density)
    return replace(granules, colour=colour) if colour is not None else granules
