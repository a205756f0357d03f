"""How often a text is right on each attribute: the form of table 2 of the HemBLIP paper, with intervals."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hemadata import ontology

from hemasynth.faithful import Judged
from hemasynth.wilson import wilson


class Accuracy:
    """Counts, over many texts, how many state an attribute and how many of these are right.

    A text counts once per attribute, and as wrong when any claim on it is contradicted. As in the paper, a text that
    says nothing of an attribute does not count for it; `mentioned` tells how many do.
    """

    def __init__(self) -> None:
        self.texts: Counter[str] = Counter()
        self.stated: Counter[tuple[str, str]] = Counter()
        self.right: Counter[tuple[str, str]] = Counter()

    def add(self, source: str, claims: Sequence[Judged]) -> None:
        """Count the claims of one text."""
        self.texts[source] += 1
        verdicts: dict[str, set[str]] = {}
        for one in claims:
            if one.claim.attribute and one.verdict in ("supported", "contradicted") and one.claim.kind != "implied":
                verdicts.setdefault(one.claim.attribute, set()).add(one.verdict)
        for name, found in verdicts.items():
            self.stated[source, name] += 1
            self.right[source, name] += "contradicted" not in found

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per source and attribute that is stated, most frequent first."""
        found: list[dict[str, Any]] = []
        for (source, name), stated in sorted(self.stated.items(), key=lambda pair: (pair[0][0], -pair[1], pair[0][1])):
            low, high = wilson(self.right[source, name], stated)
            vocabulary = ontology.load().morphology(source).attributes
            display = "Cell type" if name == "label" else vocabulary[name].display
            found.append(
                {
                    "source": source,
                    "attribute": name,
                    "feature": display,
                    "stated": stated,
                    "texts": self.texts[source],
                    "accuracy": self.right[source, name] / stated,
                    "interval": [low, high],
                }
            )
        return found

    def table(self) -> str:
        """Return the rows as text."""
        lines = [f"{'Feature':28} {'accuracy':>9}  {'95 % interval':>17}  {'stated in':>16}"]
        for row in self.rows():
            low, high = wilson(self.right[row["source"], row["attribute"]], row["stated"])
            share = f"{row['stated']:,} of {row['texts']:,}"
            lines.append(f"{row['feature']!s:28} {row['accuracy']:>9.2%}  {low:>7.1%} to {high:>6.1%}  {share:>16}")
        return "\n".join(lines)
