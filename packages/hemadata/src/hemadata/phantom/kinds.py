"""How each kind of cell looks, as data. Names are nodes of the ontology."""

from dataclasses import dataclass, replace
from difflib import get_close_matches

from hemadata.errors import UsageError

# Values of a mask. 5 is what the four classes of a blood smear do not cover: dirt, parasites outside of cells.
GROUND, RED_CELL, PLATELET, CYTOPLASM, NUCLEUS, OTHER = range(6)


@dataclass(frozen=True, slots=True)
class Granules:
    """Granules of a white cell or platelet.

    Args:
        colour: a colour of the stain.
        radius: in radii of the cell.
        density: share of the cytoplasm that they would cover if none overlapped.
        over_nucleus: whether they hide the nucleus too, as in basophils.
    """

    colour: str
    radius: float = 0.03
    density: float = 0.3
    over_nucleus: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """The look of one kind of cell.

    Args:
        size: diameter, in diameters of a normal red cell.
        body: form of the outline, a key of `shapes.FORMS`.
        aspect: length over width of the body.
        ripple: unevenness of the outline, in radii.
        spikes: number of regular spikes (burr cells), 0 for an outline of soft waves.
        colour: of the body, a colour of the stain.
        opacity: of the body, 0 to 1.
        pallor: how far the middle fades into the ground, 0 to 1.
        frost: strength of the cloudy texture of the body, 0 to 1.
        nucleus: form of the nucleus (or of a parasite inside), or None.
        share: radius of the nucleus in radii of the cell.
        chromatin: 0 open and netlike, 1 dense.
        chromatin_colour: a colour of the stain.
        nucleoli: number of pale nucleoli.
        granules: or None.
        vacuoles: number of vacuoles.
        rods: number of Auer rods.
        classes: mask values of body and nucleus.
    """

    size: float
    body: str = "round"
    aspect: float = 1.06
    ripple: float = 0.02
    spikes: int = 0
    colour: str = "grey blue"
    opacity: float = 1.0
    pallor: float = 0.0
    frost: float = 0.1
    nucleus: str | None = None
    share: float = 0.7
    chromatin: float = 0.5
    chromatin_colour: str = "chromatin"
    nucleoli: int = 0
    granules: Granules | None = None
    vacuoles: int = 0
    rods: int = 0
    classes: tuple[int, int] = (CYTOPLASM, NUCLEUS)


_WHITE = Kind(1.6, nucleus="indented", share=0.74, granules=Granules("purple", 0.025, 0.06))
_NEUTROPHIL = Kind(
    1.6, colour="pale pink", nucleus="segmented", share=0.76, chromatin=0.7, granules=Granules("purple", 0.02, 0.16)
)
_EOSINOPHIL = replace(_NEUTROPHIL, nucleus="bilobed", share=0.7, granules=Granules("pink", 0.06, 1.3))
_PROMYELOCYTE = Kind(
    1.95, colour="blue", nucleus="oval", share=0.76, chromatin=0.15, nucleoli=2, granules=Granules("red", 0.03, 0.42)
)
_ABNORMAL_PROMYELOCYTE = replace(
    _PROMYELOCYTE, nucleus="irregular", colour="purple blue", rods=4, nucleoli=0, granules=Granules("purple", 0.03, 0.6)
)
_MYELOCYTE = Kind(1.8, colour="light blue", nucleus="oval", share=0.66, granules=Granules("purple", 0.025, 0.3))
_MONOCYTE = Kind(1.95, aspect=1.12, ripple=0.06, nucleus="indented", chromatin=0.2, vacuoles=4, frost=0.35)
_BLAST = Kind(1.75, colour="blue", nucleus="round", share=0.86, chromatin=0.1, nucleoli=2)
_MYELOBLAST = replace(_BLAST, nucleus="oval", nucleoli=3, granules=Granules("red", 0.025, 0.1))
_LYMPHOBLAST = Kind(1.4, colour="deep blue", nucleus="round", share=0.92, chromatin=0.3, nucleoli=1, ripple=0.03)
_LYMPHOCYTE = Kind(1.2, colour="blue", nucleus="round", share=0.84, chromatin=0.9)
_LARGE_LYMPHOCYTE = replace(_LYMPHOCYTE, size=1.6, share=0.7, colour="light blue", chromatin=0.7)
_ATYPICAL_LYMPHOCYTE = Kind(
    1.8, colour="deep blue", nucleus="irregular", share=0.68, aspect=1.15, ripple=0.09, chromatin=0.5
)
_ERYTHROBLAST = Kind(1.05, colour="grey blue", nucleus="round", share=0.6, chromatin=1.0, ripple=0.04)

_PLATELET = Kind(
    0.36,
    colour="lilac",
    ripple=0.1,
    aspect=1.15,
    frost=0.3,
    granules=Granules("purple", 0.14, 0.8),
    classes=(PLATELET, PLATELET),
)

_RED = Kind(1.0, colour="red cell", pallor=0.75, frost=0.0, aspect=1.08, classes=(RED_CELL, RED_CELL))
_INFECTED = replace(_RED, pallor=0.15, chromatin=0.9, share=0.4, nucleus="ring")
_PARASITE = Kind(0.6, colour="lilac", nucleus="round", share=0.4, chromatin=0.9, classes=(OTHER, OTHER))

KINDS: dict[str, Kind] = {
    # granulocytes
    "neutrophil": _NEUTROPHIL,
    "segmented_neutrophil": replace(_NEUTROPHIL, nucleus="multilobed"),
    "band_neutrophil": replace(_NEUTROPHIL, nucleus="band"),
    "eosinophil": _EOSINOPHIL,
    "abnormal_eosinophil": replace(_EOSINOPHIL, granules=Granules("violet", 0.06, 0.5), size=1.8),
    "basophil": Kind(
        1.5, colour="lilac", nucleus="irregular", share=0.8, granules=Granules("violet", 0.065, 0.95, over_nucleus=True)
    ),
    "immature_granulocyte": replace(_MYELOCYTE, size=1.9, nucleus="indented", share=0.78, chromatin=0.3),
    "promyelocyte": _PROMYELOCYTE,
    "abnormal_promyelocyte": _ABNORMAL_PROMYELOCYTE,
    "bilobed_promyelocyte": replace(_ABNORMAL_PROMYELOCYTE, nucleus="bilobed", share=0.85, rods=0),
    "faggot_cell": replace(_ABNORMAL_PROMYELOCYTE, share=0.6, rods=10),
    "myelocyte": _MYELOCYTE,
    "metamyelocyte": replace(_MYELOCYTE, size=1.7, nucleus="indented", share=0.72, colour="pale pink"),
    # monocytes
    "monocyte": _MONOCYTE,
    "promonocyte": replace(_MONOCYTE, nucleus="cleft", share=0.8, vacuoles=1, nucleoli=1, chromatin=0.1),
    # blasts
    "blast": _BLAST,
    "myeloblast": _MYELOBLAST,
    "myeloblast_auer": replace(_MYELOBLAST, share=0.76, rods=1),
    "cup_like_blast": replace(_MYELOBLAST, nucleus="cleft", share=0.84, nucleoli=0),
    "monoblast": replace(_BLAST, size=2.0, colour="grey blue", share=0.74, nucleoli=1, vacuoles=5, frost=0.3),
    "lymphoblast": _LYMPHOBLAST,
    "leukemic_b_lymphoblast": _LYMPHOBLAST,
    # lymphocytes
    "lymphocyte": _LYMPHOCYTE,
    "small_lymphocyte": replace(_LYMPHOCYTE, size=1.1, share=0.88),
    "large_lymphocyte": _LARGE_LYMPHOCYTE,
    "large_granular_lymphocyte": replace(_LARGE_LYMPHOCYTE, granules=Granules("red", 0.04, 0.1)),
    "atypical_lymphocyte": _ATYPICAL_LYMPHOCYTE,
    "reactive_lymphocyte": _ATYPICAL_LYMPHOCYTE,
    "neoplastic_lymphocyte": replace(_ATYPICAL_LYMPHOCYTE, size=1.5, nucleus="cleft", share=0.8, colour="light blue"),
    "hairy_cell": replace(_LARGE_LYMPHOCYTE, ripple=0.05, spikes=25, nucleus="oval", chromatin=0.4),
    "prolymphocyte": replace(_LYMPHOCYTE, size=1.45, nucleoli=1, chromatin=0.6, share=0.78),
    "immature_lymphocyte": replace(_LYMPHOBLAST, colour="blue", chromatin=0.5),
    "normal_b_precursor": replace(_LYMPHOBLAST, colour="light blue", chromatin=0.8, nucleoli=0),
    "plasma_cell": Kind(1.7, colour="deep blue", nucleus="round", share=0.5, aspect=1.25, chromatin=0.8, frost=0.3),
    "smudge_cell": Kind(
        1.7,
        colour="pale chromatin",
        opacity=0.6,
        ripple=0.22,
        frost=0.6,
        nucleus="irregular",
        share=0.9,
        chromatin=0.0,
        chromatin_colour="pale chromatin",
    ),
    # white cells of no closer look
    "white_blood_cell": _WHITE,
    "granulocytic_cell": _WHITE,
    "monocytic_cell": _WHITE,
    "lymphoid_cell": _WHITE,
    "blood_cell": _WHITE,
    "other_cell": _WHITE,
    "ambiguous": _WHITE,
    "unlabelled": _WHITE,
    # red cells and their forerunners
    "proerythroblast": Kind(1.8, colour="deep blue", nucleus="round", share=0.8, chromatin=0.3, nucleoli=2),
    "erythroblast": _ERYTHROBLAST,
    "erythroid_cell": _ERYTHROBLAST,
    "red_blood_cell": _RED,
    "rbc_round": replace(_RED, aspect=1.0, ripple=0.0),
    "rbc_ovalocyte": replace(_RED, aspect=1.55),
    "rbc_borderline_ovalocyte": replace(_RED, aspect=1.28),
    "rbc_teardrop": replace(_RED, body="teardrop", aspect=1.0),
    "rbc_burr": replace(_RED, ripple=0.06, spikes=13),
    "rbc_fragment": replace(_RED, size=0.75, body="fragment", pallor=0.0),
    "rbc_angled": replace(_RED, body="angled", aspect=1.0),
    "rbc_overlap_2": replace(_RED, size=1.7, body="pair", aspect=1.0),
    "rbc_overlap_3": replace(_RED, size=1.9, body="triple", aspect=1.0),
    "rbc_sickle": replace(_RED, size=1.35, body="crescent", pallor=0.0, aspect=1.0, ripple=0.01),
    "rbc_other_deformed": replace(_RED, ripple=0.16, pallor=0.4),
    # platelets
    "platelet": _PLATELET,
    "giant_platelet": replace(_PLATELET, size=0.95, granules=Granules("purple", 0.06, 0.5)),
    "platelet_aggregate": replace(_PLATELET, size=1.1, body="cluster", granules=Granules("purple", 0.05, 0.5)),
    "megakaryocyte": Kind(3.0, colour="purple blue", nucleus="segmented", share=0.75, ripple=0.05, frost=0.4),
    # parasites
    "plasmodium": _INFECTED,
    "plasmodium_ring": _INFECTED,
    "plasmodium_trophozoite": replace(_INFECTED, nucleus="amoeboid", share=0.52, chromatin=0.5),
    "plasmodium_schizont": replace(_INFECTED, nucleus="scattered", share=0.72),
    "plasmodium_gametocyte": replace(_INFECTED, size=1.15, nucleus="oval", share=0.74, chromatin=0.0),
    "plasmodium_undetermined": replace(_INFECTED, nucleus="irregular", share=0.3),
    "babesia": replace(_INFECTED, nucleus="pair", share=0.36),
    "parasite": replace(_PARASITE, size=0.4),
    "leishmania": replace(_PARASITE, size=0.45, aspect=1.4),
    "leishmania_clump": replace(_PARASITE, size=1.4, body="cluster", nucleus="scattered", share=0.8),
    "toxoplasma": replace(_PARASITE, body="crescent", size=0.8, nucleus=None),
    "trichomonad": replace(_PARASITE, body="pear", size=1.5, share=0.3),
    "trypanosome": replace(_PARASITE, body="wave", size=2.2, aspect=1.0, ripple=0.0, nucleus=None),
    "tb_bacillus": Kind(0.55, body="rod", colour="magenta", aspect=1.0, ripple=0.0, classes=(OTHER, OTHER)),
    # what is no cell
    "not_identifiable": Kind(
        1.4, colour="lilac", opacity=0.55, ripple=0.16, frost=0.9, nucleus="irregular", share=0.5, chromatin=0.3
    ),
    "artefact": Kind(0.8, body="irregular", colour="dirt", ripple=0.12, frost=0.9, classes=(OTHER, OTHER)),
    "debris": Kind(0.4, body="irregular", colour="dirt", ripple=0.15, frost=0.9, classes=(OTHER, OTHER)),
}


def kind_named(name: str) -> Kind:
    """The look of the kind `name`.

    Raises:
        UsageError: nothing is known about that kind.
    """
    if name not in KINDS:
        near = get_close_matches(name, KINDS, n=3, cutoff=0.5) or sorted(KINDS)[:3]
        raise UsageError(f"cannot draw {name!r}: expected an ontology node that the phantom knows, e.g. {near}")
    return KINDS[name]
