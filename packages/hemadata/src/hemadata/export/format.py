"""What a format is: the tasks it has room for, where each column of the corpus stands in it, and its writer."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from hemadata import schema
from hemadata.corpus import Corpus
from hemadata.errors import CorpusError
from hemadata.labels import UNLABELLED

DECIDED = ("task", "split", "split_basis", "group_id", "dup_cluster")  # of the index
"""Columns of the index that go with a row beside those of its task."""

SPLIT_NAMES = {"train": "train", "validation": "val", "test": "test", "excluded": "excluded"}
"""Our split -> the field's short name."""

_KINDS = {b"\xff\xd8": "jpg", b"\x89P": "png", b"RI": "webp"}  # by first two bytes: what a corpus may hold


def columns(tasks: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the columns that rows of some tasks have, in the order of the schema, decided ones last."""
    return (*(c.name for c in schema.COLUMNS if c.tasks is None or set(c.tasks) & set(tasks)), *DECIDED)


def leaves(tasks: tuple[str, ...] = schema.TASKS) -> tuple[str, ...]:
    """Columns as the tables list them: `objects.bbox`, `image.bytes`, ... for structs, one level deep."""
    kinds = {column.name: column.type for column in (*schema.COLUMNS, *schema.INDEX_ONLY)}
    found: list[str] = []
    for name in columns(tasks):
        kind = kinds[name]
        inner = kind.value_type if pa.types.is_list(kind) else kind
        is_parted = pa.types.is_struct(inner) and name not in ("attributes", "ratings")
        found += [f"{name}.{part.name}" for part in inner] if is_parted else [name]
    return tuple(found)


@dataclass(frozen=True)
class Format:
    """A format that a corpus can be written in.

    Args:
        name: as `--to` has it.
        summary: what it is and who reads it, in Markdown.
        layout: files below the output folder.
        tasks: tasks whose rows it has room for.
        places: column -> where its value stands; `leaves` names the columns.
        rest: where every column without a place of its own stands; None: such columns are lost.
        lost: columns that `rest` does not hold.
        writer: what writes it.
    """

    name: str
    summary: str
    layout: str
    tasks: tuple[str, ...]
    places: Mapping[str, str]
    writer: type["Writer"]
    rest: str | None = None
    lost: frozenset[str] = field(default_factory=frozenset)

    def where(self, leaf: str) -> str | None:
        """Where a column stands; None: it is lost."""
        if leaf in self.lost:
            return None
        return self.places.get(leaf) or (self.rest and self.rest.format(leaf))

    @property
    def survivors(self) -> tuple[str, ...]:
        """Columns of its tasks that a reader gets back."""
        return tuple(leaf for leaf in leaves(self.tasks) if self.where(leaf))


class Writer:
    """Writes the rows of one export below a folder. Subclasses add rows and finish their pages.

    Args:
        folder: empty, and not yet visible under the name that the user asked for.
        opened: the corpus.
        sources: slugs that are exported.
        about: what `provenance` says of them.
    """

    def __init__(self, folder: Path, opened: Corpus, sources: tuple[str, ...], about: dict[str, Any]) -> None:
        self.folder, self.opened, self.sources, self.about = folder, opened, sources, about
        self.notes: Counter[str] = Counter()  # what single rows lost, beside the columns that every row loses
        self.open_files = ExitStack()
        self._made: set[Path] = set()

    def add(self, row: dict[str, Any], stem: str) -> str | None:
        """Write a row; returns why the format has no room for it, or None.

        Args:
            row: all `columns` of its task.
            stem: file name without ending, unique and safe.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """Write what is known only at the end."""

    def save(self, name: str, data: bytes) -> None:
        """Write a file below the folder; one that is there already is never replaced."""
        path = self.path(name)
        try:
            with path.open("xb") as file:
                file.write(data)
        except FileExistsError:
            raise CorpusError(f"{name} would be written twice: two rows of {self.opened.path} are one file.") from None

    def path(self, name: str) -> Path:
        """Path of a file below the folder, its parent made."""
        path = self.folder / name
        if path.parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        return path


class Classes:
    """Label -> number, the same for every split: the labels that the sources map to, in the ontology's order.

    Args:
        opened: the corpus.
        sources: slugs that are exported.
        first: number of the first class.
    """

    def __init__(self, opened: Corpus, sources: tuple[str, ...], first: int) -> None:
        tables = [opened.manifests[source].facts["labels"].values() for source in sources]
        named = {target if isinstance(target, str) else target["to"] for table in tables for target in table}
        tree = opened.ontology
        nodes = {tree.node(name).name for name in named - {UNLABELLED}}
        self._number = {name: first + n for n, name in enumerate(n for n in tree.names if n in nodes)}
        self._first = first

    def __getitem__(self, label: str | None) -> int:
        # Objects without a label have the last class, made when the first one comes.
        return self._number.setdefault(label or UNLABELLED, self._first + len(self._number))

    def items(self) -> list[tuple[str, int]]:
        """Names and numbers, by number."""
        return list(self._number.items())


def image_name(row: Mapping[str, Any], stem: str) -> str:
    """File name of a row's image: the stem and the ending that its bytes ask for.

    Raises:
        CorpusError: it is no JPEG, PNG or WebP.
    """
    kind = _KINDS.get(row["image"]["bytes"][:2])
    if kind is None:
        found = row["image"]["bytes"][:8]
        raise CorpusError(f"{row['sample_id']}: the image begins with {found!r}; expected JPEG, PNG or WebP.")
    return f"{stem}.{kind}"


def said(row: Mapping[str, Any], *without: str) -> dict[str, Any]:
    """What a row says, by column: nulls and some columns left out."""
    return {name: value for name, value in row.items() if value is not None and name not in without}


def flagged(entry: Mapping[str, Any], flag: str) -> bool:
    """Whether a row or object carries a word of `schema.FLAGS`."""
    return flag in (entry["flags"] or ())
