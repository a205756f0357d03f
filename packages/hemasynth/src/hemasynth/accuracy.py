"""How often texts are right on each feature: the layout of table 2 of the HemBLIP paper, with intervals beneath."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hemadata import ontology

from hemasynth.faithful import Judged
from hemasynth.wilson import wilson

# the table's rows in its order and words, with the attributes of both sources that they stand for; its row "Diagnosis"
# is left out, since no record of a cell holds one
FEATURES = {
    "Cell type": ("label",),
    "Nuclear chromatin texture": ("nuclear_chromatin", "chromatin_density"),
    "Cytoplasm amount": ("cytoplasm",),
    "Nuclear shape": ("nuclear_shape", "nucleus_shape"),
    "Overall shape": ("cell_shape",),
    "Cell size": ("cell_size",),
}
_FEATURE = {attribute: feature for feature, attributes in FEATURES.items() for attribute in attributes}
_WIDTH = 10  # of a column with figures

Column = tuple[str, str]  # model and test set


def column(line: Mapping[str, object], file: str) -> Column:
    """Return the column of a line: its own `model` and `test_set` where it names them, else the name of its file."""
    return str(line.get("model") or file), str(line.get("test_set") or "")


class Accuracy:
    """Counts, over many texts, how many state a feature and how many of these are right.

    A text counts once per feature, and as wrong when any claim on it is contradicted. As in the paper, a text that
    says nothing of a feature does not count for it; `stated` tells how many do.
    """

    def __init__(self) -> None:
        self.texts: Counter[Column] = Counter()
        self.stated: Counter[tuple[str, Column]] = Counter()
        self.right: Counter[tuple[str, Column]] = Counter()

    def add(self, where: Column, source: str, claims: Sequence[Judged]) -> None:
        """Count the claims of one text in a column."""
        self.texts[where] += 1
        verdicts: dict[str, set[str]] = {}
        for one in claims:
            if one.claim.attribute and one.verdict in ("supported", "contradicted") and one.claim.kind != "implied":
                verdicts.setdefault(_feature(source, one.claim.attribute), set()).add(one.verdict)
        for feature, found in verdicts.items():
            self.stated[feature, where] += 1
            self.right[feature, where] += "contradicted" not in found

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per feature and column that states it: the paper's features first, then the most frequent."""
        total: Counter[str] = Counter()
        for (feature, _), number in self.stated.items():
            total[feature] += number
        paper = [feature for feature in FEATURES if feature in total]
        found = []
        for feature in [*paper, *sorted(total.keys() - FEATURES.keys(), key=lambda name: (-total[name], name))]:
            for where in self.texts:
                if stated := self.stated[feature, where]:
                    right = self.right[feature, where]
                    low, high = wilson(right, stated)
                    found.append(
                        {
                            "feature": feature,
                            "model": where[0],
                            "test_set": where[1] or None,
                            "accuracy": right / stated,
                            "interval": [low, high],
                            "stated": stated,
                            "texts": self.texts[where],
                        }
                    )
        return found

    def table(self) -> str:
        """Return the paper's table (percent; a column per model and test set), then each figure with its interval."""
        rows, columns = self.rows(), list(self.texts)
        figure = {(row["feature"], row["model"], row["test_set"] or ""): f"{row['accuracy']:.2%}"[:-1] for row in rows}
        features = list(dict.fromkeys(row["feature"] for row in rows))
        first = max(len(name) for name in ["Feature", *features])
        names = ["" if i and columns[i - 1][0] == model else model for i, (model, _) in enumerate(columns)]
        heads = [names, [test_set for _, test_set in columns]] if any(test for _, test in columns) else [names]
        cells = [[figure.get((feature, *where), "-") for where in columns] for feature in features]
        widths = [max(_WIDTH, *(len(line[i]) for line in [*heads, *cells])) for i in range(len(columns))]
        lines = [
            "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(line, widths, strict=True))])
            for name, line in zip(["Feature", *[""] * (len(heads) - 1), *features], [*heads, *cells], strict=True)
        ]
        lines += ["", "of the texts that state the feature, with 95 % interval (Wilson):"]
        longest = max(len(" ".join(filter(None, where))) for where in columns)
        for row in rows:
            low, high = row["interval"]
            where_ = " ".join(filter(None, (row["model"], row["test_set"])))
            share = f"{row['stated']:,} of {row['texts']:,}"
            lines.append(f"{row['feature']:{first}}  {where_:{longest}}  {low:>6.1%} to {high:>6.1%}  {share:>16}")
        return "\n".join(line.rstrip() for line in ["Accuracy (%)", *lines])


def _feature(source: str, attribute: str) -> str:
    display = _FEATURE.get(attribute)
    return display or str(ontology.load().morphology(source).attributes[attribute].display)
