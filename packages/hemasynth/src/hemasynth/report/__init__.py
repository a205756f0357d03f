"""`hemasynth report`: one page without network about a set, made from what stands in its folder."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from hemadata.atomic import write_text

from hemasynth import plan as planning
from hemasynth import records, sessions, sets
from hemasynth.faithful import Checker
from hemasynth.journal import read as read_journal
from hemasynth.ladder import valid
from hemasynth.lexicon import load
from hemasynth.report import baselines, diversity, measure, review, sample, sentences
from hemasynth.run import keys


def make(
    folder: Path, out: Path | None = None, pictures: Path | None = None, verdicts: Path | None = None
) -> tuple[dict[str, Any], Path]:
    """Write the page of a set.

    Args:
        folder: the set, such as `raw/wbcatt-vqa`, with `hemasynth/` and `.hemasynth/`.
        out: the page; `report.html` in the folder by default.
        pictures: where the pictures of the cells lie, at any depth; without it the sample has none.
        verdicts: CSV exported from an earlier page.

    Returns:
        The numbers on the page, and its path.

    Raises:
        InputMissingError, FormatError: there is no set, or not what hemasynth writes.
        RecordError: the verdicts do not belong to it.
    """
    run, rows = sets.read(folder)
    told, drawn, cards = (_sentences if run.get("task") == "mlm" else _pairs)(folder, run, rows, pictures)
    judged = review.read(verdicts, {row["question_id"] for row in drawn}) if verdicts is not None else {}
    settings = {name: value for name, value in run.items() if name != "counts"}
    told = {"run": settings, **told, "review": review.summary(judged, len(drawn)) if judged else None}
    page = out or folder / "report.html"
    write_text(page, _render(folder.name, told, cards, judged))
    return told, page


Made = tuple[dict[str, Any], list[Mapping[str, Any]], list[dict[str, Any]]]


def _sentences(folder: Path, run: dict[str, Any], rows: list[dict[str, Any]], pictures: Path | None) -> Made:
    told, found, items = sentences.measured(folder, run)
    drawn = sample.draw(found)
    return told, drawn, sentences.cards(drawn, items, pictures)


def _pairs(folder: Path, run: dict[str, Any], rows: list[dict[str, Any]], pictures: Path | None) -> Made:
    own = folder / ".hemasynth"
    checker = Checker(load(run["source"]))
    cells = records.read(own / records.NAME)
    items = planning.plan(cells, checker.lexicon, run["seed"], times=run.get("times", 1))
    settings = {name: value for name, value in run.items() if name != "counts"}
    entries = valid(read_journal(own / "journal.jsonl")[0], keys(items, settings))
    decided = {entry["id"] for entry in entries}
    items = [item for item in items if item.id in decided]  # a run with --limit leaves the rest
    by_id = {item.id: item for item in items}
    rows = [row for row in rows if row["question_id"] in by_id]
    drawn = sample.draw(rows)
    told: dict[str, Any] = {
        "counts": run["counts"],
        "quotas": measure.quotas(items, rows),
        "acceptance": measure.acceptance(entries),
        "types": measure.by_type({item.id: item.topic.question_type for item in items}, entries),
        "coverage": measure.coverage(rows, items, checker.lexicon),
        "leaks": measure.leaks(rows, items),
        "diversity": diversity.measure(rows),
        "duplicates": diversity.duplicates(rows),
        "lengths": diversity.lengths(rows),
        "blind": baselines.blind(rows, items),
        "fill": {},
        "throughput": measure.throughput(sessions.read(own / sessions.NAME)),
    }
    return told, drawn, sample.cards(drawn, by_id, checker, pictures)


def _render(name: str, told: dict[str, Any], cards: list[dict[str, Any]], judged: dict[str, tuple[str, str]]) -> str:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["n"] = lambda number: f"{number:,}"
    environment.filters["share"] = lambda number: f"{number:.1%}"
    text = resources.files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8")
    before = {identity: {"verdict": verdict, "note": note} for identity, (verdict, note) in judged.items()}
    return environment.from_string(text).render(name=name, cards=cards, before=before, **told)
