"""What templates and checker cost on the whole of WBCAtt: `python benchmarks/synth_template.py [--raw DIR] [--json]`.

One process. The run is what `hemasynth vqa --engine template` does without the corpus: plan, write, check, journal,
raw tree. The checker is timed apart, once as it runs (it remembers texts that it has read) and once made to forget
before each pair. `let_through` counts, of 10,000 pairs whose record gets another value for one attribute that the pair
uses, those that still pass; `let_through_by_claims` those that pass without the list of what the pair says it uses.
"""

import argparse
import json
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from hemadata.formats import pairs
from hemasynth import claims
from hemasynth.engines.template import TemplateEngine
from hemasynth.faithful import Checker
from hemasynth.journal import Journal
from hemasynth.labels import read_labels
from hemasynth.plan import Cell, plan
from hemasynth.run import Run


def check_all(found: list[Cell], forget: bool) -> float:
    """Return the pairs that are checked in a second."""
    engine, checker = TemplateEngine(), Checker()
    written = [(item, *engine.write(item)) for item in plan(found, checker.lexicon)][:: 10 if forget else 1]
    claims._read.cache_clear()
    start = time.process_time()
    for item, question, answer in written:
        if forget:
            claims._read.cache_clear()
        record = item.cell.record
        uses = [(name, record.value(name) or "") for name in item.topic.uses]
        assert checker.pair(record, question, answer, item.topic.asked, uses).passed
    return len(written) / (time.process_time() - start)


def mutate(found: list[Cell], number: int = 10_000) -> dict[str, int]:
    """Swap one attribute that a pair uses in its record, and count the pairs that pass nevertheless."""
    engine, checker, chance = TemplateEngine(), Checker(), random.Random(0)
    values = {**checker.lexicon.values, "label": checker.lexicon.labels}
    items = chance.choices(plan(found, checker.lexicon), k=number)
    told = dict.fromkeys(("mutated", "let_through", "let_through_by_claims"), 0)
    for item in items:
        question, answer = engine.write(item)
        record, name = item.cell.record, chance.choice(list(item.topic.uses))
        other = chance.choice([value for value in values[name] if value != record.value(name)])
        changed = replace(record, label=other) if name == "label" else record
        if name != "label":
            changed = replace(record, attributes={**record.attributes, name: other})
        uses = [(each, record.value(each) or "") for each in item.topic.uses]
        told["mutated"] += 1
        told["let_through"] += checker.pair(changed, question, answer, item.topic.asked, uses).passed
        told["let_through_by_claims"] += checker.pair(changed, question, answer, item.topic.asked).passed
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("../shared/raw"), help="folder with wbcatt")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    found = read_labels(options.raw / "wbcatt")
    with tempfile.TemporaryDirectory() as folder:
        start, cpu = time.perf_counter(), time.process_time()
        with Journal(Path(folder) / "journal.jsonl") as journal:
            outcome = Run(TemplateEngine()).write(found, journal)
        pairs.write(Path(folder) / "hemasynth", outcome.run, outcome.pairs)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    told = {
        "cells": len(found),
        "pairs": len(outcome.pairs),
        "refused": outcome.refused,
        "distinct_pairs": len({(row["question"], row["answer"]) for row in outcome.pairs}),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        **mutate(found),
        "checked_per_second": round(check_all(found, forget=False)),
        "checked_per_second_forgetting": round(check_all(found, forget=True)),
    }
    print(json.dumps(told) if options.json else "\n".join(f"{name:30} {value:>12,}" for name, value in told.items()))


if __name__ == "__main__":
    main()
