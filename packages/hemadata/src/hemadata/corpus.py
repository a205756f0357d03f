"""Reading a corpus: rows by task and split, images by one `pread`, views, prompts."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hemadata import prompts, schema
from hemadata.arrow import told
from hemadata.build.assign import ARROW, version_in_force
from hemadata.build.card import corpus_id
from hemadata.build.records import Manifest, read_manifests
from hemadata.build.shards import INDEX_SCHEMA
from hemadata.errors import CorpusError, InputMissingError, UsageError
from hemadata.index import by_file, read_index
from hemadata.ontology import FILES, Ontology, View

BASES = ("split", "split_upstream", "split_paper")
DECIDED = ("split", "split_basis", "group_id", "dup_cluster")  # columns of the index that an assignment has


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of an image lie: what a worker needs to read it without the corpus."""

    file: str
    offset: int
    length: int

    def read(self) -> bytes:
        """The bytes."""
        with told(Path(self.file)), Path(self.file).open("rb", buffering=0) as shard:
            return os.pread(shard.fileno(), self.length, self.offset)


class Corpus:
    """A corpus on disk. Use `hemadata.open`.

    Args:
        path: folder of the corpus.
        version: assignment version; None: the one in force.
    """

    def __init__(self, path: Path, version: str | None = None) -> None:
        self.path = path
        if not any((path / "manifest").glob("*.json")):
            raise InputMissingError(
                f"There is no corpus in {path}. Make one: hemadata build --source bccd --phantom 200 --out {path}"
            )
        in_force = version_in_force(path)
        self.version = version or (in_force.stem if in_force else None)
        self._other_version = in_force is not None and self.version != in_force.stem
        if not (path / "assignment" / f"{self.version}.parquet").exists():
            known = ", ".join(sorted(p.stem for p in (path / "assignment").glob("v*.parquet")))
            raise InputMissingError(f"{path} has no assignment {self.version}; it has {known}.")
        self._files: dict[str, int] = {}

    @cached_property
    def manifests(self) -> dict[str, Manifest]:
        """Manifest of every source, by slug."""
        return {manifest.source: manifest for manifest in read_manifests(self.path)}

    @property
    def sources(self) -> tuple[str, ...]:
        """Slugs of the sources that are built, sorted."""
        return tuple(self.manifests)

    @cached_property
    def corpus_id(self) -> str:
        """Short hash of all rows, the assignment in force and the ontology: what runs and reports quote."""
        return corpus_id(self.path, list(self.manifests.values()))

    @cached_property
    def ontology(self) -> Ontology:
        """The ontology that the corpus carries."""
        try:
            return Ontology.from_texts({name: (self.path / "ontology" / name).read_bytes() for name in FILES})
        except FileNotFoundError as error:
            raise CorpusError(f"{error.filename} is missing; building any source writes it again.") from error

    @cached_property
    def index(self) -> pa.Table:
        """One row per image: every scalar, split, groups, where the bytes lie. Rows of a file are in file order."""
        tables = (table for source in self.sources for table in self.index_of(source))
        return pa.concat_tables([INDEX_SCHEMA.empty_table(), *tables])

    def index_of(self, source: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The index of one source, a row group at a time; what was decided is that of the version that is open.

        Args:
            source: slug.
            columns: of the index; None: all.

        Raises:
            CorpusError: the index is missing or cannot be read.
        """
        decided = [name for name in DECIDED if columns is None or name in columns] if self._other_version else []
        if not decided:
            yield from read_index(self.path, source, columns)
            return
        path, wanted = self.path / "assignment" / f"{self.version}.parquet", columns and {*columns, "sample_id"}
        with told(path):
            assigned = pq.read_table(path, schema=ARROW, filters=[("source", "=", source)])
            assigned.validate(full=True)
        for table in read_index(self.path, source, sorted(wanted) if wanted else None):
            at = pc.index_in(table["sample_id"], assigned["sample_id"].combine_chunks())
            for name in decided:
                table = table.set_column(table.schema.get_field_index(name), name, assigned[name].take(at))
            yield table.select(columns) if columns else table

    def rows(
        self,
        task: str,
        split: str | None = None,
        columns: Sequence[str] | None = None,
        source: str | None = None,
        by: str = "split",
    ) -> Iterator[dict[str, Any]]:
        """Rows of a task, file by file, a row group at a time.

        Args:
            task: one of `schema.TASKS`.
            split: train, validation, test or excluded; None: all.
            columns: names from `docs/corpus.md`, those of the index too; None: all columns of the task, and `split`.
            source: only this slug.
            by: whose split is meant: `split` of the corpus, `split_upstream` of the publisher, `split_paper`.

        Raises:
            UsageError: an unknown task or column.
        """
        names = [column.name for column in schema.columns(_known(task, schema.TASKS, "task"))]
        wanted = list(columns) if columns is not None else [*names, "split"]
        for name in wanted:
            _known(name, [*names, *INDEX_SCHEMA.names], f"column of {task}")
        stored = [name for name in wanted if name in names]
        decided = [name for name in wanted if name not in names]
        for file, places in by_file(self._selected(task, split, source, by, [*decided, "sample_id", "file"])):
            there = {place["sample_id"]: place for place in places.to_pylist()}
            with told(self.path / file):
                shard = pq.ParquetFile(self.path / file)
            for group in range(shard.num_row_groups):
                for row in self._row_group(file, shard, group, [*stored, "sample_id"]):
                    if (place := there.get(row["sample_id"])) is not None:
                        yield {name: (place if name in decided else row)[name] for name in wanted}

    def _row_group(
        self, file: str, shard: pq.ParquetFile, group: int, columns: Sequence[str]
    ) -> Iterator[dict[str, Any]]:
        with told(self.path / file):
            table = shard.read_row_group(group, columns=columns)
        names = table.column_names
        for values in zip(*table.columns, strict=True):  # not all at once: a second copy of the images would be made
            yield {name: value.as_py() for name, value in zip(names, values, strict=True)}

    def count(self, task: str, split: str | None = None, source: str | None = None) -> int:
        """Number of images of a task, split and source."""
        return sum(table.num_rows for table in self._selected(task, split, source, "split", ["sample_id"]))

    def row(self, sample_id: str) -> dict[str, Any]:
        """One row with all columns of its task, and `split`; no other row of its shard is decoded.

        Raises:
            UsageError: no such row.
            CorpusError: its shard lacks it, or cannot be read.
        """
        file, _, _ = self._place(sample_id, "offset", "length")
        task = self.index["task"][self._positions[sample_id]].as_py()
        with told(self.path / file), pq.ParquetFile(self.path / file) as shard:
            for group in range(shard.num_row_groups):
                ids = shard.read_row_group(group, columns=["sample_id"])["sample_id"].to_pylist()
                if sample_id in ids:
                    table = shard.read_row_group(group, columns=[column.name for column in schema.columns(task)])
                    (row,) = table.slice(ids.index(sample_id), 1).to_pylist()
                    return dict(row) | {"split": self.index["split"][self._positions[sample_id]].as_py()}
        raise CorpusError(f"{self.path / file} lacks {sample_id}. Run hemadata check {self.path}.")

    def image(self, sample_id: str) -> bytes:
        """The image file of a row, by one `pread`.

        Raises:
            UsageError: no such row.
        """
        file, offset, length = self._place(sample_id, "offset", "length")
        return os.pread(self._open(file), length, offset)

    def place(self, sample_id: str) -> Place:
        """Where the image file of a row lies.

        Raises:
            UsageError: no such row.
        """
        file, offset, length = self._place(sample_id, "offset", "length")
        return Place(str(self.path / file), offset, length)

    def mask(self, sample_id: str) -> bytes | None:
        """The mask of a row as palette PNG (indices are region numbers), or None."""
        file, offset, length = self._place(sample_id, "mask_offset", "mask_length")
        return os.pread(self._open(file), length, offset) if offset >= 0 else None

    def view(self, name: str) -> View:
        """A class view of the ontology, e.g. `wbc5` or `uni_hema_45`."""
        return self.ontology.view(name)

    def prompt(self, row: Mapping[str, Any], template: str = "1", seed: int = 0) -> str | None:
        """Prompt of a row by a versioned template.

        Args:
            row: needs `sample_id`, `source`, `disease`, and `qa` or `texts` for the text tasks.
            template: id in `prompts/templates.toml`; 1 is the paper's.
            seed: chooses among several questions or sentences.
        """
        return prompts.render(prompts.get(template), self.manifests[row["source"]].task, row, seed)

    def _selected(
        self, task: str, split: str | None, source: str | None, by: str, columns: list[str]
    ) -> Iterator[pa.Table]:
        """Rows of the index, source by source, a row group at a time."""
        _known(task, schema.TASKS, "task")
        if split is not None:
            _known(by, BASES, "kind of split")
            _known(split, schema.SPLITS, "split")
        if source is not None:
            _known(source, self.sources, f"source of {self.path}")
        for name, manifest in self.manifests.items():
            if manifest.task == task and source in (None, name):
                for table in self.index_of(name, sorted({*columns, by})):
                    yield table if split is None else table.filter(pc.equal(table[by], split))

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {sample_id: n for n, sample_id in enumerate(self.index["sample_id"].to_pylist())}

    @cached_property
    def _places(self) -> dict[str, Any]:
        places = {"file": self.index["file"].to_pylist()}
        for name in ("offset", "length", "mask_offset", "mask_length"):
            places[name] = np.asarray(pc.fill_null(self.index[name], -1)).tolist()
        return places

    def _place(self, sample_id: str, offset: str, length: str) -> tuple[str, int, int]:
        position = self._positions.get(sample_id)
        if position is None:
            raise UsageError(f'{self.path} has no row "{sample_id}".')
        return self._places["file"][position], self._places[offset][position], self._places[length][position]

    def _open(self, file: str) -> int:
        if file not in self._files:
            with told(self.path / file):
                self._files[file] = os.open(self.path / file, os.O_RDONLY)
        return self._files[file]

    def close(self) -> None:
        """Close the shards that `image` has opened."""
        while self._files:
            os.close(self._files.popitem()[1])

    def __del__(self) -> None:
        try:  # noqa: SIM105 - contextlib may be gone when the interpreter is going
            self.close()
        except Exception:  # half made
            pass

    def __enter__(self) -> "Corpus":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "version": self.version, "_other_version": self._other_version, "_files": {}}


def _known(name: str, known: Sequence[str], what: str) -> str:
    if name not in known:
        raise UsageError(f'No {what} is called "{name}". There are {", ".join(known)}.')
    return name
