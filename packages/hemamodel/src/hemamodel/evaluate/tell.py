"""Scores as a person reads them: lines for a terminal, a page of Markdown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hemamodel.evaluate.names import MAIN, MORE, NAMES, PARTS
from hemamodel.evaluate.paper import published

MORPHOLOGY = {"morphology": "of detections above the threshold", "morphology_matched": "of detections of any score"}
OTHERS = {"split_upstream": "the publisher's test", "split_paper": "the paper's test"}


@dataclass(frozen=True)
class Block:
    """A piece of a page: `text`, or a table of `head` and `rows`.

    Attributes:
        kind: title, heading, note, text, item or table.
        text: of all but tables.
        head: of a table.
        rows: the same.
    """

    kind: str
    text: str = ""
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def table(found: Mapping[str, Any]) -> str:
    """Lines for the answer of `evaluate`."""
    lines = [f"{found['run']} on {found['split']} of corpus {found['corpus_id']}", *_warnings(found)]
    for task, scores in found["scores"].items():
        lines.append(f"{task}: {scores['samples']:,} samples of {', '.join(found['sources'][task])}")
        lines.append("  " + _main(scores))
        lines += [f"    {slug:24} {_main(each)}" for slug, each in scores.get("by_source", {}).items()]
        for name, each in scores.get("classes", {}).items():
            lines.append(f"    {name:32} " + "   ".join(f"{key} {short(value)}" for key, value in each.items()))
        if scores.get("morphology"):
            lines.append("  morphology above the threshold: " + _found(scores["morphology"]))
            lines += [f"    {name:32} macro_f1 {short(each['macro_f1'])}   {each['boxes']:,} boxes"
                      for name, each in scores["morphology"]["attributes"].items()]  # fmt: skip
        lines += [f"  {line}" for line in (*_beside(scores), *_by_others(scores))]
    return "\n".join(lines)


def page(found: Mapping[str, Any]) -> str:
    """The same as Markdown."""
    return "\n".join([f"# {found['run']}\n", *sections(found)]) + "\n"


def sections(found: Mapping[str, Any], level: str = "##") -> Iterator[str]:
    """Lines of Markdown below a title.

    Args:
        found: the answer of `evaluate`.
        level: of the headings.
    """
    for block in blocks(found):
        if block.kind != "title":
            yield from _markdown(block, level)


def _markdown(block: Block, level: str) -> Iterator[str]:
    if block.kind == "table":
        yield from markdown(block.head, block.rows)
    else:
        mark = {"heading": f"\n{level} ", "note": "> ", "item": "* "}.get(block.kind, "")
        yield f"{mark}{block.text}" + ("" if block.kind == "item" else "\n")


def blocks(found: Mapping[str, Any]) -> Iterator[Block]:
    """What a page says, a heading before each task."""
    yield Block("title", found["run"])
    where = f"Stage {found['stage']}, seed {found['seed']}, on {found['split']} of corpus {found['corpus_id']}."
    yield Block("text", f"{where} In brackets: 95 % of a bootstrap over groups (patients, films, cells).")
    yield from (Block("note", line) for line in _warnings(found))
    for task, scores in found["scores"].items():
        yield Block("heading", task)
        yield from _of_task(task, scores, found["sources"][task])


def _of_task(task: str, scores: Mapping[str, Any], sources: Sequence[str]) -> Iterator[Block]:
    kinds = [name for name in (*MAIN, *MORE) if name in scores]
    parts = scores.get("by_source") or {slug: scores for slug in sources}
    parts = parts if len(parts) == 1 else {**parts, "all": scores}
    yield _table(
        ["source", "samples", *kinds, "paper"],
        ([slug, f"{each['samples']:,}", *(_with_interval(each, kind) for kind in kinds), _paper(task, slug)]
         for slug, each in parts.items()),
    )  # fmt: skip
    for name, part in _parts(scores).items():
        if name:
            yield Block("text", f"{name}, {part['samples']:,} samples: {_main(part) or '-'}")
        if part.get("baselines"):
            yield _baselines(part, kinds)
    if scores.get("classes"):
        columns = sorted({key for each in scores["classes"].values() for key in each})
        yield _table(
            ["class", *columns],
            ([name, *(short(each.get(key)) for key in columns)] for name, each in scores["classes"].items()),
        )
    for name, how in MORPHOLOGY.items():
        if scores.get(name):
            yield Block("text", f"Morphology, {how}: {_found(scores[name])}")
            yield _table(
                ["attribute", "macro F1", "boxes"],
                ([attribute, short(each["macro_f1"]), f"{each['boxes']:,}"]
                 for attribute, each in scores[name]["attributes"].items()),
            )  # fmt: skip
    if scores.get("confusion"):
        yield Block("text", "Confusion: annotated classes in rows, found ones in columns.")
        yield _confusion(scores["confusion"])
    if scores.get("attributes"):
        yield _table(
            ["attribute in answers", "accuracy", "answers that name it"],
            ([name, short(each["accuracy"]), f"{each['answers']:,}"] for name, each in scores["attributes"].items()),
        )
    yield from (Block("item", line) for line in _by_others(scores))


def _confusion(table: Mapping[str, Mapping[str, int]]) -> Block:
    columns = sorted({name for row in table.values() for name in row})
    rows = ([name, *(f"{table[name].get(column, 0):,}" for column in columns)] for name in sorted(table))
    return _table(["", *columns], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Block:
    return Block("table", head=head, rows=list(rows))


def _parts(scores: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """All samples, under no name, and the parts of them that are scored alone."""
    return {"": scores, **{PARTS[name].capitalize(): scores[name] for name in PARTS if name in scores}}


def _baselines(scores: Mapping[str, Any], kinds: Sequence[str]) -> Block:
    """Beside whom, their scores, and by how much the run is better."""
    paired = [kind for kind in kinds if any(kind in each["difference"] for each in scores["baselines"].values())]
    head = ["beside", *kinds, *(f"better by, {kind}" for kind in paired)]
    rows = [
        [NAMES[name], *(_with_interval(each, kind) for kind in kinds), *(_gain(each, kind) for kind in paired)]
        for name, each in scores["baselines"].items()
    ]
    return _table(head, rows)


def _gain(baseline: Mapping[str, Any], kind: str) -> str:
    by = baseline["difference"].get(kind)
    return f"{by['difference']:+.3f} ({by['low']:+.3f} to {by['high']:+.3f})" if by else "-"


def _beside(scores: Mapping[str, Any]) -> Iterator[str]:
    """Baselines for a terminal."""
    for name, part in _parts(scores).items():
        if name:
            yield f"{name}, {part['samples']:,} samples: {_main(part) or '-'}"
        for other, each in part.get("baselines", {}).items():
            gains = "   ".join(f"{kind} {_gain(each, kind)}" for kind in MAIN if kind in each["difference"])
            yield f"  {NAMES[other]:26} {_main(each)}" + (f"; better by {gains}" if gains else "")


def _warnings(found: Mapping[str, Any]) -> list[str]:
    lines = []
    if found["corpus_id"] != found["trained_on_corpus_id"]:
        lines.append(
            f"It was trained on corpus {found['trained_on_corpus_id']}: its test rows may have been in training."
        )
    if found["blind"]:
        lines.append("A blind run: it has never seen an image, nor does it here.")
    if other := found.get("against"):
        lines.append(f"Beside {other['run']}" + (", a blind run." if other["blind"] else "."))
        if differs := [name for name in other["differs"] if name != "blind"]:
            lines.append(f"That run also differs in {', '.join(differs)}: the difference is not of one thing alone.")
    return lines + [f"{task}: the corpus has nothing for it in {found['split']}." for task in found["absent"]]


def _by_others(scores: Mapping[str, Any]) -> list[str]:
    """What other people's tests would have said."""
    lines = []
    for by, name in OTHERS.items():
        if by in scores:
            there = scores[by]
            line = f"on {name}, {there['samples']:,} samples: {_main(there)}; {there['leaked']:,} are in training here"
            if "without_leaked" in there:
                line += f", without them {_main(there['without_leaked'])}"
            lines.append(line + ".")
    return lines


def _paper(task: str, source: str) -> str:
    found = published(task, source)
    return f"{found[0]} {found[1]:.3f} (table {found[2]})" if found else ""


def _found(morphology: Mapping[str, Any]) -> str:
    share = f"{morphology['found_boxes']:,} of {morphology['rated_boxes']:,} rated boxes that were found"
    return f"{share}: macro_f1 {short(morphology['macro_f1'])}"


def _main(scores: Mapping[str, Any]) -> str:
    return "   ".join(f"{name} {_with_interval(scores, name)}" for name in MAIN if name in scores)


def _with_interval(scores: Mapping[str, Any], name: str) -> str:
    interval = scores.get("intervals", {}).get(name)
    return short(scores.get(name)) + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table, line by line, and an empty line."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def short(value: float | None) -> str:
    """A count as it is, a score with three digits, `-` for none."""
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
