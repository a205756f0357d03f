"""How well the checker judges the labelled sentences: `python benchmarks/checker.py [--set heldout] [--show]`.

A case is a sentence with one of its verdicts; it counts as caught when all cells for which the sentence has this
verdict get it, so that the cells of a sentence, which are not independent, count once. Intervals are Wilson's, 95 %.

contradiction recall  cases labelled contradicted that are found contradicted
false rejection       cases labelled supported that are found contradicted or unsupported
undecided             cases that are left undecided
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hemasynth import claims
from hemasynth.checkfile import judge
from hemasynth.wilson import wilson

SENTENCES = Path(__file__).parent.parent / "tests" / "hemasynth" / "sentences"
SETS = sorted({file.stem.partition("-")[2] for file in SENTENCES.glob("*.jsonl")})


def lines(sets: list[str]) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    """Yield sentence, expected verdict and the line for `hemasynth check`, one per cell."""
    records = json.loads((SENTENCES / "records.json").read_text())
    for source in ("wbcatt", "leukemiaattri"):
        for name in sets:
            file = SENTENCES / f"{source}-{name}.jsonl"
            for text in file.read_text().splitlines() if file.exists() else ():
                row = json.loads(text)
                said = {key: row[key] for key in ("text", "question", "answer") if key in row}
                for cell, verdict in row["verdicts"].items():
                    yield row, verdict, {"id": f"{row['id']}/{cell}", "source": source, **records[source][cell], **said}


def measure(sets: list[str]) -> tuple[dict[str, dict[str, tuple[int, int]]], list[str], float]:
    """Return counts by group and measure, the lines that went wrong, and judgements per second."""
    cases: dict[tuple[str, str], list[str]] = defaultdict(list)
    about: dict[str, dict[str, Any]] = {}
    wrong, every = [], list(lines(sets))
    start = time.process_time()
    for row, expected, line in every:
        claims._read.cache_clear()
        _, report = judge(line)
        cases[row["id"], expected].append(report.verdict)
        about[row["id"]] = row
        if report.verdict != expected:
            said = line.get("text") or f"{line['question']} => {line['answer']}"
            found = [
                f"{one.claim.attribute or '?'} {one.claim.polarity} {sorted(one.claim.values)} {one.verdict}"
                for one in report.claims
            ]
            wrong.append(f"{line['id']:20} {expected} -> {report.verdict}: {said}  {found}")
    seconds = time.process_time() - start
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for (name, expected), verdicts in cases.items():
        row = about[name]
        refused = any(verdict in ("contradicted", "unsupported") for verdict in verdicts)
        caught = all(verdict == expected for verdict in verdicts)
        measured = {"undecided": "undecided" in verdicts, "agreement": caught}
        if expected == "contradicted":
            measured["contradiction recall"] = caught
        if expected == "supported":
            measured["false rejection"] = refused
        for group in ("all", f"about {row['about']}", f"trap {row['trap']}"):
            for measure_name, hit in measured.items():
                groups[group][measure_name][0] += hit
                groups[group][measure_name][1] += 1
    counts = {group: {name: (a, b) for name, (a, b) in found.items()} for group, found in groups.items()}
    return counts, wrong, len(every) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", choices=SETS, help="default: all")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--show", action="store_true", help="list every judgement that differs from its label")
    options = parser.parse_args()
    counts, wrong, speed = measure(options.set or SETS)
    if options.json:
        print(json.dumps({"counts": counts, "judged_per_second": round(speed)}))
        return
    for group in sorted(counts, key=lambda name: (name != "all", name)):
        cells = []
        for name in ("contradiction recall", "false rejection", "undecided", "agreement"):
            hits, total = counts[group].get(name, (0, 0))
            low, high = wilson(hits, total)
            cells.append(f"{name} {hits}/{total} [{low:.3f}, {high:.3f}]" if total else f"{name} -")
        print(f"{group:32} " + "  ".join(f"{cell:46}" for cell in cells))
    print(f"{speed:,.0f} judgements a second, nothing remembered between them")
    if options.show:
        sys.stdout.write("".join(f"{line}\n" for line in wrong))


if __name__ == "__main__":
    main()
