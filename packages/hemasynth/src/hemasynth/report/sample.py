"""A hundred pairs for people to judge: from every question type and origin, with what the checker read in them."""

import base64
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from hemasynth.faithful import Checker, Judged
from hemasynth.plan import Item
from hemasynth.quota import apportion

SIZE = 100
THUMBNAIL = 160  # pixels


def draw(rows: Sequence[Mapping[str, Any]], size: int = SIZE) -> list[Mapping[str, Any]]:
    """Draw rows by question type and origin, in proportion but at least one of each; the same rows every time."""
    strata: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        strata[f"{row['question_type']}/{row['origin']}"].append(row)
    counts = Counter({name: len(own) for name, own in strata.items()})
    size = min(size, len(rows))
    least = {name: 1 for name in strata} if size >= len(strata) else {}
    parts = apportion(size - len(least), counts) if counts else {}
    found: list[Mapping[str, Any]] = []
    for name, own in sorted(strata.items()):
        own = sorted(own, key=lambda row: hashlib.sha256(str(row["question_id"]).encode()).digest())
        found += own[: parts[name] + least.get(name, 0)]
    return sorted(found, key=lambda row: hashlib.sha256(f"order {row['question_id']}".encode()).digest())


def cards(
    rows: Sequence[Mapping[str, Any]], items: Mapping[str, Item], checker: Checker, pictures: Path | None
) -> list[dict[str, Any]]:
    """Return what the page shows of each row: texts with marked claims, the record, the picture where there is one."""
    found = []
    there = files(pictures) if pictures is not None else {}
    for row in rows:
        item = items[row["question_id"]]
        record = item.cell.record
        uses = [(use["name"], use["value"]) for use in row["uses"]]
        report = checker.pair(record, row["question"], row["answer"], item.topic.asked, uses)
        spans: dict[str, list[Judged]] = {"question": [], "answer": []}
        for judged in report.claims:
            spans[judged.part].append(judged)
        stated = {name for name, _ in uses}
        facts = [("label", record.value("label")), *sorted(record.attributes.items())]
        found.append(
            {
                "id": row["question_id"],
                "type": row["question_type"],
                "origin": row["origin"],
                "verdict": report.verdict,
                "question": mark(row["question"], spans["question"]),
                "answer": mark(row["answer"], spans["answer"]),
                "facts": [{"name": name, "value": value, "used": name in stated} for name, value in facts],
                "picture": thumbnail(there[row["image"]]) if row["image"] in there else None,
            }
        )
    return found


def mark(text: str, claims: Sequence[Judged]) -> Markup:
    """Return a text as HTML in which each claim is marked with what it says and its verdict."""
    parts: list[Markup] = []
    at = 0
    for judged in sorted(claims, key=lambda one: (one.claim.span[0], -one.claim.span[1])):
        start, end = judged.claim.span
        if start < at or judged.claim.kind == "implied":
            continue
        claim = judged.claim
        values = ("" if claim.polarity else "not ") + " or ".join(sorted(claim.values))
        says = f"{claim.attribute or 'not in the record'}: {values}"
        parts += [
            escape(text[at:start]),
            Markup('<mark class="{}" title="{} ({})">{}</mark>').format(
                judged.verdict, says, judged.verdict, text[start:end]
            ),
        ]
        at = end
    return Markup("").join([*parts, escape(text[at:])])


def files(folder: Path) -> dict[str, Path]:
    """Return the pictures of a folder, at any depth, by name."""
    return {path.name: path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png")}


def thumbnail(path: Path) -> str | None:
    """Return a small picture as a data URL; None where the file cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
            small.thumbnail((THUMBNAIL, THUMBNAIL))
    except OSError:
        return None  # the page is about the texts
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
