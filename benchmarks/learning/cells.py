"""The corpus of single cells: Acevedo's pictures, what experts say of them, questions on a vector-disjoint split."""

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import hemadata
from hemadata.formats import pairs
from hemasynth.engines.template import TemplateEngine
from hemasynth.vqa import write

if TYPE_CHECKING:
    from learning.common import Bench

SLUG = "wbcatt-vqa"
KEPT_BACK = 40  # per cent of the vectors; they hold about half of the test cells
TIMES = 4  # so many times the paper's questions on a cell: ten in training, four in the test


@cache
def corpus(bench: "Bench") -> Path:
    """`acevedo`, `wbcatt` (anchor of the family's split) and `wbcatt-vqa`.

    A vector is a cell's kind with all its attributes. 798 training cells have 149 of them and share nearly all with the
    test part, so that some vectors are kept back: no question on a training cell of such a vector is in the corpus.
    """
    path = described(bench)
    about, rows = pairs.read(questions(bench))
    with hemadata.open(path) as opened:
        columns = ["sample_id", "split", "label", "attributes"]
        learnt = {
            row["sample_id"].rpartition("/")[2]
            for row in opened.rows("classification", None, columns, "wbcatt")
            if row["split"] != "train" or not kept_back(row["label"], row["attributes"])
        }
    raw = bench.work / "raw-disjoint"
    pairs.write(raw / SLUG / "hemasynth", about, [row for row in rows if Path(row["image"]).stem in learnt])
    return bench.corpus("cells", SLUG, raw=raw)


@cache
def described(bench: "Bench") -> Path:
    """The same corpus, maybe still without questions."""
    return bench.corpus("cells", "acevedo", "wbcatt")


@cache
def questions(bench: "Bench") -> Path:
    """The raw tree with the questions on all cells."""
    times = max(1, round(TIMES * bench.scale))
    _, folder = write(TemplateEngine(), described(bench), bench.work / "raw-texts", times=times)
    return folder


def kept_back(label: str | None, attributes: list[dict[str, str]] | None) -> bool:
    """Whether a vector is for the test alone: by a hash, whatever cells have it."""
    vector = (label, sorted((each["name"], each["value"]) for each in attributes or ()))
    return int.from_bytes(sha256(repr(vector).encode()).digest()[:8]) % 100 < KEPT_BACK
