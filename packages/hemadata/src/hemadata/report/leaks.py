"""`reports/leakage.csv` added up between sources: how many pairs show the same picture, how many cross into test."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from hemadata.errors import CorpusError

_NEEDED = ("kind", "leaks", "source_a", "source_b")


def leakage(corpus: Path) -> dict[str, Any]:
    """Pairs by their two sources.

    Returns:
        `searched`: whether the file is there; `pairs`, `leaking`: totals; `edges`: one for each two sources (or one
        source twice), with the pairs by kind.

    Raises:
        CorpusError: the file has other columns.
    """
    path = corpus / "reports" / "leakage.csv"
    if not path.exists():
        return {"searched": False, "pairs": 0, "leaking": 0, "edges": []}
    kinds, leaking = Counter[tuple[str, str, str]](), Counter[tuple[str, str]]()
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file)
        if missing := [name for name in _NEEDED if name not in (lines.fieldnames or ())]:
            raise CorpusError(
                f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(lines.fieldnames or ())}. "
                f"Run hemadata duplicates {corpus} again."
            )
        for line in lines:
            a, b = sorted((line["source_a"] or "", line["source_b"] or ""))
            kinds[a, b, line["kind"] or ""] += 1
            leaking[a, b] += line["leaks"] == "yes"
    edges: list[dict[str, Any]] = [
        {"sources": [a, b], "pairs": sum(n for key, n in kinds.items() if key[:2] == (a, b)), "leaking": leaking[a, b]}
        | {"kinds": {key[2]: n for key, n in sorted(kinds.items()) if key[:2] == (a, b)}}
        for a, b in sorted(leaking)
    ]
    edges.sort(key=lambda edge: (-edge["leaking"], -edge["pairs"]))
    return {"searched": True, "pairs": kinds.total(), "leaking": leaking.total(), "edges": edges}
