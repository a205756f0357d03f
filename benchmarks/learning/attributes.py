"""Row `attributes`: WBCAtt's eleven attributes, read by a linear probe from frozen features of stage 1."""

from typing import Any

import torch
from hemamodel.evaluate.encoders import own
from hemamodel.evaluate.probe import probe

from learning import cells, classification
from learning.common import Bench, Clock, Row

ASKED = 0.70
BEYOND = 2  # of these attributes, which the kind of cell tells least of
HARD = ("nucleus_shape", "cell_size", "cell_shape", "cytoplasm_vacuole")


def run(bench: Bench) -> Row:
    """Macro F1 of each attribute, and of the value most common in the cell's true kind."""
    clock = Clock()
    trained, corpus = classification.trained(bench), cells.corpus(bench)
    encoder = own(trained.path, torch.device(bench.device), maps=True)
    found = probe(encoder, corpus, "wbcatt", device=bench.device, workers=bench.workers, symmetries=True)
    each = {name: shown(readers) for name, readers in found["targets"].items() if name != "label"}
    beyond = [name for name in HARD if each[name]["beyond_type_majority"]]
    means = {name: sum(row[name] for row in each.values()) / len(each) for name in ("macro_f1", "type_majority")}
    return {
        "macro_f1": means["macro_f1"],
        "attributes": each,
        "beyond_type_majority": beyond,
        "cells": found["test"],
        "baselines": {"type_majority": means["type_majority"]},
        "asked": {"macro_f1": ASKED, "beyond_type_majority": BEYOND},
        "meets": means["macro_f1"] >= ASKED and len(beyond) >= BEYOND,
        "minutes": clock.minutes,
    }


def shown(readers: dict[str, Any]) -> Row:
    """One attribute: the probe is beyond what the kind tells where its interval and the paired one say so."""
    linear, kind = readers["linear"], readers["type_majority"]
    over = linear["over_type_majority"]["macro_f1"]
    return {
        "macro_f1": linear["macro_f1"],
        "type_majority": kind["macro_f1"],
        "type_majority_interval": kind["intervals"]["macro_f1"],
        "difference": over,
        "beyond_type_majority": linear["macro_f1"] > kind["intervals"]["macro_f1"][1] and over["low"] > 0,
    }
