"""The corpus contract: every column of every task, in one place. `docs/corpus.md` is rendered from here.

Unknown is null, never -1, 0 or "". Labels are strings, the names of ontology nodes. Boxes are absolute pixels in the
frame that `datasets` decodes, that is after EXIF transpose.
"""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = "1"
TASKS = ("classification", "detection", "segmentation", "vqa", "mlm")
SPLITS = ("train", "validation", "test", "excluded")

FLAGS = {
    "reencoded": "the source's format (BMP, TIFF, npz) became lossless PNG; `sha256` is of the original bytes",
    "exif_rotated": "the file carries an EXIF orientation; boxes and mask were turned into the decoded frame",
    "bbox_clipped": "a box reached over the border by no more than the declared overhang and was cut to the image",
    "boxes_from_mask": "nobody published boxes of this image: they are the connected components of its published mask",
    "cell_crop": "the image is one annotated box of the field `source_file`, cut out and stored as lossless PNG; "
    "`sha256` is of that PNG",
    "contradicting_label": "the source files the same picture under another label too; `ratings` has both",
    "called_bad": "the publisher marks the picture as bad",
    "crowd": "of an object: a box or run lengths around many objects that are not told apart (COCO's iscrowd)",
    "mask_snapped": "stray mask values were set to the nearest declared one, as the source's TOML declares",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its Arrow type, what it means, and the tasks that have it (None: all)."""

    name: str
    type: pa.DataType
    meaning: str
    tasks: tuple[str, ...] | None = None
    is_image: bool = False

    @property
    def is_scalar(self) -> bool:
        """Whether the column also stands in `index/`."""
        return not self.is_image and not pa.types.is_nested(self.type)


def list_of(**fields: pa.DataType) -> pa.DataType:
    """List of structs, each field nullable."""
    return pa.list_(pa.struct([pa.field(name, kind) for name, kind in fields.items()]))


STRING, INT32, INT64, FLOAT = pa.string(), pa.int32(), pa.int64(), pa.float32()
STRINGS = pa.list_(STRING)
IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", STRING)])
ATTRIBUTES = list_of(name=STRING, value=STRING, value_raw=STRING)
RATINGS = list_of(rater=STRING, raw=STRING, label=STRING)
RUN_LENGTHS = pa.struct([pa.field("size", pa.list_(INT32)), pa.field("counts", STRING)])
OBJECTS = list_of(
    bbox=pa.list_(FLOAT, 4),
    bbox_raw=pa.list_(FLOAT),
    label=STRING,
    label_raw=STRING,
    label_relation=STRING,
    attributes=ATTRIBUTES,
    ratings=RATINGS,
    rle=RUN_LENGTHS,
    source_id=STRING,
    flags=STRINGS,
)
MASK_CLASSES = list_of(value=INT32, label=STRING, label_raw=STRING, cell=STRING, pixels=INT64)
QA = list_of(
    question_id=STRING,
    question=STRING,
    answer=STRING,
    answer_type=STRING,
    question_type=STRING,
    attribute=STRING,
    uses=list_of(name=STRING, value=STRING),
    origin=STRING,
    generated_by=STRING,
)
TEXTS = list_of(
    text_id=STRING,
    masked_text=STRING,
    text=STRING,
    targets=list_of(text=STRING, start=INT32, end=INT32),
    target=STRING,
    attributes=STRINGS,
    origin=STRING,
    generated_by=STRING,
)

COLUMNS: tuple[Column, ...] = (
    Column("sample_id", STRING, "`source/stable-key`: unique in the corpus, survives rebuilds"),
    Column(
        "image",
        IMAGE,
        "image file: original bytes, or lossless PNG (flag `reencoded`); `path` is a bare name",
        is_image=True,
    ),
    Column("width", INT32, "pixels, of the decoded image"),
    Column("height", INT32, "pixels, of the decoded image"),
    Column("source", STRING, "slug of the source, e.g. `raabin`"),
    Column("source_version", STRING, "release, commit or DOI of the upstream data; for text sets also the engine"),
    Column("source_file", STRING, "path of the image inside the raw folder of the source that holds it"),
    Column("license", STRING, "SPDX identifier or `LicenseRef-…` of this row's image"),
    Column("encoding_source", STRING, "format of the original file: jpeg, png, webp, bmp, tiff, npz, gif"),
    Column("sha256", STRING, "hex, of the original bytes"),
    Column("pixel_hash", STRING, "xxh3-128 hex of size, mode and decoded pixels (null where the build did not decode)"),
    Column(
        "flags",
        STRINGS,
        "what to know of the row: " + "; ".join(f"`{k}`: {v}" for k, v in FLAGS.items()),
    ),
    Column("split_upstream", STRING, "split that the publisher states: train, validation, test"),
    Column("split_paper", STRING, "split of the Uni-Hema paper, where it can be rebuilt"),
    Column(
        "native_group",
        STRING,
        "patient, slide, film, field or source photograph as published, namespaced by the source or its family",
    ),
    Column("disease", STRING, "disease domain of the source, e.g. normal, leukemia, malaria"),
    Column("specimen", STRING, "blood, marrow, sputum"),
    Column("stain", STRING, "stain as published"),
    Column("modality", STRING, "single-cell or field-of-view"),
    Column("magnification", STRING, "objective as published, e.g. `100x`"),
    Column(
        "label", STRING, "ontology node of the image's one cell or of the image; null where objects carry the labels"
    ),
    Column("label_raw", STRING, "literal spelling in the source"),
    Column("label_fine", STRING, "finer ontology node where the file name proves it"),
    Column("label_scope", STRING, "what the label was given to: cell, image, subject"),
    Column("label_relation", STRING, "how raw label and node relate: exact, close, broad, narrow"),
    Column("ratings", RATINGS, "every rater's own label, where a source tells them apart"),
    Column("attributes", ATTRIBUTES, "morphology of the image's one cell; value is null where the rater gave none"),
    Column("diagnosis", STRING, "diagnosis of the patient or slide as published; not visible in the image"),
    Column("genetic_subtype", STRING, "genetic subtype of the patient as published"),
    Column(
        "objects",
        OBJECTS,
        "one entry per annotated object; `bbox` is COCO `[x, y, w, h]`, pixels, inside the decoded image, w and h > 0; "
        "`bbox_raw` the same box as the source gives it, where it was turned or cut; `rle` COCO run lengths",
        ("detection", "segmentation"),
    ),
    Column(
        "classes_annotated",
        STRINGS,
        "nodes that were annotated exhaustively; null: unknown. Other classes are not negatives",
        ("detection", "segmentation"),
    ),
    Column(
        "mask",
        IMAGE,
        "palette PNG of the decoded size; the index is the region's number in `regions`",
        ("segmentation",),
        is_image=True,
    ),
    Column(
        "mask_classes",
        MASK_CLASSES,
        "regions that the source declares: index in the mask, region, raw value, node of the cell, pixels in this mask",
        ("segmentation",),
    ),
    Column("foreground", STRINGS, "regions that make the binary target of the source", ("segmentation",)),
    Column(
        "qa", QA, "question-answer pairs on this image; `origin` is human, template, model or model_repaired", ("vqa",)
    ),
    Column(
        "texts",
        TEXTS,
        "masked sentences on this image; `targets` are the blanks with character offsets in `text`, `target` the same "
        "as T5 writes it (`<extra_id_0> round <extra_id_1>`), `attributes` what the sentence states",
        ("mlm",),
    ),
    Column("prompt", STRING, "rendered prompt; null unless built with `--materialize-prompts`"),
    Column("prompt_id", STRING, "template and version that rendered it"),
)

ASSIGNMENT: tuple[Column, ...] = (
    Column("sample_id", STRING, "key"),
    Column("source", STRING, "slug"),
    Column(
        "split",
        STRING,
        "train, validation, test or excluded: what the corpus decides; the shard's file name says the same",
    ),
    Column(
        "split_basis",
        STRING,
        "why: upstream, group (another row of the group was placed before) or hash (of the group key)",
    ),
    Column("group_id", STRING, "what must not straddle splits, corpus-wide"),
    Column("dup_cluster", STRING, "cluster of duplicates across sources, named by its first row; null: none known"),
    Column("own_group", STRING, "group by the row's own source and family alone; `group_id` joins several of them"),
)

FINGERPRINT: tuple[Column, ...] = (
    Column("sample_id", STRING, "key"),
    Column("sha256", STRING, "of the bytes that the thumbnail was made from; another one in the index: out of date"),
    Column("thumbnail", pa.binary(), "green channel of the displayed frame on a grid of 32 x 32, row by row"),
)

PAIRS: tuple[Column, ...] = (
    Column("sample_a", STRING, "key; the smaller of the two"),
    Column("sample_b", STRING, "key"),
    Column("kind", STRING, "how they are the same: bytes, pixels or near; crop: one is a window of the other"),
    Column("turn", STRING, "what makes b of a: none, or a mirror image, a quarter turn or both; null: not looked at"),
    Column("score", FLOAT, "correlation of fine structure, 1 for equal pixels"),
    Column("confirmed", FLOAT, "correlation of the decoded images, local contrast evened out"),
)

INDEX_ONLY: tuple[Column, ...] = (
    Column("task", STRING, "task of the row's source"),
    Column("bucket", INT32, "work unit of the row inside its source"),
    Column("object_count", INT32, "number of objects; null where the task has none"),
    *ASSIGNMENT[2:6],
    Column("file", STRING, "shard, relative to the corpus"),
    Column("offset", INT64, "first byte of the image inside the shard"),
    Column("length", INT64, "number of bytes of the image"),
    Column("mask_offset", INT64, "first byte of the mask inside the shard; null without mask"),
    Column("mask_length", INT64, "number of bytes of the mask"),
)


def columns(task: str) -> tuple[Column, ...]:
    """Columns of a task, in file order."""
    return tuple(c for c in COLUMNS if c.tasks is None or task in c.tasks)


@cache
def index_columns() -> tuple[Column, ...]:
    """Columns of `index/`: every scalar of every task, then what the corpus decided and where the bytes lie."""
    return tuple(c for c in COLUMNS if c.is_scalar) + INDEX_ONLY


@cache
def arrow_schema(task: str) -> pa.Schema:
    """Arrow schema of a task's shards; its metadata let `datasets` decode images without a card."""
    return to_arrow_schema(columns(task))


def to_arrow_schema(wanted: tuple[Column, ...]) -> pa.Schema:
    """Arrow schema of any tuple of columns, with the features that `datasets` reads from the metadata."""
    info = {"info": {"features": {c.name: {"_type": "Image"} if c.is_image else feature(c.type) for c in wanted}}}
    metadata = {"huggingface": json.dumps(info), "hemadata_schema": SCHEMA_VERSION}
    return pa.schema([pa.field(c.name, c.type) for c in wanted], metadata=metadata)


def feature(kind: pa.DataType) -> dict[str, Any]:
    """Arrow type -> the feature that `datasets` 5 writes for it."""
    if pa.types.is_fixed_size_list(kind):
        return {"feature": feature(kind.value_type), "length": kind.list_size, "_type": "List"}
    if pa.types.is_list(kind):
        return {"feature": feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: feature(field.type) for field in kind}
    return {"dtype": {"float": "float32"}.get(str(kind), str(kind)), "_type": "Value"}


def render() -> str:
    """The column reference in Markdown (`docs/corpus.md`)."""
    lines = [_PREAMBLE, "## Columns of the shards\n", "| column | type | tasks | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{c.name}` | {_type_name(c)} | {'all' if c.tasks is None else ', '.join(c.tasks)} | {c.meaning} |"
        for c in COLUMNS
    ]
    for title, wanted in (
        ("assignment", ASSIGNMENT),
        ("index, beside every scalar above", INDEX_ONLY),
        ("fingerprints", FINGERPRINT),
        ("duplicate pairs", PAIRS),
    ):
        lines += [f"\n## Columns of the {title}\n", "| column | type | meaning |", "|---|---|---|"]
        lines += [f"| `{c.name}` | {_type_name(c)} | {c.meaning} |" for c in wanted]
    return "\n".join(lines) + "\n"


def _type_name(column: Column) -> str:
    if column.is_image:
        return "Image"
    return str(column.type).replace("item: ", "").replace("list<", "List<").replace("fixed_size_List", "List")


_PREAMBLE = """# The corpus, column by column

Rendered from `hemadata/schema.py` (`hemadata schema > docs/corpus.md`); a test keeps the two equal.

```
README.md                                      card; its YAML lists the configs by globs
data/<task>/<source>/<split>-<bucket>.parquet  what the source says; the file's place is the split
assignment/<version>.parquet                   what the corpus decides, by sample_id; the highest version is in force
index/<source>.parquet                         one row per image: every scalar, and where its bytes lie
fingerprints/<source>.parquet                  a thumbnail of every decoded image, for `hemadata duplicates`
duplicates/pairs.parquet                       what `hemadata duplicates` found; `reports/leakage.csv` has the splits
ontology/  prompts/                            the labels, views and templates in force, as TOML
manifest/<source>.json                         inputs, options, units, digests and quarantine of one source
reports/quarantine.csv                         what was withheld, repaired or passed over, with file and reason
```

One row is one image. Unknown is null, never -1, 0 or "". `label` is an ontology node; the raw label stands beside it.
`image.bytes` is stored plain and uncompressed, so `offset` and `length` of the index read any image with one `pread`.

`pixel_hash` is xxh3-128 over `"<width>x<height> <mode>\\n"` and the pixels of the displayed frame, row by row: mode
`L` (one byte a pixel) for grey images, `RGB` for colour, `RGBA` where something is transparent, Pillow's own mode and
bytes for anything deeper than 8 bits. The same picture stored as BMP, PNG or TIFF has the same hash.

`rows_digest` of a shard in the manifest is over the rows' content, not the file: it stays equal when a newer pyarrow
writes other bytes. `corpus_id` is a hash of all digests, the assignment in force and the ontology version.
"""
