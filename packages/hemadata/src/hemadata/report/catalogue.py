"""The sources as a table, for a person and as JSON: what the paper counts beside what a corpus holds."""

from collections import Counter
from pathlib import Path
from typing import Any

from hemadata import sources
from hemadata.sources.base import Source


def catalogue(corpus: Path | None = None, outside: bool = False, foreign: bool = True) -> list[dict[str, Any]]:
    """One object per row of the paper's tables 1 to 4, in their order.

    Args:
        corpus: whose images and classes are counted as found; phantoms are not.
        outside: also the sources that are no row of the tables, after the rows.
        foreign: of these also the sources of other packages.
    """
    found, pairs = _found(corpus) if corpus else {}, overlaps(foreign)
    return [
        _entry(source, pairs[source.name]) | found.get(source.name, {"images_found": None, "classes_found": None})
        for source in sources.every(foreign)
        if outside or source.facts.table
    ]


def overlaps(foreign: bool = True) -> dict[str, dict[str, str]]:
    """Slug -> slugs of the sources that share pictures with it -> which; said on one page, it holds for both."""
    pairs: dict[str, dict[str, str]] = {source.name: {} for source in sources.every(foreign)}
    for source in sources.every(foreign):
        for other, which in source.facts.overlaps.items():
            pairs[source.name][other] = which
            pairs.setdefault(other, {}).setdefault(source.name, which)
    return {name: dict(sorted(others.items())) for name, others in pairs.items()}


def _entry(source: Source, shared: dict[str, str]) -> dict[str, Any]:
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
        "confidence": facts.confidence.model_dump() if facts.confidence else None,
        "overlaps": list(shared),
    }


def _found(corpus: Path) -> dict[str, dict[str, int | None]]:
    if not (corpus / "manifest").is_dir():
        return {}
    from hemadata.build.records import read_manifests

    return {
        manifest.source: {
            "images_found": manifest.images,
            "classes_found": _classes(corpus, manifest.task, [shard.path for shard in manifest.shards]),
        }
        for manifest in read_manifests(corpus)
        if manifest.phantom is None
    }


def _classes(corpus: Path, task: str, shards: list[str]) -> int | None:
    """Distinct class words of the rows' labels and objects, or regions of the masks; None for texts."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    leaves = {
        "classification": ["label_raw"],
        "detection": ["label_raw", "objects.list.element.label_raw"],
        "segmentation": ["mask_classes.list.element.label", "mask_classes.list.element.pixels"],
    }
    if task not in leaves:
        return None
    words: set[str | None] = set()
    for shard in shards:
        if not (corpus / shard).is_file():
            return None  # `hemadata check` tells what is missing
        table = pq.ParquetFile(corpus / shard).read(columns=leaves[task])
        for name in table.column_names:
            column = table[name].combine_chunks()
            while str(column.type).startswith("list"):
                column = pc.list_flatten(column)
            if task == "segmentation":
                column = column.filter(pc.greater(pc.struct_field(column, "pixels"), 0))
                column = pc.struct_field(column, "label")
            elif str(column.type).startswith("struct"):
                column = pc.struct_field(column, "label_raw")
            words.update(pc.unique(column).to_pylist())
    return len(words - {None, "background"})


def table(rows: list[dict[str, Any]]) -> str:
    """The catalogue for a person."""
    header = ("table", "name", "task", "images", "found", "classes", "found", "licence", "access")
    lines: list[tuple[str, ...]] = [(*header, "annotation", "facts", "same pictures as")]
    for row in rows:
        place = f"{row['table']}.{row['row']}" if row["table"] else ""
        counts = [f"{row[f'{what}_{by}']:,}" if row[f"{what}_{by}"] is not None else "" for what, by in COUNTED]
        known = (row["name"], row["task"], *counts, row["license"], row["access"], row["annotation_origin"])
        lines.append((place, *known, lowest(row["confidence"]), ", ".join(row["overlaps"])))
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    origins = Counter(row["annotation_origin"] for row in rows)
    told = ", ".join(f"{origins[origin]} {words}" for origin, words in ORIGINS.items() if origins[origin])
    return "\n".join([*text, "", f"{len(rows)} sources; annotations: {told}."])


COUNTED = (("images", "published"), ("images", "found"), ("classes", "published"), ("classes", "found"))
ORIGINS = {"published": "published", "derived": "derived from what is published", "none": "not published"}


def lowest(confidence: dict[str, str] | None) -> str:
    """The weakest of layout, annotation and classes; "" where the page says nothing."""
    return min(confidence.values(), key=("low", "medium", "high").index) if confidence else ""
