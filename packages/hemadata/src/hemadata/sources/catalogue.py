"""The sources as a table, as JSON, and one page each."""

from pathlib import Path
from typing import Any

from hemadata import sources
from hemadata.sources.base import Source


def catalogue(corpus: Path | None = None) -> list[dict[str, Any]]:
    """One object per source, in the order of the paper's tables; `images_found` where the corpus holds the source."""
    found = _found(corpus) if corpus else {}
    return [_entry(source) | {"images_found": found.get(source.name)} for source in sources.every()]


def _entry(source: Source) -> dict[str, Any]:
    facts = source.facts
    return {
        "name": facts.name,
        "title": facts.title,
        "table": facts.table,
        "row": facts.row,
        "task": facts.task,
        "images_published": facts.published.images,
        "classes_published": facts.published.classes,
        "train_published": facts.published.train,
        "test_published": facts.published.test,
        "license": facts.license,
        "access": facts.access,
        "annotation_origin": facts.annotation_origin,
    }


def _found(corpus: Path) -> dict[str, int]:
    if not (corpus / "manifest").is_dir():
        return {}
    from hemadata.build.records import read_manifests

    return {m.source: m.images for m in read_manifests(corpus) if m.phantom is None}


def table(rows: list[dict[str, Any]]) -> str:
    """The catalogue for a person."""
    header = ("table", "name", "task", "published", "found", "licence", "access", "annotation")
    lines = [header]
    for row in rows:
        place = f"{row['table']}.{row['row']}" if row["table"] else ""
        counts = [f"{row[key]:,}" if row[key] is not None else "" for key in ("images_published", "images_found")]
        lines.append(
            (place, row["name"], row["task"], *counts, row["license"], row["access"], row["annotation_origin"])
        )
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def page(source: Source) -> str:
    """Everything about one source, for a person."""
    facts = source.facts
    place = f"table {facts.table}, row {facts.row}" if facts.table else "beside the paper's tables"
    lines = [f"{facts.name}: {facts.title}", f"{facts.task}, {place}; annotation {facts.annotation_origin}", ""]
    lines += [f"cite       {facts.citation}", f"homepage   {facts.homepage}"]
    lines += [f"doi        {facts.doi}"] if facts.doi else []
    lines += [f"licence    {facts.license}{f' ({facts.license_note})' if facts.license_note else ''}"]
    lines += [f"raw        {', '.join(facts.raw_folders)}    version {facts.version}"]
    lines += [f"download   {download.url}" for download in facts.download]
    lines += ["", *facts.instructions.strip().splitlines()] if facts.instructions else []
    counts = {k: v for k, v in facts.published.model_dump().items() if v is not None and k not in ("note", "tolerance")}
    lines += ["", f"published  {', '.join(f'{k} {v:,}' for k, v in counts.items()) or 'no counts in the paper'}"]
    lines += [f"  {key}: {note}" for key, note in facts.published.note.items()]
    lines += [f"family     {facts.family}, split after {facts.anchor}"] if facts.family else []
    lines += (
        [f"defects    {', '.join(f'{reason} {count}' for reason, count in facts.defects.items())}"]
        if facts.defects
        else []
    )
    lines += ["", "labels"] if facts.labels else []
    lines += [f"  {raw} -> {to if isinstance(to, str) else to['to']}" for raw, to in facts.labels.items()]
    return "\n".join(lines)
