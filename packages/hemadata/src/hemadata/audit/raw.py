"""`hemadata sources check`: reads a raw tree without building, and tells every deviation from its page."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from hemadata.build.plan import Plan, make_plan
from hemadata.errors import HemaError, InputMissingError
from hemadata.formats.rawtree import RawFile, RawTree
from hemadata.formats.spool import Spool, Tell
from hemadata.ontology.normal import normalise
from hemadata.sources.base import Raw, Source
from hemadata.sources.facts import SourceFacts

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
# error: nothing can be built; warning: the corpus will not be the declared one; note: differs, and the page says why
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp")
UNFINISHED = (".part", ".crdownload", ".partial", ".download", ".aspera-ckpt", ".tmp")
NAMED = 5  # examples in a line


@dataclass(frozen=True, slots=True)
class Deviation:
    """One difference between a tree and its page: how bad, of what kind, where, and in words."""

    severity: Severity
    rule: str
    where: str
    found: str


@dataclass(slots=True)
class RawReport:
    """What a raw tree holds and how it deviates."""

    source: str
    images: int = 0
    objects: int = 0
    classes: int = 0
    expected: int | None = None  # images, where the page is sure of them
    deviations: list[Deviation] = field(default_factory=list)

    def add(self, severity: Severity, rule: str, where: str, found: str) -> None:
        """Note a deviation."""
        self.deviations.append(Deviation(severity, rule, where, found))

    @property
    def is_sound(self) -> bool:
        """Whether nothing worse than a note was found."""
        return all(deviation.severity == "note" for deviation in self.deviations)

    def as_dict(self) -> dict[str, Any]:
        """The object of `sources check --json`."""
        return asdict(self) | {"sound": self.is_sound}


def inspect(source: Source, roots: Sequence[Path], tell: Tell = lambda line: None) -> RawReport:
    """Read the raw folders of a source as a build would, opening no picture.

    Args:
        source: whose page is compared.
        roots: folders with one raw folder per slug.
        tell: told, in a line for a person, before a large archive is unpacked for the while.

    Raises:
        InputMissingError: a raw folder is not there.
    """
    report = RawReport(source.name, expected=_expected_images(source.facts))
    with TemporaryDirectory(prefix="hemadata-") as folder:
        _inspect(source, roots, Spool(Path(folder) / "spool", tell), report)
    report.deviations.sort(key=lambda d: (SEVERITIES.index(d.severity), d.rule, d.where))
    return report


def _inspect(source: Source, roots: Sequence[Path], spool: Spool, report: RawReport) -> None:
    try:
        raw = source.open_raw(roots, spool)
        _compare_files(source, raw, report)
        plan = make_plan(source, raw)
    except InputMissingError:
        raise
    except HemaError as error:
        report.add("error", "layout", ", ".join(source.facts.raw_folders), str(error))
    else:
        report.images, report.objects = plan.images, sum(len(ref.objects or ()) for ref in plan.refs)
        _compare_counts(plan, report)
        _compare_labels(plan, report)
        _compare_defects(plan, report)
        _compare_pictures(plan, raw, report)


def _expected_images(facts: SourceFacts) -> int | None:
    """How many images the tree must give; None where the page only knows that the paper's number is another one."""
    if facts.archive.images is not None:
        return facts.archive.images
    return None if "images" in facts.published.note else facts.published.images


def _compare_files(source: Source, raw: Raw, report: RawReport) -> None:
    """Downloads that are there have their declared size; none is still on its way."""
    own = raw.own
    for download in source.facts.download:
        file = own.get(download.file) if download.file else None
        if file and download.bytes is not None and file.size != download.bytes:
            found = f"{file.size:,} bytes, {download.bytes:,} are declared: cut, or another version"
            report.add("warning", "size", file.name, found)
    for tree in raw.trees.values():
        for file in [*tree.files.values(), *tree.junk]:
            if file.name.lower().endswith(UNFINISHED):
                report.add("warning", "unfinished", file.name, f"{file.size:,} bytes of a download that has not ended")
            elif file.size == 0 and file.name.lower().endswith(PICTURES):
                report.add("warning", "empty", file.name, "an empty file")


def _compare_counts(plan: Plan, report: RawReport) -> None:
    published, archive, refs = plan.source.facts.published, plan.source.facts.archive, list(plan.refs)
    labels = {ref.label_raw for ref in refs} | {
        label for ref in refs for label in (ref.objects.labels if ref.objects else ())
    }
    report.classes = _classes(labels, plan.source)
    found = {"images": len(refs), "classes": report.classes}
    splits = Counter(ref.split_paper for ref in refs if ref.split_paper)
    found |= {"train": splits["train"], "test": splits["test"]} if splits else {}
    for name, count in found.items():
        declared, paper = getattr(archive, name, None), getattr(published, name)
        note, where = published.note.get(name), f"{name} of {plan.source.name}"
        due = declared if declared is not None else paper
        if due is None or (name == "classes" and count == 0):
            continue
        if abs(count - due) > published.tolerance * due:
            told = f"{count:,} in the tree, {due:,} {'in the archive' if declared is not None else 'in the paper'}"
            is_told = declared is None and note is not None
            report.add("note" if is_told else "warning", name, where, f"{told}: {note}" if is_told else told)
        elif paper is not None and count != paper:
            report.add(
                "note", name, where, f"{count:,} in the tree, {paper:,} in the paper: {note or 'no reason known'}"
            )


def _classes(labels: set[str | None], source: Source) -> int:
    """How many classes the words stand for: spellings of one meaning are one where the page counts them so."""
    words, known = {label for label in labels if label is not None}, source.label_map()
    due = source.facts.archive.classes or source.facts.published.classes
    meanings = len({known.resolve(word).node for word in words})
    return meanings if meanings == due else len({normalise(word) for word in words})


def _compare_labels(plan: Plan, report: RawReport) -> None:
    """Labels of the page that never come; unknown ones stopped the plan."""
    seen: set[str | None] = set()
    for ref in plan.refs:
        seen.add(ref.label_raw)
        seen.update(ref.objects.labels if ref.objects else ())
    if seen - {None} and (absent := [label for label in plan.source.facts.labels if label not in seen]):
        report.add("note", "labels", plan.source.name, f"never seen in this tree: {_some(absent)}")


def _compare_defects(plan: Plan, report: RawReport) -> None:
    """What the reader cannot use, beside what its page declares; defects inside pictures are seen by a build only."""
    by_reason = defaultdict(list)
    for problem in plan.problems:
        by_reason[problem.reason].append(problem)
    for reason, problems in by_reason.items():
        declared = plan.source.facts.defects.get(reason, 0)
        is_declared = len(problems) <= declared or problems[0].severity == "ignored"
        for problem in problems:
            detail = " ".join(filter(None, (problem.record, problem.detail)))
            report.add("note" if is_declared else "warning", reason, problem.file, detail)
        if not is_declared:
            found = f"{len(problems)} in the tree, {declared} declared"
            report.add("warning", reason, f"defects of {plan.source.name}", found)


def _compare_pictures(plan: Plan, raw: Raw, report: RawReport) -> None:
    """Pictures that the reader passes over, folder by folder."""
    used = {file.name for ref in plan.refs for file in (ref.image, ref.mask) if isinstance(file, RawFile)}
    used |= {problem.file for problem in plan.problems}
    folders = Counter(name.rpartition("/")[0] for name in _pictures([raw.own]) if name not in used)
    for folder, count in sorted(folders.items()):
        report.add("note", "unread", folder or ".", f"{count:,} pictures that this source does not read")


def _pictures(trees: Iterable[RawTree]) -> Iterator[str]:
    return (name for tree in trees for name in tree.files if name.lower().endswith(PICTURES))


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
