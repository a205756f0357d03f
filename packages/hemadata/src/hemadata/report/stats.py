"""The figures of a corpus as one JSON object: `reports/stats.json`, what `hemadata stats --json` prints."""

import json
from collections import Counter
from typing import Any

from hemadata import schema, sources
from hemadata.build.records import Manifest
from hemadata.corpus import Corpus
from hemadata.quarantine import REASONS, WITHHELD, undeclared
from hemadata.report.leaks import leakage
from hemadata.report.tally import Tally, by_split, most, spread

EXAMPLES = 3  # quarantined records shown of each reason; `reports/quarantine.csv` holds all
SIZES = 12  # distinct image sizes listed; the spread covers all


def stats(corpus: Corpus, tallies: dict[str, Tally]) -> dict[str, Any]:
    """Everything that the report tells in numbers.

    Args:
        corpus: of which.
        tallies: source -> its counts.
    """
    pages = {name: source_stats(manifest, tallies[name]) for name, manifest in corpus.manifests.items()}
    return {
        "corpus_id": corpus.corpus_id,
        "schema": schema.SCHEMA_VERSION,
        "ontology": corpus.ontology.version,
        "assignment": corpus.version,
        "images": sum(page["images"] for page in pages.values()),
        "objects": sum(page["objects"] or 0 for page in pages.values()),
        "questions": sum(entry["count"] for page in pages.values() for entry in page["questions"]),
        "texts": sum(entry["count"] for page in pages.values() for entry in page["texts"]),
        "quarantined": sum(entry["count"] for page in pages.values() for entry in page["quarantine"]),
        "tasks": {task: _task(task, pages) for task in schema.TASKS},
        "labels": _labels(pages),
        "licences": _licences(pages),
        "leakage": leakage(corpus.path),
        "sources": pages,
        "absent": [source.name for source in sources.every() if source.name not in pages],
    }


def source_stats(manifest: Manifest, tally: Tally) -> dict[str, Any]:
    """The figures of one source, beside what its facts page says.

    Raises:
        KeyError: the manifest holds no facts.
    """
    facts = manifest.facts
    names = ("title", "table", "row", "annotation_origin", "family", "anchor", "license", "license_note", "access")
    page: dict[str, Any] = {"task": manifest.task} | {name: facts[name] for name in (*names, "citation", "homepage")}
    page |= {"domain": facts["domain"], "source_version": manifest.source_version, "phantom": manifest.phantom}
    has_objects = bool(tally.objects)
    counted = tally.object_labels if has_objects else tally.labels
    page |= {
        "images": tally.images.total(),
        "splits": {split: tally.images[split] for split in schema.SPLITS},
        "split_upstream": {split: n for split, n in sorted(tally.upstream.items(), key=str) if split},
        "split_paper": {split: n for split, n in sorted(tally.paper.items(), key=str) if split},
        "published": facts["published"],
        "objects": sum(n * images for n, images in tally.objects.items()) if has_objects else None,
        "classes": len({key[1] for counts in (tally.labels, tally.object_labels) for key in counts} - {None}),
        "labels_of": "objects" if has_objects else "images",
        "labels": [
            {"label": label, **splits} | ({"images": tally.images_with[(label,)]} if has_objects else {})
            for label, splits in by_split(counted)
        ],
        "label_map": _label_map(tally.labels, "image") + _label_map(tally.object_labels, "object"),
        "labels_unused": _unused(facts, tally),
        "image_sizes": _sizes(tally.sizes),
        "box_side_pixels": spread(tally.box_sides),
        "box_side_permille": spread(tally.box_shares),
        "box_sides": dict(sorted(tally.box_sides.items())),
        "objects_per_image": spread(tally.objects),
        "objects_histogram": dict(sorted(tally.objects.items())),
        "attributes": _attributes(tally.attributes),
        "regions": _regions(tally, manifest),
        "questions": _named(tally.questions, "type", "origin"),
        "texts": _named(tally.texts, "origin"),
        "licences": dict(tally.licences),
        "flags": dict(sorted(tally.flags.items())),
        "quarantine": _quarantine(manifest),
    }
    return page


def _task(task: str, pages: dict[str, Any]) -> dict[str, Any]:
    """A task beside the rows that the paper's tables have of it; rows without published count add nothing."""
    rows = [s.facts for s in sources.every() if s.facts.task == task and s.facts.table]
    here = [page for page in pages.values() if page["task"] == task]
    built = [facts for facts in rows if facts.name in pages and pages[facts.name]["phantom"] is None]
    return {
        "images": sum(page["images"] for page in here),
        "objects": sum(page["objects"] or 0 for page in here),
        "sources": len(here),
        "paper_sources": len(rows),
        "paper_sources_built": len(built),
        "paper_images": sum(facts.published.images or 0 for facts in rows),
        "paper_images_of_built": sum(facts.published.images or 0 for facts in built),
        "images_of_built": sum(pages[facts.name]["images"] for facts in built),
        "splits": {split: sum(page["splits"][split] for page in here) for split in schema.SPLITS},
    }


def _labels(pages: dict[str, Any]) -> list[dict[str, Any]]:
    """Every label of the corpus with its images and objects, and the sources that have it."""
    table: dict[str | None, dict[str, Any]] = {}
    for name, page in pages.items():
        for entry in page["labels"]:
            line = table.setdefault(entry["label"], {"label": entry["label"], "images": 0, "objects": 0, "sources": []})
            line[page["labels_of"]] += sum(entry[split] for split in schema.SPLITS)
            line["sources"].append(name)
    return sorted(table.values(), key=lambda line: (-line["images"] - line["objects"], line["label"] or ""))


def _licences(pages: dict[str, Any]) -> list[dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for name, page in pages.items():
        for licence, images in page["licences"].items():
            line = table.setdefault(licence, {"license": licence, "images": 0, "sources": []})
            line["images"] += images
            line["sources"].append(name)
    return sorted(table.values(), key=lambda line: -line["images"])


def _label_map(counts: Counter[tuple[Any, ...]], of: str) -> list[dict[str, Any]]:
    """Raw label -> node as used, with how often; rows that carry neither are not named."""
    used = Counter[tuple[Any, ...]]()
    for (_, label, raw, relation), count in counts.items():
        if label is not None or raw is not None:
            used[raw, label, relation] += count
    return [
        {"raw": raw, "label": label, "relation": relation, "of": of, "count": count}
        for (raw, label, relation), count in most(used.items())
    ]


def _unused(facts: dict[str, Any], tally: Tally) -> list[str]:
    """Raw labels of the map that no row has; beginnings (`IG_*`) are not told."""
    used = {str(key[2]).casefold() for counts in (tally.labels, tally.object_labels) for key in counts}
    return [raw for raw in facts["labels"] if raw.casefold() not in used and not raw.endswith("*")]


def _sizes(sizes: Counter[tuple[Any, ...]]) -> dict[str, Any]:
    widths, heights = Counter[int](), Counter[int]()
    for (width, height), count in sizes.items():
        widths[width] += count
        heights[height] += count
    listed = [{"width": w, "height": h, "images": n} for (w, h), n in most(sizes.items())[:SIZES]]
    return {"width": spread(widths), "height": spread(heights), "distinct": len(sizes), "most_frequent": listed}


def _attributes(counts: Counter[tuple[Any, ...]]) -> list[dict[str, Any]]:
    table: dict[str, list[dict[str, Any]]] = {}
    for (name, value), count in most(counts.items()):
        table.setdefault(name, []).append({"value": value, "count": count})
    return [{"name": name, "values": values} for name, values in sorted(table.items())]


def _regions(tally: Tally, manifest: Manifest) -> list[dict[str, Any]]:
    whole = sum(tally.region_pixels.values())
    return [
        {"region": region, "images": images, "pixel_share": tally.region_pixels[region] / whole}
        | {"foreground": region in (manifest.facts["foreground"] or ())}
        for (region,), images in most(tally.regions.items())
    ]


def _named(counts: Counter[tuple[Any, ...]], *names: str) -> list[dict[str, Any]]:
    return [dict(zip(names, key, strict=True)) | {"count": count} for key, count in most(counts.items())]


def _quarantine(manifest: Manifest) -> list[dict[str, Any]]:
    """What was withheld, repaired or passed over: by reason, with the first records."""
    by_reason: dict[str, list[Any]] = {}
    for entry in manifest.quarantine:
        by_reason.setdefault(entry.reason, []).append(entry)
    more = undeclared(manifest.quarantine, manifest.declared)
    lines = [
        {"reason": reason, "meaning": REASONS[reason][1], "severity": REASONS[reason][0], "count": len(entries)}
        | {"declared": manifest.declared.get(reason, 0), "undeclared": more.get(reason, 0)}
        | {"examples": [{"file": e.file, "record": e.record, "detail": e.detail} for e in entries[:EXAMPLES]]}
        for reason, entries in by_reason.items()
    ]
    return sorted(lines, key=lambda line: (line["severity"] not in WITHHELD, -line["count"], line["reason"]))


def to_json(figures: dict[str, Any]) -> str:
    """The text of `reports/stats.json`."""
    return json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
