"""What the corpus decides about a row: its group and its split, kept in `assignment/`, one file per version.

A build keeps the assignment in force and adds the rows that are new. A published test set is honoured where it cuts no
group, or where taking the rows it would leak out of train costs less than 5 %; otherwise groups are placed by a hash.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from filelock import FileLock

from hemadata import schema
from hemadata.arrow import ROW_GROUP_ROWS, read_tables, to_table, write_tables
from hemadata.atomic import publish
from hemadata.build.dealing import Brief
from hemadata.build.plan import Plan
from hemadata.shelf import Shelf
from hemadata.sources.base import Ref
from hemadata.sources.facts import SourceFacts

TEST_SHARE, VALIDATION_SHARE = 0.20, 0.10  # validation is a tenth of what is left to train
HONOUR_COST = 0.05
ARROW = schema.to_arrow_schema(schema.ASSIGNMENT)


@dataclass(frozen=True, slots=True)
class Assigned:
    """What the corpus decided about one row."""

    split: str
    split_basis: str
    group_id: str
    dup_cluster: str | None = None


def version_in_force(corpus: Path) -> Path | None:
    """The assignment file in force, or None in a new corpus."""
    return max((corpus / "assignment").glob("v*.parquet"), default=None)


def read_assignment(corpus: Path) -> pa.Table:
    """The assignment in force; empty in a new corpus."""
    return pa.concat_tables([ARROW.empty_table(), *assignment_parts(corpus)])


def assignment_parts(corpus: Path) -> Iterator[pa.Table]:
    """The assignment in force, some rows at a time, in the order of sample ids."""
    return _parts(version_in_force(corpus), corpus)


def _parts(path: Path | None, corpus: Path) -> Iterator[pa.Table]:
    if not path:
        return
    advice = f"Remove it: the version before it is in force then, and hemadata split {corpus} makes a new one."
    for table in read_tables(path, ARROW, advice=advice):
        own = pc.coalesce(table["own_group"], table["group_id"])  # versions of old have no such column
        yield table.set_column(table.schema.get_field_index("own_group"), ARROW.field("own_group"), own)


def assign(corpus: Path, plan: Plan, write: bool = True) -> Mapping[str, Assigned]:
    """Assignment rows of one source, sample_id -> decision; new rows become a new version.

    Where the source is the anchor of its family, rows of other sources in its groups follow it in that version.

    Args:
        corpus: folder of the corpus.
        plan: of the source.
        write: False only looks (dry run).
    """
    facts, folder = plan.source.facts, corpus / "assignment"
    if not write:
        return _decide(facts, plan, corpus)[1]
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        own, decided = _decide(facts, plan, corpus)
        _write(corpus, _beside(assignment_parts(corpus), facts, own, decided))
    return decided


def write_assignment(corpus: Path, table: pa.Table) -> bool:
    """Put an assignment in force as a new version; False where it says what the last one says.

    Whoever calls it holds `assignment/.lock` since the version was read that the table is made from.
    """
    return _write(corpus, [table.sort_by("sample_id")])


def _write(corpus: Path, tables: Iterable[pa.Table]) -> bool:
    last, candidate = version_in_force(corpus), corpus / "assignment" / ".candidate.parquet"
    write_tables(candidate, tables, ARROW, durable=False)
    pairs = zip_longest(_parts(last, corpus), _parts(candidate, corpus))
    if last and all(a is not None and b is not None and a.equals(b) for a, b in pairs):
        candidate.unlink()
        return False
    number = int(last.stem[1:]) + 1 if last else 1
    publish({candidate: corpus / "assignment" / f"v{number:04d}.parquet"})
    return True


def _beside(
    stood: Iterable[pa.Table], facts: SourceFacts, own: Mapping[str, str], decided: Mapping[str, Assigned]
) -> Iterator[pa.Table]:
    """An assignment with the decisions about a source in the place of those that stood; all are in order."""
    leads, of_group = facts.anchor == facts.name, Shelf[str]()
    if leads:
        of_group.update((d.group_id, d.split) for d in decided.values() if d.split != "excluded")
    mine, is_done = _tables(facts, own, decided), False
    for table in stood:
        others = table.filter(pc.not_equal(table["source"], facts.name))
        if leads:
            others = _follow(others, of_group)
        before = int(pc.sum(pc.less(others["sample_id"], f"{facts.name}/")).as_py() or 0)
        yield others.slice(0, before)
        if before < others.num_rows and not is_done:
            yield from mine
            is_done = True
        yield others.slice(before)
    if not is_done:
        yield from mine


def _tables(facts: SourceFacts, own: Mapping[str, str], decided: Mapping[str, Assigned]) -> Iterator[pa.Table]:
    """Decisions about a source as tables, by sample id."""
    rows = zip(own.items(), decided.items(), strict=True)
    while some := list(islice(rows, ROW_GROUP_ROWS)):
        columns: dict[str, list[str | None]] = {
            "sample_id": [sample_id for (sample_id, _), _ in some],
            "source": [facts.name] * len(some),
            "own_group": [group for (_, group), _ in some],
        }
        columns |= {name: [getattr(d, name) for _, (_, d) in some] for name in Assigned.__slots__}
        yield pa.Table.from_pydict(columns, ARROW)


def placement(assigned: dict[str, Assigned]) -> str:
    """Hash of what was decided about some rows."""
    digest = xxhash.xxh3_128()
    for sample_id in sorted(assigned):
        digest.update(f"{sample_id} {assigned[sample_id]}\n".encode())
    return digest.hexdigest()


def _follow(others: pa.Table, of_group: Mapping[str, str]) -> pa.Table:
    """Rows of other sources, those in the anchor's groups moved to where the anchor's rows are."""
    rows = others.to_pylist()
    for row in rows:
        split = of_group.get(row["group_id"], row["split"])
        if row["split"] not in (split, "excluded"):
            row["split"], row["split_basis"] = split, "group"
    return to_table(rows, ARROW)


def group_id(facts: SourceFacts, ref: Brief | Ref) -> str:
    """Corpus-wide group of a reference: family and native group, or the image alone."""
    return f"{facts.group_space}/{ref.group}" if ref.group is not None else f"{facts.name}/{ref.key}"


def _decide(facts: SourceFacts, plan: Plan, corpus: Path) -> tuple[Mapping[str, str], Mapping[str, Assigned]]:
    """Own group and decision of every row, by sample id."""
    joined: dict[str, str] = {}
    for table in assignment_parts(corpus):
        differs = table.filter(pc.not_equal(table["own_group"], table["group_id"]))
        joined.update(zip(differs["own_group"].to_pylist(), differs["group_id"].to_pylist(), strict=True))
    own, groups = Shelf[str](), Shelf[bool]()
    for brief in plan.briefs():
        group = own[f"{facts.name}/{brief.key}"] = group_id(facts, brief)
        groups[joined.get(group, group)] = True
    kept, placed = _known(facts, assignment_parts(corpus), own, groups)
    of_kept = Shelf[bool]()
    of_kept.update((row.group_id, True) for row in kept.values())
    decided = _decisions()
    for brief, (split, basis) in zip(plan.briefs(), place(facts, plan.briefs, placed, of_kept, joined), strict=True):
        sample_id, group = f"{facts.name}/{brief.key}", group_id(facts, brief)
        decided[sample_id] = kept.get(sample_id) or Assigned(split, basis, joined.get(group, group))
    return own, decided


def _decisions() -> Shelf[Assigned]:
    return Shelf(lambda d: tuple(getattr(d, name) for name in Assigned.__slots__), lambda _, packed: Assigned(*packed))


def _known(
    facts: SourceFacts, stood: Iterable[pa.Table], own: Mapping[str, str], groups: Container[str]
) -> tuple[Mapping[str, Assigned], Mapping[str, str]]:
    """Rows of this source that stand, and the split of every group that has been placed before, here or elsewhere."""
    kept, placed = _decisions(), Shelf[str]()
    for table in stood:
        related = pa.array([group in groups for group in table["group_id"].to_pylist()], pa.bool_())
        for row in table.filter(pc.or_(related, pc.equal(table["source"], facts.name))).to_pylist():
            if row["source"] == facts.name:
                if own.get(row["sample_id"]) != row["own_group"]:
                    continue
                kept[row["sample_id"]] = Assigned(*(row[name] for name in Assigned.__slots__))
            if row["split"] != "excluded":
                placed[row["group_id"]] = row["split"]
    return kept, placed


def place(
    facts: SourceFacts,
    rows: Callable[[], Iterable[Brief]],
    placed: Mapping[str, str],
    own: Container[str] = (),
    joined: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, str]]:
    """Split and basis of rows, in order.

    Args:
        facts: of the source; the anchor of a family follows its own published split, the others follow the anchor.
        rows: gives all rows of the source, each time that it is called.
        placed: group -> split of groups that were placed before.
        own: those of them that rows of this source were placed in.
        joined: group of a source -> group of the corpus, where `hemadata split` has joined several.
    """

    def grouped() -> Iterator[tuple[str, str | None]]:
        groups = ((group_id(facts, row), row.split_upstream) for row in rows())
        return (((joined or {}).get(group, group), split) for group, split in groups)

    published = honoured(grouped)
    has_validation = any(split == "validation" for _, split in grouped())
    follows, leads = facts.anchor not in (None, facts.name), facts.anchor == facts.name and published is not None
    for group, upstream in grouped():
        split, basis = _alone(upstream, group, published, has_validation)
        at = placed.get(group) if group in own or not leads else None
        if at in (None, split):
            yield split, basis
        elif follows or published is None or upstream is None:
            yield str(at), "group"
        else:  # published on the other side of a split that its group is already on
            yield "excluded", "group"


def _alone(
    upstream: str | None, group: str, published: Mapping[str, str] | None, has_validation: bool
) -> tuple[str, str]:
    """Split and basis of a row as if nothing had been placed before."""
    if published is None:
        return by_hash(group, TEST_SHARE), "hash"
    of_group = published[group]
    # A train row of a group that reaches into test is excluded; every other row stays where it was published.
    split = of_group if upstream in (None, of_group) else "excluded"
    if split == "train" and not has_validation:
        split = by_hash(group, 0.0)
    return split, "upstream"


def honoured(rows: Callable[[], Iterable[tuple[str, str | None]]]) -> Mapping[str, str] | None:
    """Group -> published split, test before validation before train; None where the published split is not honoured.

    Args:
        rows: gives group and published split of each row, each time that it is called.
    """
    order = {"test": 0, "validation": 1, "train": 2, None: 3}
    if all(split is None for _, split in rows()):
        return None
    best = Shelf[str | None]()
    for group, split in rows():
        if order[split] < order[best.setdefault(group, split)]:
            best[group] = split
    train = lost = 0
    for group, split in rows():
        train += split == "train"
        lost += split == "train" and best[group] != "train"
    if lost > HONOUR_COST * train:
        return None
    found = Shelf[str]()
    found.update((group, split or by_hash(group, TEST_SHARE)) for group, split in best.items())
    return found


def by_hash(group: str, test_share: float) -> str:
    """Split of a group by a hash of its name: so much of all to test, a tenth of the rest to validation."""
    share = xxhash.xxh3_64_intdigest(group.encode()) / 2**64
    if share < test_share:
        return "test"
    return "validation" if share < test_share + (1 - test_share) * VALIDATION_SHARE else "train"
