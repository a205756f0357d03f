"""Export: a corpus, or a part of it, in the formats of other tools. `docs/export.md` is rendered from here."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hemadata
from hemadata import schema
from hemadata.corpus import Corpus
from hemadata.errors import UsageError
from hemadata.export import coco, imagefolder, unihema, voc, webdataset, yolo
from hemadata.export.format import Format, leaves
from hemadata.export.walk import Selection, select, walk
from hemadata.folder import whole_folder
from hemadata.regions import REGIONS

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT for module in (coco, yolo, voc, imagefolder, webdataset, unihema)
}
TELL_EVERY = 50  # rows, for the progress bar
RECORD = "export.json"


@dataclass(slots=True)
class Exported:
    """What an export wrote.

    Args:
        images: source -> images written.
        left_out: source -> reason -> rows that the format has no room for.
        notes: what was left out of single rows, with counts.
    """

    format: str
    corpus_id: str
    images: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, Counter[str]] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    def leave_out(self, source: str, reason: str, rows: int = 1) -> None:
        """Count rows that were not written."""
        self.left_out.setdefault(source, Counter())[reason] += rows


def export(
    corpus: Path,
    to: str,
    out: Path,
    tasks: list[str] | None = None,
    sources: list[str] | None = None,
    splits: list[str] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Exported:
    """Write rows of a corpus in another format. The folder appears when it is complete.

    Args:
        corpus: folder of the corpus.
        to: a key of `FORMATS`.
        out: folder to make; it must not be there yet.
        tasks: only these; None: all that the format has room for.
        sources: only these slugs; None: all.
        splits: only these; None: train, validation and test.
        progress: told of rows done.

    Raises:
        UsageError: an unknown name, nothing to export, or `out` is there already.
    """
    if to not in FORMATS:
        raise UsageError(f'No format is called "{to}". There are {", ".join(FORMATS)}.')
    with hemadata.open(corpus) as opened:
        selection = select(opened, FORMATS[to], tasks or [], sources or [], splits or [])
        done = Exported(to, opened.corpus_id)
        for source, reason, rows in selection.left_out:
            done.leave_out(source, reason, rows)
        with whole_folder(out) as folder:
            _write(opened, FORMATS[to], selection, folder, done, progress)
    return done


def _write(
    opened: Corpus,
    to: Format,
    selection: Selection,
    folder: Path,
    done: Exported,
    progress: Callable[[str, int, int], None] | None,
) -> None:
    about = provenance(opened, selection.sources)
    total = sum(
        opened.count(opened.manifests[source].task, split, source)
        for source in selection.sources
        for split in selection.splits
    )
    writer = to.writer(folder, opened, selection.sources, about)
    with writer.open_files:
        for number, (row, stem) in enumerate(walk(opened, selection), start=1):
            if (reason := writer.add(row, stem)) is None:
                done.images[row["source"]] += 1
            else:
                done.leave_out(row["source"], reason)
            if progress and (number % TELL_EVERY == 0 or number == total):
                progress(to.name, number, total)
        writer.finish()
    done.notes = dict(writer.notes)
    record = {"format": to.name, "splits": selection.splits, **about, "images": done.images}
    record |= {"left_out": done.left_out, "notes": done.notes, "lost_columns": _lost(to)}
    writer.save(RECORD, json.dumps(record, indent=1, ensure_ascii=False).encode() + b"\n")


def provenance(opened: Corpus, sources: tuple[str, ...]) -> dict[str, Any]:
    """Where exported rows come from: the corpus, and licence and citation of every source."""
    facts = {source: opened.manifests[source].facts for source in sources}
    keys = ("title", "license", "license_note", "citation", "doi", "homepage", "annotation_origin")
    return {
        "description": "Exported by hemadata.",
        "corpus_id": opened.corpus_id,
        "assignment": opened.version,
        "schema_version": schema.SCHEMA_VERSION,
        "ontology_version": opened.ontology.version,
        "regions": {region.name: region.value for region in REGIONS.values()},
        "sources": {
            source: {"version": opened.manifests[source].source_version} | {key: of.get(key) for key in keys}
            for source, of in facts.items()
        },
    }


def _lost(to: Format) -> list[str]:
    return [leaf for leaf in leaves(to.tasks) if not to.where(leaf)]


def render() -> str:
    """The tables of columns that survive, in Markdown (`docs/export.md`)."""
    lines = [_PREAMBLE]
    for to in FORMATS.values():
        lines += [f"## {to.name}\n", to.summary, "\n```", *to.layout.split("  "), "```\n"]
        lines += [f"Tasks: {', '.join(to.tasks)}.\n", "| column | where it stands |", "|---|---|"]
        lines += [f"| `{leaf}` | {to.where(leaf)} |" for leaf in to.survivors]
        lost = ", ".join(f"`{leaf}`" for leaf in _lost(to))
        lines.append(f"\nLost: {lost}.\n")
    return "\n".join(lines)


_PREAMBLE = """# Export

Rendered from `hemadata/export/` (`python -c "from hemadata.export import render; print(render(), end='')"`); a test
keeps the two equal, another reads every value below back with a library of others and compares it with the corpus.

```sh
hemadata export corpus --to coco --out bccd-coco --source bccd
hemadata export corpus --to imagefolder --out cells --task classification --split train --split test
```

Image bytes pass through untouched, in the frame of the corpus. The folder appears when it is complete. File names are
sample ids in plain ASCII, with a hash where two would be alike. Rows excluded from every split stay out unless
`--split excluded` asks for them. `export.json` in each folder says which corpus it comes from (`corpus_id`), licence
and citation of each source, what was left out and why. `unlabelled` stands for a null label where a format needs a
name. Columns are those of [corpus.md](corpus.md).

## The way back: pages in the authors' JSON

```sh
hemadata import unihema-json their-folder --out tables
```

reads every `*.json` page of a folder, the authors' own or one that `export --to unihema-json` wrote, and tells the task
of an annotation by its keys, in the order of their reader: segmentation (`mask_name` without `class_name`),
classification (`class_name`), MLM (`masked_comment`), VQA (`Question`), else detection, with the six morphology codes
where `nuclear_shape` is there. Their pages do not say which data set and licence a picture is of, so the rows become
tables beside a corpus, not rows of one: `<task>/<page>.parquet` with the columns of corpus.md, which
`datasets.load_dataset("parquet", data_files=...)` opens. Pages of our own keep `sample_id`, `source` and `license`;
others have the licence `unknown`. A number of their two heads becomes its ontology node, a foreground nobody named the
region `stained_object`. Missing pictures and masks, annotations without a picture, without four numbers or without a
known class are named in `quarantine.csv` and on the terminal; the rest is read. `--strict` exits 1 where any was.
"""
