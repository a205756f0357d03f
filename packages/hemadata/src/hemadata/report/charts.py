"""Charts as inline SVG: bars, histograms, ranges on one axis, and the graph of sources. Text is always escaped."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

SPLIT_CLASSES = {"train": "c0", "validation": "c1", "test": "c2", "excluded": "c3"}


def _svg(width: float, height: float, title: str, parts: Sequence[Markup], fixed: bool = False) -> Markup:
    size = Markup('width="{}" height="{}" ').format(f"{width:g}", f"{height:g}") if fixed else Markup("")
    head = Markup('<svg {}viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        size, f"{width:g}", f"{height:g}", title
    )
    return head + Markup("").join(parts) + Markup("</svg>")


def _rect(x: float, y: float, width: float, height: float, css: str, tip: str) -> Markup:
    return Markup(
        '<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"><title>{}</title></rect>'
    ).format(css, x, y, max(width, 0.0), max(height, 0.0), tip)


def _text(x: float, y: float, text: str, css: str = "") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(css, x, y, text)


def stacked(parts: Mapping[str, int], whole: int, title: str, width: float = 150) -> Markup:
    """One bar cut by split; `whole` images fill the width."""
    x, drawn = 0.0, []
    for split, count in parts.items():
        long = width * count / max(whole, 1)
        if count:
            drawn.append(_rect(x, 1, long, 12, SPLIT_CLASSES.get(split, "c0"), f"{split}: {count:,}"))
        x += long
    return _svg(width, 14, title, drawn, fixed=True)


def histogram(counts: Mapping[Any, int], title: str, x_label: str, y_label: str, bins: int = 30) -> Markup:
    """Counts of whole numbers, in bins of equal width; the last bin holds what lies above the 99.5th percentile.

    Args:
        counts: value -> how often.
        title: for who cannot see it.
        x_label: what the values are, with their unit.
        y_label: what is counted.
        bins: at most so many.
    """
    counts = {int(value): count for value, count in counts.items()}  # JSON makes words of them
    if not (total := sum(counts.values())):
        return Markup("")
    low, high, seen = min(counts), max(counts), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= 0.995 * total:
            high = value
            break
    step = max(1, math.ceil((high - low + 1) / bins))
    number = (high - low) // step + 1
    heights = [0] * number
    for value, count in counts.items():
        heights[min((value - low) // step, number - 1)] += count
    top, width, height, left = max(heights), 360.0, 120.0, 46.0
    each = (width - left - 6) / number
    parts = []
    for n, count in enumerate(heights):
        start, end = low + n * step, low + (n + 1) * step - 1
        more = " and more" if n == number - 1 and max(counts) > end else ""
        tip = f"{start:,}{f' to {end:,}' if end > start else ''}{more}: {count:,} {y_label}"
        tall = 96 * count / top
        parts.append(_rect(left + n * each, 102 - tall, max(each - 1, 0.6), tall, "c0", tip))
    last = f"{low + (number - 1) * step:,}{'+' if max(counts) > high else ''}"
    parts += [_text(left - 4, 12, f"{top:,}", "end"), _text(left - 4, 102, "0", "end"), _text(left, 116, f"{low:,}")]
    parts += [_text(width - 6, 116, last, "end"), _text((left + width) / 2, 116, x_label, "mid soft")]
    return _svg(width, height + 2, f"{title}: {y_label} by {x_label}", parts)


def ranges(lines: Sequence[tuple[str, Mapping[str, Any] | None]], title: str, unit: str) -> Markup:
    """5 % to 95 % of several distributions on one logarithmic axis, the median marked.

    Args:
        lines: name, and the `spread` of it or None.
        title: for who cannot see it.
        unit: of the values.
    """
    known = [(name, spread) for name, spread in lines if spread]
    if not known:
        return Markup("")
    low = math.log10(max(1, min(spread["p5"] for _, spread in known)) * 0.8)
    high = math.log10(max(spread["p95"] for _, spread in known) * 1.25 + 1)
    left, width, row = 210.0, 760.0, 20.0

    def place(value: float) -> float:
        return left + (width - left - 90) * (math.log10(max(value, 1)) - low) / (high - low)

    bottom = row * len(known) + 4
    parts = []
    for tick in (m * 10**e for e in range(6) for m in (1, 2, 5)):
        if low <= math.log10(tick) <= high:
            x = place(tick)
            parts.append(Markup('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1:.1f}"/>').format(x, bottom))
            parts.append(_text(x, bottom + 13, f"{tick:,}", "mid soft"))
    for n, (name, spread) in enumerate(known):
        y, start, end = n * row + 4, place(spread["p5"]), place(spread["p95"])
        tip = f"{name}: median {spread['median']:,}, 5 % to 95 %: {spread['p5']:,} to {spread['p95']:,} {unit}"
        parts += [_text(left - 8, y + 11, name, "end"), _rect(start, y + 3, max(end - start, 2), 8, "c0 pale", tip)]
        parts += [_rect(place(spread["median"]) - 2, y, 4, 14, "c0", tip)]
        parts += [_text(width - 4, y + 11, f"{spread['median']:,} {unit}", "end soft")]
    return _svg(width, bottom + 18, title, parts)


def graph(sources: Sequence[str], families: Mapping[str, str | None], edges: Sequence[Mapping[str, Any]]) -> Markup:
    """Sources on a circle, joined where they show the same pictures.

    Args:
        sources: slugs.
        families: slug -> declared family; members without a counted pair are joined by a dashed line.
        edges: of `leaks.leakage`; red where train meets test.
    """
    radius = max(120.0, 9.0 * len(sources))
    centre, wide = radius + 30, radius + 220
    at, parts = dict[str, tuple[float, float]](), list[Markup]()
    for n, name in enumerate(sources):
        angle = 2 * math.pi * n / max(1, len(sources)) - math.pi / 2
        at[name] = (wide + radius * math.cos(angle), centre + radius * math.sin(angle))
    joined = {tuple(edge["sources"]) for edge in edges}
    line = Markup(
        '<path class="{}" d="M{:.1f} {:.1f}Q{:.1f} {:.1f} {:.1f} {:.1f}" stroke-width="{:.1f}"><title>{}</title></path>'
    )
    for a in sources:
        for b in sources:
            if a < b and families[a] and families[a] == families[b] and (a, b) not in joined:
                tip = f"{a} and {b}: one family ({families[a]}), by declaration"
                parts.append(line.format("edge declared", *at[a], wide, centre, *at[b], 1.5, tip))
    loops = dict[str, Mapping[str, Any]]()
    for edge in edges:
        a, b = edge["sources"]
        if a == b:
            loops[a] = edge
        elif a in at and b in at:
            tip = f"{a} and {b}: {edge['pairs']:,} pairs, {edge['leaking']:,} across train and test"
            css, thick = "edge bad" if edge["leaking"] else "edge", 1.5 + 1.2 * math.log10(edge["pairs"])
            parts.append(line.format(css, *at[a], wide, centre, *at[b], thick, tip))
    for name, (x, y) in at.items():
        inside = loops.get(name)
        tip = f"{name}: {inside['pairs']:,} pairs inside, {inside['leaking']:,} across" if inside else name
        css = "node bad" if inside and inside["leaking"] else "node full" if inside else "node"
        parts.append(
            Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="6"><title>{}</title></circle>').format(css, x, y, tip)
        )
        if abs(x - wide) <= 1:
            parts.append(_text(x, y - 12 if y < centre else y + 20, name, "mid"))
        else:
            parts.append(_text(x - 12, y + 4, name, "end") if x < wide else _text(x + 12, y + 4, name))
    bottom = max((y for _, y in at.values()), default=centre) + 30
    return _svg(2 * wide, bottom, "Sources that show the same pictures", parts)


def share(count: float, whole: float, css: str = "c0") -> Markup:
    """A small bar for a table cell."""
    return _svg(110, 12, "", [_rect(0, 1, 110 * count / whole if whole else 0, 10, css, f"{count:,}")], fixed=True)
