"""Records of the gallery: a small picture of a row with its boxes, mask, attributes and questions beside it.

A record has short keys, for the page holds many: `id`, `s`ource, `t`ask, s`p`lit, `f`ile, `w`idth and `h`eight in
pixels, `i`mage and `m`ask as base64 files, `g`: regions of the mask, `c`lasses shown, `l`abel, `r`aw label, fi`n`er
label, `b`oxes [x, y, w, h, label, attributes], `o`: objects where not all are drawn, `a`ttributes, `q`uestions,
te`x`ts.
"""

import base64
from collections import defaultdict
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image, ImageOps

from hemadata.corpus import Corpus
from hemadata.errors import CorpusError, DefectError
from hemadata.formats.pictures import decode, open_picture
from hemadata.regions import REGIONS
from hemadata.report.outlines import COLOUR, OUTLINE, outlines

CELL_SIDE, FIELD_SIDE = 160, 360  # longest side of a thumbnail, pixels
QUALITY = 70  # WebP
BOXES, PAIRS = 300, 12  # of one image that the page draws and tells; the record says how many there are
_COLUMNS = ("sample_id", "width", "height", "source_file", "label", "label_raw", "label_fine", "attributes")
_NESTED = ("objects.list.element.bbox", "objects.list.element.label", "objects.list.element.attributes")
_TEXT = ("qa.list.element.question", "qa.list.element.answer", "texts.list.element.masked_text")
_MASK = ("mask.bytes", "mask_classes.list.element.label", "mask_classes.list.element.pixels")

Record = dict[str, Any]


def records(corpus: Corpus, source: str, shard: str, wanted: Sequence[str] | None) -> Iterator[Record]:
    """Records of some rows of a shard, in file order.

    Args:
        corpus: that holds it.
        source: slug.
        shard: path in the corpus.
        wanted: sample ids; None: every row.

    Raises:
        CorpusError: the shard or an image in it cannot be read.
    """
    manifest, path = corpus.manifests[source], corpus.path / shard
    side = CELL_SIDE if manifest.facts["domain"]["modality"] == "single-cell" else FIELD_SIDE
    split = next(s.split for s in manifest.shards if s.path == shard)
    try:
        file = pq.ParquetFile(path)
        tops = set(file.schema_arrow.names)
        nested = [name for name in (*_NESTED, *_TEXT, *_MASK) if name.partition(".")[0] in tops]
        columns = ["image.bytes", *_COLUMNS, *nested]
        for group in _groups_with(file, wanted):
            for batch in file.iter_batches(32, row_groups=[group], columns=columns):
                rows = pa.table(batch)
                if wanted is not None:
                    rows = rows.filter(pc.is_in(rows["sample_id"], pa.array(wanted, pa.string())))
                for row in rows.to_pylist():
                    yield _record(row, side) | {"s": source, "t": manifest.task, "p": split}
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(f"{path} cannot be read ({error}). Build {source} again.") from error


def _groups_with(file: pq.ParquetFile, wanted: Sequence[str] | None) -> Iterator[int]:
    """Row groups that hold wanted rows, found without reading images."""
    names = set(wanted or ())
    for group in range(file.num_row_groups):
        if wanted is None or names.intersection(
            file.read_row_group(group, columns=["sample_id"])["sample_id"].to_pylist()
        ):
            yield group


def _record(row: dict[str, Any], side: int) -> Record:
    width, height = row["width"], row["height"]
    try:
        image = thumbnail(row["image"]["bytes"], side)
        mask = _mask(row["mask"]["bytes"], image.size) if row.get("mask") else None
    except DefectError as error:
        raise CorpusError(
            f"The image of {row['sample_id']} cannot be drawn ({error}). Run hemadata check on the corpus."
        ) from error
    objects = row.get("objects") or []
    boxes = [[*(round(v, 1) for v in o["bbox"]), o["label"], *_said(o["attributes"])] for o in objects[:BOXES]]
    record: Record = {"id": row["sample_id"], "f": row["source_file"]}
    record |= {"w": width, "h": height, "i": _encode(image, "WEBP")}
    shown = {o["label"] for o in objects} | {row["label"]}
    record["c"] = sorted(shown - {None}) or [None]
    optional = {
        "l": row["label"],
        "r": row["label_raw"],
        "n": row["label_fine"],
        "m": mask and _encode(mask, "PNG"),
        "g": [
            part["label"] for part in row.get("mask_classes") or () if part["pixels"] and part["label"] != "background"
        ],
        "b": boxes,
        "o": len(objects) if len(objects) > BOXES else 0,
        "a": [[a["name"], a["value"]] for a in row["attributes"] or ()],
        "q": [[pair["question"], pair["answer"]] for pair in (row.get("qa") or [])[:PAIRS]],
        "x": [text["masked_text"] for text in (row.get("texts") or [])[:PAIRS]],
    }
    return record | {key: value for key, value in optional.items() if value}


def _said(attributes: list[dict[str, Any]] | None) -> list[str]:
    """Attributes of an object as one string, or nothing."""
    said = ", ".join(f"{a['name']}: {a['value']}" for a in attributes or () if a["value"] is not None)
    return [said] if said else []


def thumbnail(data: bytes, side: int) -> Image.Image:
    """A picture as displayed, RGB, its longest side at most `side` pixels.

    Raises:
        DefectError: it cannot be decoded.
    """
    image = open_picture(data)
    image.draft("RGB", (2 * side, 2 * side))  # a JPEG is decoded at a fraction of its size where that is enough
    image = ImageOps.exif_transpose(decode(image)).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def _mask(data: bytes, size: tuple[int, int]) -> Image.Image:
    """The mask at the size of the thumbnail: regions half clear, background clear, borders as bright lines."""
    mask = decode(open_picture(data, "unreadable_mask"), "unreadable_mask").resize(size, Image.Resampling.NEAREST)
    values, palette = np.array(mask), (mask.getpalette() or [])[: 3 * OUTLINE]
    values[outlines(values)] = OUTLINE
    drawn = Image.fromarray(values, "P")
    drawn.putpalette(palette + [0] * (3 * OUTLINE - len(palette)) + list(COLOUR))
    alpha = bytearray([128] * OUTLINE + [255])
    alpha[REGIONS["background"].value] = 0
    drawn.info["transparency"] = bytes(alpha)
    return drawn


def _encode(image: Image.Image, form: str) -> str:
    out = BytesIO()
    if form == "WEBP":
        image.save(out, form, quality=QUALITY, method=4)
    else:
        image.save(out, form, optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def by_shard(chosen: Sequence[tuple[int, str, str]]) -> dict[str, list[str]]:
    """Shard -> chosen sample ids."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for _, sample_id, shard in chosen:
        grouped[shard].append(sample_id)
    return grouped
