"""`report.html`: the tables, and some samples of each task as they look, in one page that asks for nothing outside."""

import base64
import io
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from hemadata.phantom import draw_boxes
from PIL import Image, ImageFilter

from hemamodel.data import decode
from hemamodel.evaluate.evidence import BoxEvidence, ClassEvidence, Evidence, MaskEvidence, TextEvidence
from hemamodel.evaluate.tell import Block

if TYPE_CHECKING:
    from hemadata.corpus import Corpus

EACH = 8  # worst, best and drawn by chance, of each task
SIDE = 320  # pixels, of the longer side of a picture
BYTES = 2_500_000  # of all pictures
QUALITIES = (80, 60, 40, 20)  # of JPEG, until they fit
TRUE, FOUND = "#0060ff", "#e64a00"  # told apart by everybody, also on stained cells
BOXES = 60  # drawn of each kind; more cover the picture
NAMED = 12  # boxes with a name; more names hide the cells

Lines = list[tuple[str, str]]


@dataclass(frozen=True)
class Shown:
    """A sample to look at.

    Attributes:
        name: its sample_id.
        why: worst, best or by chance.
        mark: how well it was done.
        picture: drawn, at most `SIDE` pixels.
        lines: (what, text) of its caption.
    """

    name: str
    why: str
    mark: float
    picture: Image.Image
    lines: Lines


class Gallery:
    """Samples of each task: the worst, the best, and some by chance (always the same)."""

    def __init__(self) -> None:
        self._shown: dict[str, list[Shown]] = {}

    def take(self, task: str, evidence: Evidence, corpus: "Corpus") -> None:
        """Draw some samples of a task, for `run.evaluate`."""
        marks = evidence.each()
        self._shown[task] = [
            Shown(evidence.sample_ids[at], why, marks[at], *_drawn(evidence, at, corpus)) for why, at in choose(marks)
        ]

    def page(self, blocks: Iterable[Block]) -> str:
        """The page, of less than 3 MB."""
        coded = iter(_small([each.picture for task in self._shown.values() for each in task]))
        groups: dict[str, dict[str, list[tuple[Shown, str]]]] = {}
        for task, shown in self._shown.items():
            for each in shown:
                groups.setdefault(task, {}).setdefault(each.why, []).append((each, next(coded)))
        return _template().render(blocks=list(blocks), groups=groups, annotated=TRUE, found=FOUND)


def choose(marks: Sequence[float], each: int = EACH) -> list[tuple[str, int]]:
    """(why, sample): the worst first, then the best, best first, then some of the others by chance; each once."""
    order = sorted(range(len(marks)), key=lambda at: (marks[at], at))
    worst, rest = order[:each], order[each:]
    best, rest = rest[::-1][:each], rest[: max(0, len(rest) - each)]
    chance = sorted(random.Random(0).sample(rest, min(each, len(rest))))
    return [(why, at) for why, part in (("worst", worst), ("best", best), ("by chance", chance)) for at in part]


def _drawn(evidence: Evidence, at: int, corpus: "Corpus") -> tuple[Image.Image, Lines]:
    """Picture and caption of a sample."""
    pixels = decode.image(corpus.image(evidence.sample_ids[at])).permute(1, 2, 0).numpy()
    whole = Image.fromarray(np.ascontiguousarray(pixels))
    scale = min(1.0, SIDE / max(whole.size))
    picture = whole.resize((max(1, round(whole.width * scale)), max(1, round(whole.height * scale))))
    if isinstance(evidence, BoxEvidence):
        return _boxes(picture, evidence, at, scale)
    if isinstance(evidence, MaskEvidence):
        return _masks(picture, evidence, at)
    if isinstance(evidence, ClassEvidence):
        sure = f", {evidence.sure[at]:.2f}" if evidence.sure else ""
        names = evidence.names
        return picture, [("is", names[evidence.truth[at]]), ("found", names[evidence.found[at]] + sure)]
    assert isinstance(evidence, TextEvidence)
    return picture, [("asked", evidence.asked[at]), ("is", evidence.truth[at]), ("found", evidence.found[at] or "-")]


def _boxes(picture: Image.Image, evidence: BoxEvidence, at: int, scale: float) -> tuple[Image.Image, Lines]:
    sure, labels = evidence.found[at].above(evidence.threshold), evidence.labels[at]

    def scaled(box: Any) -> list[float]:
        x, y, right, bottom = (float(each) * scale for each in box)
        return [x, y, max(right - x, 1.0), max(bottom - y, 1.0)]

    wanted = [(scaled(box), "", TRUE) for box in evidence.boxes[at][:BOXES]]
    texts = [
        f"{evidence.names[int(kind)]} {float(score):.2f}" if len(sure.boxes) <= NAMED else ""
        for kind, score in zip(sure.labels, sure.scores, strict=True)
    ]
    ours = [(scaled(box), text, FOUND) for box, text in list(zip(sure.boxes, texts, strict=True))[:BOXES]]
    return draw_boxes(picture, [*wanted, *ours], 9), [
        ("is", f"{len(labels):,} boxes: {_tally(evidence, labels)}"),
        ("found", f"{len(sure.boxes):,} at {evidence.threshold:g} or more: {_tally(evidence, sure.labels)}"),
    ]


def _tally(evidence: BoxEvidence, labels: Any) -> str:
    kinds = [evidence.names[int(each)] for each in labels]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))) or "nothing"


def _masks(picture: Image.Image, evidence: MaskEvidence, at: int) -> tuple[Image.Image, Lines]:
    for data, colour in zip(evidence.drawn[at], (TRUE, FOUND), strict=True):
        mask = Image.open(io.BytesIO(data)).convert("L").resize(picture.size, Image.Resampling.NEAREST)
        inner = np.asarray(mask.filter(ImageFilter.MinFilter(3)))
        outline = Image.fromarray((np.asarray(mask) > inner).astype(np.uint8) * 255)
        picture.paste(Image.new("RGB", picture.size, colour), (0, 0), outline)
    return picture, [("overlap", f"Dice {evidence.dice[at]:.3f}, IoU {evidence.iou[at]:.3f}")]


def _small(pictures: Sequence[Image.Image]) -> list[str]:
    """Data URIs that fit into `BYTES` together."""
    coded: list[str] = []
    for quality in QUALITIES:
        coded = []
        for picture in pictures:
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=quality, subsampling=0)  # thin lines keep their colour
            coded.append("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())
        if sum(map(len, coded)) <= BYTES:
            break
    return coded


@cache
def _template() -> jinja2.Template:
    text = files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    made = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    return made.from_string(text)
