import re
from itertools import pairwise

import pytest
from hemadata import ontology
from hemadata.errors import FormatError, HemaError, UnknownLabelError, UnknownNodeError, UsageError
from hemadata.labels import Label, LabelMap, normalise
from hemadata.ontology import Ontology
from hypothesis import example, given
from hypothesis import strategies as st

ONTOLOGY = ontology.load()
COARSE = ("wbc5", "pbc8", "wbc18", "lineage", "coarse3")
nodes = st.sampled_from(ONTOLOGY.names)

# The canonical node of each class of the two published heads, in id order.
CLASSES_45 = """
abnormal_eosinophil artefact basophil blast erythroblast eosinophil faggot_cell hairy_cell smudge_cell
immature_lymphocyte lymphocyte metamyelocyte monocyte myelocyte band_neutrophil segmented_neutrophil not_identifiable
other_cell proerythroblast plasma_cell promyelocyte myeloblast monoblast atypical_lymphocyte neutrophil
reactive_lymphocyte giant_platelet blast promonocyte platelet_aggregate not_identifiable erythroblast prolymphocyte
white_blood_cell red_blood_cell platelet lymphoblast band_neutrophil babesia leishmania white_blood_cell plasmodium
toxoplasma trichomonad trypanosome
"""
CLASSES_30 = """
background myeloblast lymphoblast neutrophil atypical_lymphocyte promonocyte monoblast lymphocyte myelocyte
abnormal_promyelocyte monocyte metamyelocyte eosinophil basophil not_identifiable plasmodium_gametocyte
plasmodium_schizont plasmodium_trophozoite plasmodium_ring leishmania_clump leishmania platelet rbc_sickle
red_blood_cell white_blood_cell parasite plasmodium tb_bacillus white_blood_cell plasmodium_undetermined
"""
HEAD_45, HEAD_30 = CLASSES_45.split(), CLASSES_30.split()


def changed(file: str, old: str, new: str) -> Ontology:
    texts = {name: text.decode() for name, text in ontology.files().items()}
    assert texts[file].count(old) == 1
    texts[file] = texts[file].replace(old, new)
    return Ontology.from_texts({name: text.encode() for name, text in texts.items()})


# The tree


@given(nodes)
def test_path_runs_from_a_root_to_the_node(name: str) -> None:
    path = ONTOLOGY.path(name)
    assert path[-1] == name
    assert ONTOLOGY.node(path[0]).parent is None
    assert all(child in ONTOLOGY.children(parent) for parent, child in pairwise(path))
    assert all(ONTOLOGY.is_a(name, ancestor) for ancestor in path)
    assert sum(ONTOLOGY.is_a(name, other) for other in ONTOLOGY.names) == len(path)


def test_node_count_and_roots() -> None:
    assert len(ONTOLOGY.names) == 79
    roots = {name for name in ONTOLOGY.names if ONTOLOGY.node(name).parent is None}
    assert roots == {"blood_cell", "parasite", "tb_bacillus", "not_identifiable", "artefact", "unlabelled"}


def test_cell_ontology_ids_are_well_formed_and_unique() -> None:
    ids = [node.cl for node in map(ONTOLOGY.node, ONTOLOGY.names) if node.cl]
    assert len(ids) == len(set(ids)) == 26
    assert all(re.fullmatch(r"CL:\d{7}", text) for text in ids)


def test_second_parents_count_only_when_asked() -> None:
    for name, second in {
        "myeloblast": "granulocytic_cell",
        "cup_like_blast": "granulocytic_cell",  # through its parent
        "monoblast": "monocytic_cell",
        "lymphoblast": "lymphoid_cell",
    }.items():
        assert not ONTOLOGY.is_a(name, second)
        assert ONTOLOGY.is_a(name, second, second_parents=True)
    assert [name for name in ONTOLOGY.names if ONTOLOGY.node(name).also] == ["monoblast", "myeloblast", "lymphoblast"]


def test_unknown_node_names_the_nearest() -> None:
    assert "neutrophile" not in ONTOLOGY
    with pytest.raises(UnknownNodeError, match=r"'neutrophile'.*Did you mean neutrophil\b"):
        ONTOLOGY.node("neutrophile")


def test_alias_leads_to_the_node_everywhere() -> None:
    renamed = changed(
        "cells.toml",
        'basophil = { display = "Basophil",',
        'basophil = { aliases = ["basophilic_granulocyte"], display = "Basophil",',
    )
    assert "basophilic_granulocyte" in renamed
    assert renamed.node("basophilic_granulocyte").name == "basophil"
    assert renamed.path("basophilic_granulocyte") == ONTOLOGY.path("basophil")
    assert renamed.view("wbc5").roll_up("basophilic_granulocyte") == "basophil"
    assert LabelMap({"Baso": "basophilic_granulocyte"}, ontology=renamed).resolve("Baso").node == "basophil"


PLASMA_CELL = 'plasma_cell = { display = "Plasma cell", cl = "CL:0000786", match = "exact", parent = "lymphoid_cell"'


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("cells.toml", PLASMA_CELL, PLASMA_CELL.replace("lymphoid_cell", "lymphoid_cel"), "is no node.*lymphoid_cell"),
        ("cells.toml", PLASMA_CELL, PLASMA_CELL.replace("lymphoid_cell", "plasma_cell"), "its own ancestor"),
        ("cells.toml", 'basophil = { display = "Basophil",', 'basophil = { also = ["monoblast"],', "display.*missing"),
        ("cells.toml", '"CL:0000081",', '"CL:0000081", parent = "platelet",', "'blood_cell' is its own ancestor"),
        (  # a circle that only a second parent closes
            "cells.toml",
            'monocytic_cell = { display = "Monocytic cell",',
            'monocytic_cell = { also = ["monoblast"], display = "Monocytic cell",',
            "its own ancestor",
        ),
        ("cells.toml", PLASMA_CELL, PLASMA_CELL.replace("exact", "none"), "match is 'none' and cl is 'CL:0000786'"),
        ("cells.toml", PLASMA_CELL, PLASMA_CELL + ', colour = "blue"', "unknown key 'colour'"),
        ("cells.toml", PLASMA_CELL, PLASMA_CELL + ', aliases = ["basophil"]', "already names a node"),
        ("cells.toml", "[node]", "[node", "cells.toml cannot be read as TOML"),
        ("views.toml", 'name = "normoblast", nodes = ["erythroblast"], sources = ["hrls"]',
         'name = "normoblast", nodes = ["erythroblast"]', "ids 4 and 31 for all sources"),
        ("views.toml", '{ id = 44, name = "trypanosome"', '{ id = 45, name = "trypanosome"', "ids must run"),
        ("views.toml", 'label = "bilobed_promyelocyte", id = 20', 'label = "bilobed_promyelocyte", id = 45', "0 to 44"),
        ("views.toml", 'label = "bilobed_promyelocyte"', 'label = "bilobed"', "'bilobed' is no node"),
        ("morphology.toml", "counts = { yes = 7669", "counts = { yse = 7669", "granularity: 'yse' is not among"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused(file: str, old: str, new: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        changed(file, old, new)


def test_missing_file_is_refused() -> None:
    with pytest.raises(FormatError, match=r"no views\.toml"):
        Ontology.from_texts({"cells.toml": ontology.files()["cells.toml"]})


def test_version_follows_content_and_not_layout() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", ONTOLOGY.version)
    commented = {name: b"# remark\n" + text for name, text in ontology.files().items()}
    assert Ontology.from_texts(commented).version == ONTOLOGY.version
    added = 'basket_cell = { display = "Basket cell", match = "none", parent = "smudge_cell", kind = "cell" }\n'
    grown = changed("cells.toml", PLASMA_CELL, added + PLASMA_CELL)
    assert grown.version != ONTOLOGY.version
    assert grown.view("wbc18").roll_up("basket_cell") == "smudge_cell"
    assert changed("views.toml", 'name = "normoblast"', 'name = "Normoblast"').version != ONTOLOGY.version
    assert changed("morphology.toml", "yes = 7669", "yes = 7670").version != ONTOLOGY.version


# Views


def test_views_and_their_class_order() -> None:
    assert ONTOLOGY.views == ("uni_hema_45", "uni_hema_det_30", *COARSE, "blast_equivalent")
    classes = {name: " ".join(ONTOLOGY.view(name).classes) for name in ONTOLOGY.views[2:]}
    assert classes == {
        "wbc5": "neutrophil eosinophil basophil lymphocyte monocyte",
        # ids 0 to 7 of BloodMNIST
        "pbc8": "basophil eosinophil erythroblast immature_granulocyte lymphocyte monocyte neutrophil platelet",
        "wbc18": "promyelocyte myelocyte metamyelocyte band_neutrophil segmented_neutrophil eosinophil basophil "
        "lymphocyte atypical_lymphocyte plasma_cell monocyte promonocyte blast smudge_cell proerythroblast "
        "erythroblast platelet red_blood_cell",
        "lineage": "granulocytic_cell monocytic_cell lymphoid_cell erythroid_cell platelet blast",
        "coarse3": "white_blood_cell red_blood_cell platelet",
        "blast_equivalent": "no yes",
    }


def test_names_of_the_published_heads() -> None:
    names = ONTOLOGY.view("uni_hema_45").classes
    assert len(names) == len(set(names)) == 45
    assert [names[i] for i in (3, 4, 14, 16, 27, 30, 31, 33, 37, 40)] == [
        "blast", "erythroblast", "band neutrophil", "not identifiable", "blast no lineage", "unidentified",
        "normoblast", "wbc", "neutrophil band", "leukocyte",
    ]  # fmt: skip
    names = ONTOLOGY.view("uni_hema_det_30").classes
    assert len(names) == len(set(names)) == 30
    assert names[0] == "background"
    assert names[19:29] == (
        "concentrated_leishman_parasite", "leishman_parasite", "platelet", "Sickle Cells", "RBC", "WBC", "parasite",
        "plasmodium", "TBbacillus", "leukocyte",
    )  # fmt: skip


def test_nodes_of_the_published_heads() -> None:
    assert ONTOLOGY.view("uni_hema_45").members == tuple((name,) for name in HEAD_45)
    assert ONTOLOGY.view("uni_hema_det_30").members == ((), *((name,) for name in HEAD_30[1:]))
    assert len(set(HEAD_45)) == 40
    pairs = {tuple(i for i, name in enumerate(HEAD_45) if name == node) for node in HEAD_45}
    assert {pair for pair in pairs if len(pair) > 1} == {(3, 27), (4, 31), (14, 37), (16, 30), (33, 40)}


@pytest.mark.parametrize(
    ("source", "label", "expected"),
    [
        ("bmc", "blast", 3), ("rv-pbs", "blast", 3), ("apl-aml", "blast", 27),
        ("acevedo", "erythroblast", 4), ("hrls", "erythroblast", 31),
        ("apl-aml", "band_neutrophil", 14), ("hrls", "band_neutrophil", 37),
        ("bmc", "not_identifiable", 16), ("apl-aml", "not_identifiable", 30),
        ("bccd-cls", "white_blood_cell", 33), ("parasites", "white_blood_cell", 40), (None, "white_blood_cell", 33),
        ("parasites", "red_blood_cell", 34), ("acevedo", "platelet", 35),
        ("aml-matek", "bilobed_promyelocyte", 20), ("bmc", "bilobed_promyelocyte", None),
        ("c-nmc-2019", "leukemic_b_lymphoblast", 36), ("c-nmc-2019", "normal_b_precursor", 10),
        ("bmc", "leukemic_b_lymphoblast", None), ("bmc", "normal_b_precursor", None),
        ("hrls", "segmented_neutrophil", 15), ("rv-pbs", "segmented_neutrophil", 15), ("raabin", "neutrophil", 24),
        ("acevedo", "immature_granulocyte", None), ("aml-hehr", "cup_like_blast", None), ("aml-hehr", None, None),
    ],
)  # fmt: skip
def test_classification_head(source: str | None, label: str | None, expected: int | None) -> None:
    assert ONTOLOGY.view("uni_hema_45").id(source, None, label) == expected


@pytest.mark.parametrize(
    ("source", "label", "expected"),
    [
        ("bccd", "white_blood_cell", 24), ("vivax", "white_blood_cell", 28), ("nlm-thick-pv", "white_blood_cell", 24),
        ("leukemiaattri", "not_identifiable", 14), ("raabin-m1", "not_identifiable", None),
        ("nlm-thick-pv", "plasmodium", 25), ("thick-blood-smears", "plasmodium", 25),
        ("plasmodium", "plasmodium", 26), ("plasmodium-phonecamera", "plasmodium", 26),
        ("raabin-m2", "metamyelocyte", 11), ("raabin-m2", "large_lymphocyte", None), ("raabin-m2", "smudge_cell", None),
        ("raabin-m2", "band_neutrophil", None), ("acevedo-det", "erythroblast", None),
        ("vivax", "plasmodium_undetermined", 29), ("parasite", "leishmania_clump", 19),
        ("sickle-cell", "rbc_sickle", 22), ("parasites", "parasite", 25),
    ],
)  # fmt: skip
def test_detection_head(source: str, label: str, expected: int | None) -> None:
    assert ONTOLOGY.view("uni_hema_det_30").id(source, None, label) == expected


@pytest.mark.parametrize(
    ("view", "taken", "dropped"),
    [
        (
            "wbc5",
            {"band_neutrophil": "neutrophil", "abnormal_eosinophil": "eosinophil", "hairy_cell": "lymphocyte"},
            "myeloblast lymphoblast promyelocyte promonocyte immature_lymphocyte plasma_cell other_cell ambiguous",
        ),
        (
            "pbc8",
            {"faggot_cell": "immature_granulocyte", "segmented_neutrophil": "neutrophil", "giant_platelet": "platelet"},
            "proerythroblast red_blood_cell blast not_identifiable",
        ),
        (
            "wbc18",
            {"reactive_lymphocyte": "atypical_lymphocyte", "small_lymphocyte": "lymphocyte", "monoblast": "blast"},
            "neutrophil immature_granulocyte immature_lymphocyte white_blood_cell megakaryocyte",
        ),
        (
            "lineage",
            {"myeloblast": "blast", "promonocyte": "monocytic_cell", "rbc_burr": "erythroid_cell"},
            "smudge_cell megakaryocyte white_blood_cell artefact",
        ),
        (
            "coarse3",
            {"smudge_cell": "white_blood_cell", "rbc_overlap_2": "red_blood_cell", "platelet_aggregate": "platelet"},
            "erythroblast proerythroblast erythroid_cell megakaryocyte blood_cell plasmodium_ring debris",
        ),
        (
            "blast_equivalent",
            {
                "promonocyte": "yes",
                "faggot_cell": "yes",
                "cup_like_blast": "yes",
                "promyelocyte": "no",
                "monocyte": "no",
            },
            "white_blood_cell blood_cell smudge_cell other_cell not_identifiable plasmodium",
        ),
    ],
)
def test_roll_up(view: str, taken: dict[str, str], dropped: str) -> None:
    assert {name: ONTOLOGY.view(view).roll_up(name) for name in taken} == taken
    assert [ONTOLOGY.view(view).roll_up(name) for name in dropped.split()] == [None] * len(dropped.split())


@given(nodes, st.sampled_from(COARSE))
def test_roll_up_goes_to_an_ancestor_and_stays(name: str, view: str) -> None:
    up = ONTOLOGY.view(view).roll_up(name)
    if up is None:
        assert not set(ONTOLOGY.path(name)) & set(ONTOLOGY.view(view).classes)
    else:
        assert up in ONTOLOGY.path(name)
        assert ONTOLOGY.view(view).roll_up(up) == up


@given(nodes, st.sampled_from(ONTOLOGY.views), st.sampled_from([None, "hrls", "apl-aml", "vivax", "c-nmc-2019"]))
def test_an_id_is_a_class_that_names_an_ancestor(name: str, view_name: str, source: str | None) -> None:
    view = ONTOLOGY.view(view_name)
    found = view.id(source, None, name)
    if found is not None:
        assert 0 <= found < len(view.classes)
        assert source == "c-nmc-2019" or set(view.members[found]) & set(ONTOLOGY.path(name))


def test_an_exception_may_name_the_raw_label() -> None:
    entry = '{ source = "aml-matek", label = "bilobed_promyelocyte", id = 20 }'
    view = changed("views.toml", entry, '{ source = "hrls", raw = "Odd_Cell", id = 3 }').view("uni_hema_45")
    assert view.id("hrls", "odd cell", "monocyte") == view.id("hrls", "ODD-CELL", None) == 3
    assert view.id("bmc", "odd cell", "monocyte") == view.id("hrls", None, "monocyte") == 12


def test_unknown_view_vocabulary_and_label() -> None:
    with pytest.raises(UsageError, match=r"Did you mean wbc5"):
        ONTOLOGY.view("wbc_5")
    with pytest.raises(UsageError, match=r"Did you mean wbcatt\?"):
        ONTOLOGY.morphology("wbcattr")
    with pytest.raises(UnknownNodeError):
        ONTOLOGY.view("uni_hema_45").id("hrls", None, "normoblast")


# Morphology


def test_wbcatt_vocabulary() -> None:
    vocabulary = ONTOLOGY.morphology("wbcatt")
    assert len(vocabulary.attributes) == 11
    assert sum(len(attribute.values) for attribute in vocabulary.attributes.values()) == 31
    for attribute in vocabulary.attributes.values():
        assert set(attribute.counts) == set(attribute.values)
        assert sum(attribute.counts.values()) == vocabulary.cells == 10298
    assert [name for name, each in vocabulary.attributes.items() if "nil" in each.values] == [
        "granule_type",
        "granule_colour",
    ]
    disagreement = {name: each.disagreement for name, each in vocabulary.attributes.items()}
    assert (vocabulary.reannotated, disagreement["cell_size"], disagreement["granularity"]) == (1000, 102, 1)


def test_leukemiaattri_vocabulary() -> None:
    attributes = ONTOLOGY.morphology("leukemiaattri").attributes
    assert " ".join(each.key for each in attributes.values()) == (
        "cell_size nuclear_chromatio nuclear_shape nucleolus cytoplasm cytoplasmic_basophilia cytoplasmic_vacuoles"
    )
    assert attributes["nuclear_chromatin"].codes == {0: "open", 1: "coarse", 4: None}
    assert attributes["cell_size"].values == ("small", "medium", "large")
    assert 2 not in attributes["nuclear_shape"].codes


# Raw names


def test_normalise() -> None:
    assert normalise("  Neutrophile__Band ") == normalise("neutrophile-band") == "neutrophile band"
    assert normalise("\uff37\uff22\uff23") == "wbc"  # full-width letters
    assert normalise("non\u2011segmented") == "non segmented"  # non-breaking hyphen


@given(st.text())
@example("\u0130\u00df\u1e9e\u03c2")
@example("\u0345\u03b1\u0345")
def test_normalise_is_idempotent_and_ignores_ends(raw: str) -> None:
    once = normalise(raw)
    assert normalise(once) == once
    assert normalise(f"_{raw}- ") == once


def test_normalise_is_idempotent_for_the_first_two_planes() -> None:
    odd = [code for code in range(0x20000) if normalise(normalise(chr(code))) != normalise(chr(code))]
    assert odd == []


def test_label_map_resolves_and_keeps_the_raw_spelling() -> None:
    labels = LabelMap(
        {
            "Neutrophile Band": "band_neutrophil",
            "Burst": {"to": "smudge_cell", "relation": "close"},
            "ig": {"to": "immature_granulocyte", "fine": "myelocyte"},
            "mixt": "unlabelled",
        }
    )
    assert labels.resolve("neutrophile_band") == Label("neutrophile_band", "band_neutrophil", "exact", None)
    assert labels.resolve("Burst") == Label("Burst", "smudge_cell", "close", None)
    assert labels.resolve("IG") == Label("IG", "immature_granulocyte", "exact", "myelocyte")
    assert labels.resolve("mixt").node is None  # unlabelled is null in a corpus
    assert labels.known == ("Neutrophile Band", "Burst", "ig", "mixt")


def test_a_star_stands_for_any_ending() -> None:
    labels = LabelMap(
        {"Neutrophil*": "neutrophil", "ig_*": "immature_granulocyte", "ig_MY_*": "myelocyte", "IG_x": "blast"}
    )
    assert labels.resolve("Neutrophil (12)").node == labels.resolve("neutrophils").node == "neutrophil"
    assert labels.resolve("ig_7").node == labels.resolve("ig").node == "immature_granulocyte"
    assert labels.resolve("ig_MY_7").node == "myelocyte"  # the longer beginning
    assert labels.resolve("ig_x").node == "blast"  # spelled out
    with pytest.raises(UnknownLabelError):
        labels.resolve("ignored")


def test_unknown_raw_label_names_the_nearest() -> None:
    labels = LabelMap({"Platelets": "platelet", "RBC": "red_blood_cell"}, source="bccd")
    with pytest.raises(UnknownLabelError, match=r"bccd .*'Platlets'\. Did you mean Platelets\?"):
        labels.resolve("Platlets")
    with pytest.raises(UnknownLabelError, match=r"Known are: Platelets, RBC"):
        labels.resolve("xyz")


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ({"WBC": "wbc"}, UnknownNodeError, r"bccd, \[labels\] 'WBC': .*'wbc'"),
        ({"ig": {"to": "immature_granulocyte", "fine": "myelo"}}, UnknownNodeError, "'myelo'"),
        (
            {"Burst": {"to": "smudge_cell", "relation": "near"}},
            FormatError,
            "'near'; expected exact, close, broad, narrow",
        ),
        ({"Burst": {"to": "smudge_cell", "note": "burst"}}, FormatError, "the key 'note'"),
        ({"Burst": {"relation": "close"}}, FormatError, "no `to`"),
        ({"Sickle_Cell": "rbc_sickle", "sickle cell": "rbc_other_deformed"}, FormatError, "one name with two targets"),
        ({"PC": "platelet", "pc": {"to": "platelet", "relation": "close"}}, FormatError, "one name with two targets"),
        ({"*": "platelet"}, FormatError, "stands for every name"),
    ],
)
def test_a_wrong_label_map_is_refused(
    table: dict[str, str | dict[str, str]], error: type[HemaError], message: str
) -> None:
    with pytest.raises(error, match=message):
        LabelMap(table, source="bccd")


def test_two_spellings_of_one_name_may_share_a_target() -> None:
    assert LabelMap({"Platelets": "platelet", "platelets": "platelet"}).resolve("PLATELETS").node == "platelet"


@given(st.dictionaries(st.text(min_size=1).filter(lambda raw: normalise(raw) and not raw.endswith("*")), nodes))
def test_every_raw_name_of_a_map_resolves(table: dict[str, str]) -> None:
    if len({normalise(raw) for raw in table}) < len(table):
        return
    labels = LabelMap(table)
    for raw, node in table.items():
        found = labels.resolve(raw)
        assert (found.raw, found.node) == (raw, None if node == "unlabelled" else node)
