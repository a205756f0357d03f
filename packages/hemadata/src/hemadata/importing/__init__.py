"""Import: pages of others as tables in the corpus' columns.

Their pages do not say which data set and which licence a picture is of, so they become tables beside a corpus, not rows
of one: `<task>/<page>.parquet` with the columns of docs/corpus.md, and `quarantine.csv`.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from hemadata import ontology, prompts, schema
from hemadata.arrow import to_table
from hemadata.build.finish import csv_text
from hemadata.build.images import Check
from hemadata.build.parquet import open_writer
from hemadata.build.rows import Row, RowMaker
from hemadata.build.shards import row_groups
from hemadata.errors import FormatError, InputMissingError
from hemadata.export.format import SPLIT_NAMES
from hemadata.export.unihema import CLASSIFICATION, DETECTION
from hemadata.folder import whole_folder
from hemadata.formats.boxes import Box, Boxes
from hemadata.formats.rawtree import RawFile, RawTree
from hemadata.importing import unihema
from hemadata.importing.unihema import Record
from hemadata.quarantine import Quarantined
from hemadata.sources.base import Ref, Source
from hemadata.sources.facts import Domain, MaskFacts, MaskValue, SourceFacts

NAME = "unihema-json"
FOREGROUND = "stained_object"  # the region that stands for a foreground which nobody named
SPLITS = {name: split for split, name in SPLIT_NAMES.items()} | {"validation": "validation"}
QA, TEXTS = (
    tuple(f.name for f in schema.arrow_schema(task).field(name).type.value_type)
    for task, name in (("vqa", "qa"), ("mlm", "texts"))
)


@dataclass(slots=True)
class Imported:
    """What an import wrote: rows by task, and what could not be used."""

    rows: Counter[str] = field(default_factory=Counter)
    problems: list[Quarantined] = field(default_factory=list)


def import_unihema(
    folder: Path, out: Path, check: Check = "header", progress: Callable[[str, int, int], None] | None = None
) -> Imported:
    """Read every page of a folder in the Uni-Hema authors' JSON. The output folder appears when it is complete.

    Args:
        folder: with `*.json` pages, and the pictures and masks that they name.
        out: folder to make.
        check: how deeply images are looked at.
        progress: told of rows done.

    Raises:
        InputMissingError: no such folder, or no page in it.
        FormatError: a page is no page of this kind.
        UsageError: `out` is there already.
    """
    if not folder.is_dir():
        raise InputMissingError(f"{folder} is no folder; expected one with pages such as train.json.")
    tree = RawTree.scan(folder)
    pages = [file for file in tree.each("*.json") if file.name != "export.json"]
    if not pages:
        raise InputMissingError(f"{folder}: no *.json page lies there; expected pages such as train.json.")
    done = Imported()
    with whole_folder(out) as target:
        for page in pages:
            records = unihema.read(page, lambda *problem: done.problems.append(_problem(*problem)))
            for task in unihema.KINDS:
                some = [record for record in records if record.kind == task]
                rows = _rows(tree, page, task, some, check, done, progress)
                path = target / task / f"{page.stem}.parquet"
                done.rows[task] += _write(path, task, rows)
        (target / "quarantine.csv").write_text(csv_text(done.problems), encoding="utf-8")
        told = {"format": NAME, "pages": [page.name for page in pages], "rows": done.rows}
        (target / "import.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return done


def _problem(file: RawFile, record: str, reason: str, detail: str) -> Quarantined:
    return Quarantined(NAME, file.name, record, reason, detail)


def _write(path: Path, task: str, rows: Iterable[Row]) -> int:
    kind, count, writer = schema.arrow_schema(task), 0, None
    try:
        for group in row_groups(iter(rows)):
            if writer is None:
                path.parent.mkdir(exist_ok=True)
                writer = open_writer(path, kind)
            writer.write_table(to_table(group, kind), row_group_size=len(group))
            count += len(group)
    finally:
        if writer:
            writer.close()
    return count


def _rows(
    tree: RawTree,
    page: RawFile,
    task: str,
    records: list[Record],
    check: Check,
    done: Imported,
    progress: Callable[[str, int, int], None] | None,
) -> Iterator[Row]:
    maker = RowMaker(Source(_facts(task), ModuleType(NAME), b""), check)
    for number, record in enumerate(records, 1):
        try:
            ref = _ref(tree, page, record, maker, done)
        except FormatError as error:
            reason, _, detail = str(error).partition(": ")
            done.problems.append(_problem(page, record.image["file_name"], reason, detail))
        else:
            row, found = maker.make(ref)
            done.problems += found
            if row is not None:
                yield row
        if progress:
            progress(f"{page.name} {task}", number, len(records))


def _facts(task: str) -> SourceFacts:
    """Facts of pages that tell none: what a row needs, and no more."""
    is_mask = task == "segmentation"
    values: dict[str, MaskValue | str] = {"0": "background", "255": FOREGROUND}
    return SourceFacts.model_validate(
        {"name": NAME, "title": NAME, "task": task, "annotation_origin": "published", "version": "unknown"}
        | {"citation": "", "homepage": "", "license": "unknown", "access": "open"}
        | {"domain": Domain(modality="single-cell" if task == "classification" else "field-of-view")}
        | ({"mask": MaskFacts(values=values, snap="nearest"), "foreground": (FOREGROUND,)} if is_mask else {})
    )


def _ref(tree: RawTree, page: RawFile, record: Record, maker: RowMaker, done: Imported) -> Ref:
    """The plan's entry of a record.

    Raises:
        FormatError: there is none; the message is `reason: detail`.
    """
    name, last = record.image["file_name"], record.annotations[-1]
    about = {key: record.image.get(key) for key in ("sample_id", "source", "license")}
    ref = Ref(name.rpartition(".")[0] or name, _find(tree, "images", name, "missing_image"))
    ref.about = {key: value for key, value in about.items() if isinstance(value, str)}
    ref.split_upstream = SPLITS.get(page.stem)
    if isinstance(prompt := last.get("prompt"), str) and prompt != prompts.spelled(None):
        ref.about["disease"] = prompt.lower().replace(" ", "-")
    if record.kind in ("segmentation", "classification") and len(record.annotations) > 1:
        detail = f"{len(record.annotations)} annotations; the last is kept, as their reader does"
        done.problems.append(_problem(page, name, "incomplete_annotation", detail))
    if record.kind == "segmentation":
        ref.mask = _find(tree, "masks", str(last["mask_name"]), "missing_annotation")
    elif record.kind == "classification":
        try:
            ref.label_raw = _label(maker, last, CLASSIFICATION)
        except FormatError as error:
            raise FormatError(f"unreadable_annotation: {error}") from error
    elif record.kind == "detection":
        ref.objects = Boxes.of(_boxes(page, record, maker, done))
    else:
        ref.about |= _texts(page, record, done)
    return ref


def _find(tree: RawTree, folder: str, name: str, reason: str) -> RawFile:
    """A file by its name, or in the folder of that kind; names that lead out of the tree find nothing."""
    if (file := tree.get(name) or tree.get(f"{folder}/{name}")) is None:
        raise FormatError(f"{reason}: neither {name} nor {folder}/{name} is in {tree.root}")
    return file


def _label(maker: RowMaker, entry: Mapping[str, Any], view: str) -> str:
    """A word under which the maker knows node and raw label of an annotation."""
    tree = ontology.load()
    node, raw = unihema.words(entry, tree.view(view), tree.names)
    word = f"{node} {raw}"
    maker.labels[word] = node, raw, None
    return word


def _boxes(page: RawFile, record: Record, maker: RowMaker, done: Imported) -> Iterator[Box]:
    for entry in record.annotations:
        try:
            frame, word = unihema.frame(entry), _label(maker, entry, DETECTION)
        except FormatError as error:
            where = f"{record.image['file_name']} annotation {entry.get('id')}"
            done.problems.append(_problem(page, where, "incomplete_annotation", str(error)))
            continue
        yield Box(frame, word, unihema.attributes(entry), flags=("crowd",) if entry.get("iscrowd") == 1 else ())


def _texts(page: RawFile, record: Record, done: Imported) -> dict[str, Any]:
    """`qa` or `texts` of a row."""
    is_vqa = record.kind == "vqa"
    column, fields = ("qa", QA) if is_vqa else ("texts", TEXTS)
    keys = (
        {"question": "Question", "answer": "Answer"}
        if is_vqa
        else {"masked_text": "masked_comment", "text": "completed_text"}
    )
    found = []
    for entry in record.annotations:
        told = {field: entry.get(key) for field, key in keys.items()}
        if not all(isinstance(text, str) and text for text in told.values()):
            where = f"{record.image['file_name']} annotation {entry.get('id')}"
            done.problems.append(
                _problem(page, where, "incomplete_annotation", f"{' or '.join(keys.values())} is no text")
            )
            continue
        if is_vqa:
            told["question"] = str(told["question"]).removeprefix("Q: ")
        found.append(dict.fromkeys(fields) | told)
    return {column: found}
