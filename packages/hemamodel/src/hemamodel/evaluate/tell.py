"""Scores as a person reads them: lines for a terminal, a page of Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hemamodel.evaluate.paper import published

MAIN = ("macro_f1", "weighted_f1", "accuracy", "dice", "iou", "ap50", "ap", "exact_match", "bleu_4", "rouge_l")
OTHERS = {"split_upstream": "the publisher's test", "split_paper": "the paper's test"}


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
            lines.append("  morphology of " + _found(scores["morphology"]))
            lines += [f"    {name:32} macro_f1 {short(each['macro_f1'])}   {each['boxes']:,} boxes"
                      for name, each in scores["morphology"]["attributes"].items()]  # fmt: skip
        lines += [f"  {line}" for line in _by_others(scores)]
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
    yield f"Stage {found['stage']}, seed {found['seed']}, on {found['split']} of corpus `{found['corpus_id']}`."
    yield "In brackets: 95 % of a bootstrap over groups (patients, films, cells).\n"
    for line in _warnings(found):
        yield f"> {line}\n"
    for task, scores in found["scores"].items():
        yield f"{level} {task}\n"
        kinds = [name for name in MAIN if name in scores]
        parts = scores.get("by_source") or {slug: scores for slug in found["sources"][task]}
        parts = parts if len(parts) == 1 else {**parts, "all": scores}
        yield from markdown(
            ["source", "samples", *kinds, "paper"],
            [
                [slug, f"{each['samples']:,}", *(_with_interval(each, kind) for kind in kinds), _paper(task, slug)]
                for slug, each in parts.items()
            ],
        )
        if scores.get("classes"):
            columns = sorted({key for each in scores["classes"].values() for key in each})
            yield from markdown(
                ["class", *columns],
                [[name, *(short(each.get(key)) for key in columns)] for name, each in scores["classes"].items()],
            )
        if scores.get("morphology"):
            yield f"Morphology of {_found(scores['morphology'])}\n"
            yield from markdown(
                ["attribute", "macro F1", "boxes"],
                [[name, short(each["macro_f1"]), f"{each['boxes']:,}"]
                 for name, each in scores["morphology"]["attributes"].items()],
            )  # fmt: skip
        for line in _by_others(scores):
            yield f"* {line}"
        yield ""


def _warnings(found: Mapping[str, Any]) -> list[str]:
    lines = []
    if found["corpus_id"] != found["trained_on_corpus_id"]:
        lines.append(
            f"It was trained on corpus {found['trained_on_corpus_id']}: its test rows may have been in training."
        )
    if found["blind"]:
        lines.append("A blind run: it has never seen an image, nor does it here.")
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
