"""A page for each source, in Markdown that also reads well on a terminal, and all of them as `docs/sources.md`."""

from collections.abc import Iterator

from hemadata import sources
from hemadata.report.catalogue import ORIGINS, catalogue, lowest, overlaps
from hemadata.sources.base import Source
from hemadata.sources.facts import Download

COUNTS = ("images", "classes", "train", "test")


def page(source: Source, shared: dict[str, str] | None = None) -> str:
    """Everything that is known about one source.

    Args:
        source: which.
        shared: slugs of sources with the same pictures -> which ones; None: looked up.
    """
    shared = overlaps()[source.name] if shared is None else shared
    parts = [_about(source), _counts(source), _getting(source), _shared(source, shared), _labels(source)]
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part)))


def document() -> str:
    """`docs/sources.md`: one line per source, then a page each."""
    lines = [_PREAMBLE]
    lines += ["| table | source | task | images | classes | licence | access | annotation | facts | same pictures as |"]
    lines += ["|---|---|---|---|---|---|---|---|---|---|"]
    for row in catalogue(outside=True, foreign=False):
        place = f"{row['table']}.{row['row']}" if row["table"] else "-"
        counts = [f"{row[key]:,}" if row[key] is not None else "-" for key in ("images_published", "classes_published")]
        known = [row["task"], *counts, row["license"], row["access"], row["annotation_origin"]]
        cells = [place, f"[{row['name']}](#{row['name']})", *known, lowest(row["confidence"]) or "-"]
        lines.append(f"| {' | '.join([*cells, ', '.join(row['overlaps']) or '-'])} |")
    pairs = overlaps(foreign=False)
    pages = [page(source, pairs[source.name]) for source in sources.every(foreign=False)]
    return "\n".join(lines) + "\n\n" + "\n\n".join(pages) + "\n"


def _about(source: Source) -> Iterator[str]:
    facts = source.facts
    place = f"table {facts.table}, row {facts.row}" if facts.table else "beside the paper's tables"
    yield f"## {facts.name}\n"
    yield f"{facts.title}\n"
    yield f"* {facts.task}, {place}; annotations {ORIGINS[facts.annotation_origin]}"
    domain = [facts.domain.disease, facts.domain.specimen, facts.domain.modality, facts.domain.stain]
    yield f"* {', '.join(filter(None, [*domain, facts.domain.magnification]))}"
    yield f"* licence {facts.license}{f': {facts.license_note}' if facts.license_note else ''}"
    yield f"* version {facts.version}; homepage {facts.homepage}"
    yield f"* cite: {facts.citation}{f' doi:{facts.doi}' if facts.doi else ''}"
    if facts.confidence:
        sure = ", ".join(f"{name} {value}" for name, value in facts.confidence.model_dump().items())
        yield f"* how sure these facts are: {sure}"


def _counts(source: Source) -> Iterator[str]:
    published, archive = source.facts.published, source.facts.archive
    rows = []
    for name in COUNTS:
        paper, held, note = getattr(published, name), getattr(archive, name, None), published.note.get(name)
        if any(value is not None for value in (paper, held, note)):
            cells = [f"{value:,}" if value is not None else "-" for value in (paper, held)]
            rows.append(f"| {name} | {cells[0]} | {cells[1]} | {note or ''} |")
    if rows:
        yield from ("| count | in the paper | in the archive | where they differ |", "|---|---|---|---|", *rows)
    if source.facts.defects:
        found = ", ".join(f"{reason} {count}" for reason, count in source.facts.defects.items())
        yield f"{chr(10) if rows else ''}Known defects: {found}."


def _getting(source: Source) -> Iterator[str]:
    facts = source.facts
    folders = " and ".join(f"`raw/{folder}`" for folder in facts.raw_folders)
    fetched = any(download.by_program for download in facts.download)
    how = f"`hemadata fetch --source {facts.name}` gets it" if fetched else "A person gets it"
    yield f"{how}; it lies in {folders}.\n"
    for download in facts.download:
        yield f"* {_file(download)}"
    if facts.instructions:
        yield f"{chr(10) if facts.download else ''}{facts.instructions.strip()}"


def _file(download: Download) -> str:
    size = f"{download.bytes:,} bytes" if download.bytes is not None else None
    check = next((name for name in ("sha256", "md5", "git_sha1") if getattr(download, name)), None)
    told = [download.kind, size, f"checked by {check}" if check else None, "optional" if download.optional else None]
    told += [None if download.by_program else "by hand"]
    links = " or ".join(f"<{link}>" for link in (download.url, *download.mirrors))
    return f"{f'`{download.file}`, ' if download.file else ''}{', '.join(filter(None, told))}: {links}"


def _shared(source: Source, shared: dict[str, str]) -> Iterator[str]:
    facts = source.facts
    if facts.family:
        yield f"Family `{facts.family}`, split after `{facts.anchor}`."
    if shared:
        yield f"{chr(10) if facts.family else ''}Pictures of this source are also in:\n"
        yield from (f"* {other}: {which}" for other, which in shared.items())


def _labels(source: Source) -> Iterator[str]:
    for title, labels in (("Labels", source.facts.labels), ("Finer labels", source.facts.labels_fine)):
        if labels:
            nodes = {
                raw: to if isinstance(to, str) else f"{to['to']} ({to.get('relation', 'exact')})"
                for raw, to in labels.items()
            }
            yield f"{title}: {', '.join(f'`{raw}` → {node}' for raw, node in nodes.items())}."


_PREAMBLE = """# The sources

Rendered from the facts pages in `hemadata/sources/` (`hemadata sources docs > docs/sources.md`); a test keeps the two
equal. Sources are in the order of tables 1 to 4 of the Uni-Hema paper, whose counts stand in the table; those without a
number are no row of it. *annotation* tells whether labels, boxes or masks are published, derived from something that
is, or not there at all: then the columns are null. *facts* is how sure the weakest fact about layout, annotation and
classes is: read from the archive itself (high), from programs of people who have it (medium), or guessed (low).
"""
