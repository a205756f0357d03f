"""A view: the part of a corpus that may go to one repository, as a corpus of its own in a staging folder.

Shards are hard links; everything that tells of rows (index, assignment, manifests, pairs, reports, card) is made again
from the rows of the view, so that it cannot tell of others.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from hemadata import schema
from hemadata.arrow import write_tables
from hemadata.atomic import write_bytes, write_text
from hemadata.audit.leakage import PAIRS_SCHEMA, pairs_path, write_leakage
from hemadata.build.assign import placement, read_assignment
from hemadata.build.card import card
from hemadata.build.finish import quarantine_csv
from hemadata.build.records import Manifest
from hemadata.build.replace import assigned_by_bucket
from hemadata.build.shards import INDEX_SCHEMA
from hemadata.corpus import Corpus
from hemadata.errors import CorpusError
from hemadata.hub.choice import Choice
from hemadata.hub.croissant import write_croissant
from hemadata.hub.layout import CARD, CROISSANT, RECORD
from hemadata.hub.names import own_names, renamed
from hemadata.hub.recipe import write_recipe
from hemadata.report.write import Progress, report

Tell = Callable[[str], None]
# What a file system says that knows no hard links, or whose links end at its border.
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True, slots=True)
class View:
    """A view that is staged.

    Args:
        folder: where.
        corpus_id: of the view.
        files: relative paths, sorted.
        bytes: of all of them.
    """

    folder: Path
    corpus_id: str
    files: tuple[str, ...]
    bytes: int


@contextmanager
def standing_still(corpus: Path) -> Iterator[None]:
    """Nobody builds or splits the corpus meanwhile.

    Raises:
        CorpusError: somebody does.
    """
    with ExitStack() as held:
        for manifest in sorted((corpus / "manifest").glob("*.json")):
            try:
                held.enter_context(FileLock(manifest.with_name(f".{manifest.stem}.lock"), timeout=0))
            except Timeout as error:
                raise CorpusError(f"{manifest.stem} is being built into {corpus}. Push when that is done.") from error
        yield


def stage(
    corpus: Corpus,
    choice: Choice,
    folder: Path,
    repo: str,
    url: str,
    tell: Tell = lambda line: None,
    progress: Progress | None = None,
) -> View:
    """Make the view in a folder that is empty or not there.

    Args:
        corpus: an open corpus that nobody changes meanwhile.
        choice: what goes.
        folder: staging folder.
        repo: `ORG/NAME`, for card and metadata.
        url: of the repository.
        tell: told where shards had to be copied.
        progress: called with name, done, total.

    Raises:
        OSError: the folder cannot be written, the disk is full.
        CorpusError: the corpus lacks a file that its manifest names.
    """
    goes = [one.source for one in choice.goes]
    hidden = [one.source for one in choice.recipes]
    assignment = own_names(read_assignment(corpus.path), goes, hidden)
    index = renamed(corpus.index.filter(_of(corpus.index, [*goes, *hidden])), assignment)
    manifests = [corpus.manifests[name] for name in goes]
    _link(corpus.path, folder, [shard.path for m in manifests for shard in m.shards], tell)
    _write_decisions(corpus, folder, manifests, assignment.filter(_of(assignment, goes)), index)
    for source in hidden:
        rows = (table.filter(_of(table, [source])) for table in (assignment, index))
        write_recipe(folder, corpus.manifests[source], *rows)
    _write_about(corpus, folder, choice, repo, url, progress)
    for path in folder.rglob(".*"):  # locks, and what reports remember for the next time
        if path.is_file():
            path.unlink()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with Corpus(folder) as view:
        names = tuple(path.relative_to(folder).as_posix() for path in files)
        return View(folder, view.corpus_id, names, sum(path.stat().st_size for path in files))


def _of(table: pa.Table, names: list[str]) -> pa.Array:
    return pc.is_in(table["source"], pa.array(names, pa.string()))


def _link(corpus: Path, folder: Path, paths: list[str], tell: Tell) -> None:
    """Hard links to files of the corpus; copies where the file system has none."""
    copied = 0
    for path in paths:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(corpus / path, target)
        except FileNotFoundError as error:
            raise CorpusError(f"{corpus / path} is not there. Run hemadata check {corpus}.") from error
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            copied += shutil.copyfile(corpus / path, target).stat().st_size
    if copied:
        tell(f"{folder} is on a file system without hard links to {corpus}: {copied:,} bytes were copied.")


def _write_decisions(
    corpus: Corpus, folder: Path, manifests: list[Manifest], assignment: pa.Table, index: pa.Table
) -> None:
    """Assignment, index, manifests, fingerprints and pairs of the rows that go."""
    for name in ("assignment", "index", "manifest", "duplicates"):
        (folder / name).mkdir(exist_ok=True)
    write_tables(folder / "assignment" / f"{corpus.version}.parquet", [assignment], durable=False)
    for manifest in manifests:
        source = manifest.source
        rows = index.filter(pc.equal(index["source"], source)).cast(INDEX_SCHEMA)
        write_tables(folder / "index" / f"{source}.parquet", [rows], durable=False)
        decided = assigned_by_bucket(assignment, manifest)
        units = [replace(unit, placed=placement(decided[unit.bucket])) for unit in manifest.units]
        replace(manifest, units=units).write(folder)
        prints = f"fingerprints/{source}.parquet"
        if (corpus.path / prints).exists():
            _link(corpus.path, folder, [prints], lambda line: None)
    if pairs_path(corpus.path).exists():
        pairs, there = pq.read_table(pairs_path(corpus.path), schema=PAIRS_SCHEMA), assignment["sample_id"]
        both = pc.and_(*(pc.is_in(pairs[end], there.combine_chunks()) for end in ("sample_a", "sample_b")))
        write_tables(pairs_path(folder), [pairs.filter(both)], durable=False)
        write_leakage(folder)
    else:
        (folder / "duplicates").rmdir()


def _write_about(corpus: Corpus, folder: Path, choice: Choice, repo: str, url: str, progress: Progress | None) -> None:
    """Ontology, prompts, reports, card, Croissant and the record of the view."""
    for name in ("ontology", "prompts"):
        for path in sorted((corpus.path / name).glob("*.toml")):
            write_bytes(folder / name / path.name, path.read_bytes(), durable=False)
    with Corpus(folder) as view:
        manifests = list(view.manifests.values())
        write_text(folder / "reports" / "quarantine.csv", quarantine_csv(manifests), durable=False)
        report(view, progress=progress)
        write_text(folder / CARD, card(folder, manifests, repo, choice.left_out), durable=False)
        write_croissant(folder / CROISSANT, view, repo, url)
        record = {
            "made_by": f"hemadata {version('hemadata')}",
            "view": choice.kind,
            "corpus_id": view.corpus_id,
            "assignment": view.version,
            "schema": schema.SCHEMA_VERSION,
            "ontology": view.ontology.version,
            "sources": {
                one.source: {"task": one.task, "license": one.licence, "images": one.images} for one in choice.goes
            },
            "left_out": {one["source"]: {"license": one["licence"], "why": one["why"]} for one in choice.left_out},
            "recipes": [one.source for one in choice.recipes],
        }
    write_text(folder / RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n", durable=False)
