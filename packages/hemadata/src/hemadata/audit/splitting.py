"""`hemadata split` on a corpus: reads the rows, decides, puts a new assignment in force and moves what it touches."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock

from hemadata.arrow import to_table
from hemadata.audit.leakage import read_pairs, write_leakage
from hemadata.audit.pictures import anchors_of, cluster_names, same_picture
from hemadata.audit.split import FINDING, Cost, Member, Split, decide
from hemadata.build.assign import ARROW, read_assignment, version_in_force, write_assignment
from hemadata.build.replace import replace_stale, settle
from hemadata.corpus import Corpus
from hemadata.schema import SPLITS


@dataclass(slots=True)
class Outcome:
    """What a split has done.

    Args:
        version: assignment in force now.
        is_new: whether it was written by this run.
        searched: whether duplicates were searched for before.
        costs: source -> what its split costs.
        test_changed: source -> rows that came to or left its test set.
        moved: source -> rows in the units that were written again.
        leaking: sources -> pairs that still cross into test; none, unless something is wrong.
    """

    version: str
    is_new: bool
    searched: bool
    costs: dict[str, Cost]
    test_changed: Counter[str] = field(default_factory=Counter)
    moved: dict[str, int] = field(default_factory=dict)
    leaking: Counter[tuple[str, str]] = field(default_factory=Counter)


def split(path: Path) -> Outcome:
    """Split a corpus anew by its groups and known duplicates.

    Args:
        path: folder of the corpus.

    Raises:
        InputMissingError: there is no corpus.
        CorpusError: a build was interrupted, or the pairs cannot be read.
    """
    pairs = read_pairs(path)
    settle(path)
    members, anchors, before = _read(path)
    there = {member.sample_id for member in members}
    known = [p for p in pairs or () if p.sample_a in there and p.sample_b in there]
    decided = decide(members, anchors, [(p.sample_a, p.sample_b) for p in known])
    clusters = cluster_names(same_picture(known))
    with FileLock(path / "assignment" / ".lock"):
        is_new = write_assignment(path, _table(read_assignment(path), members, decided, clusters))
    version = version_in_force(path)
    assert version
    outcome = Outcome(version.stem, is_new, pairs is not None, decided.costs)
    for member, was in zip(members, before, strict=True):
        now = decided.split[member.sample_id]
        if "test" in (was, now) and was != now:
            outcome.test_changed[member.source] += 1
    outcome.moved = {source: rows for source, rows in replace_stale(path).items() if rows}
    outcome.leaking = write_leakage(path)
    return outcome


def _read(path: Path) -> tuple[list[Member], dict[str, str], list[str]]:
    """Every row, the anchors, and the split that each row has; the index, which is larger, is let go."""
    with Corpus(path) as corpus:
        return list(_members(corpus)), anchors_of(corpus), corpus.index["split"].to_pylist()


def _members(corpus: Corpus) -> Iterator[Member]:
    """Every row. Classes are the label of the row, or those of its objects."""
    names = ["sample_id", "source", "native_group", "split_upstream", "label"]
    labels: dict[str, tuple[str, ...]] = {}
    for manifest in corpus.manifests.values():
        if manifest.task in ("detection", "segmentation"):
            for row in corpus.rows(manifest.task, columns=["sample_id", "objects"], source=manifest.source):
                labels[row["sample_id"]] = tuple(sorted({o["label"] for o in row["objects"] or () if o["label"]}))
    for sample_id, source, group, upstream, label in zip(*(corpus.index[n].to_pylist() for n in names), strict=True):
        classes = labels.get(sample_id) or ((label,) if label else ())
        yield Member(sample_id, source, group or sample_id, upstream, classes)


def _table(old: pa.Table, members: list[Member], decided: Split, clusters: dict[str, str]) -> pa.Table:
    """The new assignment. Rows whose image is in quarantine follow their group, or stay as they were."""
    ids = [member.sample_id for member in members]
    columns = {
        "sample_id": ids,
        "source": [member.source for member in members],
        "split": [decided.split[sample_id] for sample_id in ids],
        "split_basis": [decided.basis[sample_id] for sample_id in ids],
        "group_id": [decided.group[sample_id] for sample_id in ids],
        "dup_cluster": [clusters.get(sample_id) for sample_id in ids],
        "own_group": [member.own_group for member in members],
    }
    table = pa.Table.from_arrays([pa.array(columns[field.name], field.type) for field in ARROW], schema=ARROW)
    absent = old.filter(pc.invert(pc.is_in(old["sample_id"], table["sample_id"].combine_chunks())))
    if not absent.num_rows:
        return table
    placed = {m.own_group: m.sample_id for m in members if decided.split[m.sample_id] != "excluded"}
    rows = []
    for row in absent.to_pylist():
        if near := placed.get(row["own_group"]):
            rows.append(row | {"dup_cluster": None, "group_id": decided.group[near], "split": decided.split[near]})
        else:
            rows.append(row | {"dup_cluster": None, "group_id": row["own_group"]})
    return pa.concat_tables([table, to_table(rows, ARROW)])


def tell(outcome: Outcome) -> Iterator[str]:
    """Lines for a person: what each choice costs."""
    if not outcome.searched:
        yield "Duplicates were not searched for: groups are the published ones. Run hemadata duplicates first."
    for source, cost in outcome.costs.items():
        counts = "  ".join(f"{name} {cost.counts[name]:,}" for name in ("train", "validation", "test"))
        yield f"{source}  {counts}{f'  excluded {x:,}' if (x := cost.counts['excluded']) else ''}"
        yield f"  {_choice(cost)}"
        for owner, rows in cost.excluded_for.most_common():
            yield f"  {rows:,} rows excluded: they share a group with test rows of {owner}"
        if cost.is_finding:
            yield f"  FINDING: loses {cost.lost:.0%} of its {cost.alone:,} training rows; {FINDING:.0%} is the limit"
        if changed := outcome.test_changed[source]:
            yield f"  {changed:,} {'row' if changed == 1 else 'rows'} came to or left its test set"
        if moved := outcome.moved.get(source):
            yield f"  {moved:,} rows in units that were written again"
    state = "is in force" if outcome.is_new else "was in force already"
    yield f"Assignment {outcome.version} {state}. Pairs across train and test: {sum(outcome.leaking.values()):,}"


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """The object of `split --json`."""
    sources = {
        source: {"basis": cost.basis, **{name: cost.counts[name] for name in SPLITS}}
        | {"published_train": cost.published_train, "cut": cost.cut, "lost": round(cost.lost, 4)}
        | {"excluded_for": dict(cost.excluded_for), "finding": cost.is_finding}
        | {"test_changed": outcome.test_changed[source], "written_again": outcome.moved.get(source, 0)}
        for source, cost in outcome.costs.items()
    }
    told = {"version": outcome.version, "new": outcome.is_new, "searched": outcome.searched, "sources": sources}
    return told | {"leaking": sum(outcome.leaking.values())}


def _choice(cost: Cost) -> str:
    share = cost.cut / cost.published_train if cost.published_train else 0.0
    price = f"{cost.cut:,} of {cost.published_train:,} published training rows ({share:.1%})"
    if cost.basis == "group":
        return "follows the anchor of its family" + (
            f"; for the rest, honouring would cost {price}" if cost.cut else ""
        )
    if cost.basis == "upstream":
        return f"published split honoured; costs {price}"
    return (
        f"placed anew by group: honouring would cost {price}" if cost.cut else "placed by group: no split is published"
    )
