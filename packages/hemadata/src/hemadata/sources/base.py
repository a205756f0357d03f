"""What a source is: a page of facts, and three functions that read its published layout.

`index(raw)` makes the plan: cheap, one process, yields a `Ref` per image; text annotations are parsed here.
`load(ref)` runs in the unit's process and may open pixels; most sources need none and use `load_bytes`.
`draw(out, n, seed)` writes a tiny raw tree in exactly the published layout, declared defects included.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from hemadata.errors import InputMissingError, LayoutError
from hemadata.formats import yolo
from hemadata.formats.boxes import Attribute, Boxes
from hemadata.formats.rawtree import RawFile, RawTree, unlike
from hemadata.formats.spool import Spool
from hemadata.labels import LabelMap
from hemadata.quarantine import Quarantined
from hemadata.sources.facts import SourceFacts


@dataclass(slots=True)
class Ref:
    """One image of the plan: where its bytes lie and what the source's text says about it.

    Args:
        key: stable inside the source; `sample_id` is `source/key`.
        mask: a second picture that `load` reads beside the image: a mask, or a copy that carries annotation.
        objects_shown: the objects hold in the frame that a viewer shows, not in the stored one.
        group: patient, slide, film, field or photograph, as published; None: the image stands alone.
        split_upstream: train, validation or test, as published.
        flags: words of `schema.FLAGS` that the source's text gives.
        about: further columns of `schema.COLUMNS`, by name.
    """

    key: str
    image: RawFile
    mask: RawFile | None = None
    label_raw: str | None = None
    label_fine_raw: str | None = None
    objects: Boxes | None = None
    objects_shown: bool = False
    attributes: tuple[Attribute, ...] | None = None
    group: str | None = None
    split_upstream: str | None = None
    split_paper: str | None = None
    flags: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Sample:
    """The bytes behind a `Ref`.

    Args:
        mask: an image file too.
        flags: words of `schema.FLAGS`.
        problems: reason and detail of what was left out.
    """

    image: bytes
    mask: bytes | None = None
    objects: Boxes | None = None
    flags: tuple[str, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()


class Raw:
    """The raw folders of one source, and the reader's way to report what it cannot use.

    `raw.own` is the source's own tree; `raw["acevedo"]` another declared in its `raw = [...]`; `raw.variant` the one of
    `variants = [...]` that the user named.
    """

    def __init__(self, facts: SourceFacts, trees: Mapping[str, RawTree], variant: str | None = None) -> None:
        self.facts, self.trees, self.variant = facts, dict(trees), variant
        self.problems: list[Quarantined] = []

    @property
    def own(self) -> RawTree:
        """The tree of the source's own folder."""
        return self.trees[self.facts.raw_folders[0]]

    def __getitem__(self, folder: str) -> RawTree:
        return self.trees[folder]

    def unlike(self, expected: str) -> LayoutError:
        """The error for an own tree that fits no known layout."""
        return unlike(self.own, self.facts.name, expected)

    def named(self, file: RawFile, pattern: re.Pattern[str], example: str) -> re.Match[str]:
        """The parts of a file's name without ending.

        Args:
            file: of the own tree.
            pattern: of all such names.
            example: one of them, for the message.

        Raises:
            LayoutError: the name is of another form.
        """
        if not (parts := pattern.fullmatch(file.stem)):
            raise self.unlike(f"names like {example}, but {file.name} is there")
        return parts

    def choose(self, there: Mapping[str, bool], expected: str) -> str:
        """The layout to read: the one that is there, or of several the one that the user named.

        Args:
            there: layout, as `variants = [...]` of the TOML names it -> whether it is in the tree.
            expected: how each looks, for the message.

        Raises:
            LayoutError: none is there, not the named one, or several and none was named.
        """
        found = [name for name, is_there in there.items() if is_there]
        root, name = self.own.root, self.facts.name
        if self.variant and self.variant not in found:
            raise LayoutError(
                f"{root}: --variant {self.variant} is not there; found {' and '.join(found) or 'nothing'}. "
                f"Expected {expected}."
            )
        if len(found) > 1 and not self.variant:
            raise LayoutError(
                f"{root}: {' and '.join(found)} are both there, and a corpus holds one. Name it: "
                + " or ".join(f"hemadata build --source {name} --variant {variant}" for variant in found)
            )
        if not found:
            raise self.unlike(expected)
        return self.variant or found[0]

    def problem(self, file: RawFile | str, record: str, reason: str, detail: str = "") -> None:
        """Report a file or record that makes no row."""
        name = file if isinstance(file, str) else file.name
        self.problems.append(Quarantined(self.facts.name, name, record, reason, detail))


def load_bytes(ref: Ref) -> Sample:
    """Read image and mask as they are; objects are those of the plan, shares of the image turned into pixels."""
    image = ref.image.read()
    return Sample(image, ref.mask.read() if ref.mask else None, yolo.in_pixels(ref.objects, image))


@dataclass(frozen=True)
class Source:
    """A registered data set: facts, label map and the three functions of its module."""

    facts: SourceFacts
    module: ModuleType
    toml: bytes
    is_foreign: bool = False  # of another package

    @property
    def name(self) -> str:
        """The slug."""
        return self.facts.name

    @property
    def index(self) -> Callable[[Raw], Iterator[Ref]]:
        """`index(raw)` of the module."""
        return self.module.index  # type: ignore[no-any-return]

    @property
    def load(self) -> Callable[[Ref], Sample]:
        """`load(ref)` of the module, by default `load_bytes`."""
        return getattr(self.module, "load", load_bytes)

    @property
    def draw(self) -> Callable[[Path, int, int], None]:
        """`draw(out, n, seed)` of the module; `out` is the raw root, as `--raw` names it."""
        return self.module.draw  # type: ignore[no-any-return]

    def label_map(self) -> LabelMap:
        """Raw label -> ontology node."""
        return LabelMap(self.facts.labels, self.name)

    def fine_map(self) -> LabelMap:
        """Raw finer label (a file-name prefix, say) -> ontology node."""
        return LabelMap(self.facts.labels_fine, self.name)

    def is_there(self, roots: Sequence[Path]) -> bool:
        """Whether all raw folders of the source are below `roots`."""
        return all(_find(roots, folder) for folder in self.facts.raw_folders)

    def open_raw(self, roots: Sequence[Path], spool: Spool | None = None, variant: str | None = None) -> Raw:
        """Scan the raw folders, each below the first of `roots` that has it.

        Args:
            roots: folders that are searched in order.
            spool: where archives are unpacked that cannot be read in place; None: they are left out.
            variant: layout to read where several are there; a source without variants takes no notice.

        Raises:
            InputMissingError: a folder is not there; the message says where the data come from.
        """
        found = {folder: _find(roots, folder) for folder in self.facts.raw_folders}
        if missing := [folder for folder, path in found.items() if path is None]:
            raise InputMissingError(self._how_to_get(roots[0], missing))
        trees = {folder: RawTree.scan(path, spool) for folder, path in found.items() if path}
        return Raw(self.facts, trees, variant if variant in self.facts.variants else None)

    def _how_to_get(self, root: Path, missing: list[str]) -> str:
        facts, folders = self.facts, " and ".join(str(root / folder) for folder in missing)
        lines = [f"The raw data of {facts.name} are not in {folders}."]
        if any(download.by_program and not download.optional for download in facts.download):
            lines.append(f"To fetch them: hemadata fetch --source {facts.name}   (homepage: {facts.homepage})")
        elif facts.instructions:
            lines += [facts.instructions.strip(), f"Homepage: {facts.homepage}"]
        else:
            lines.append(f"They come from {facts.homepage}: hemadata fetch --source {facts.name} tells the steps.")
        lines.append(f"To try the pipeline without them: hemadata build --source {facts.name} --phantom 200")
        return "\n".join(lines)


def _find(roots: Sequence[Path], folder: str) -> Path | None:
    return next((root / folder for root in roots if (root / folder).is_dir()), None)
