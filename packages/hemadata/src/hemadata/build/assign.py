"""What the corpus decides about a row: its group and its split, kept in `assignment/`, one file per version.

A build keeps the assignment in force and adds the rows that are new. A published test set is honoured where it cuts no
group, or where taking the rows it would leak out of train costs less than 5 %; otherwise groups are placed by a hash.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from filelock import FileLock

from hemadata import schema
from hemadata.arrow import to_table, told, write_tables
from hemadata.build.plan import Plan
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
    path = version_in_force(corpus)
    if not path:
        return ARROW.empty_table()
    with told(path, f"Remove it: the version before it is in force then, and hemadata split {corpus} makes a new one."):
        table = pq.read_table(path, schema=ARROW)
    own = pc.coalesce(table["own_group"], table["group_id"])  # versions of old have no such column
    return table.set_column(table.schema.get_field_index("own_group"), ARROW.field("own_group"), own)


def assign(corpus: Path, plan: Plan, write: bool = True) -> dict[str, Assigned]:
    """Assignment rows of one source, sample_id -> decision; new rows become a new version.

    Where the source is the anchor of its family, rows of other sources in its groups follow it in that version.

    Args:
        corpus: folder of the corpus.
        plan: of the source.
        write: False only looks (dry run).
    """
    facts, folder = plan.source.facts, corpus / "assignment"
    if not write:
        return _decide(facts, list(plan.refs), read_assignment(corpus))
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        table = read_assignment(corpus)
        decided = _decide(facts, list(plan.refs), table)
        others = table.filter(pc.not_equal(table["source"], facts.name))
        if facts.anchor == facts.name:
            others = _follow(others, decided)
        columns: dict[str, list[str | None]] = {
            "sample_id": list(decided),
            "source": [facts.name] * len(decided),
            "own_group": [group_id(facts, ref) for ref in plan.refs],  # in the order of the decisions
        }
        columns |= {field: [getattr(d, field) for d in decided.values()] for field in Assigned.__slots__}
        write_assignment(corpus, pa.concat_tables([others, pa.Table.from_pydict(columns, ARROW)]))
    return decided


def write_assignment(corpus: Path, table: pa.Table) -> bool:
    """Put an assignment in force as a new version; False where it says what the last one says.

    Whoever calls it holds `assignment/.lock` since the version was read that the table is made from.
    """
    table, last = table.sort_by("sample_id"), version_in_force(corpus)
    if last and read_assignment(corpus).equals(table):
        return False
    number = int(last.stem[1:]) + 1 if last else 1
    write_tables(corpus / "assignment" / f"v{number:04d}.parquet", [table])
    return True


def placement(assigned: dict[str, Assigned]) -> str:
    """Hash of what was decided about some rows."""
    digest = xxhash.xxh3_128()
    for sample_id in sorted(assigned):
        digest.update(f"{sample_id} {assigned[sample_id]}\n".encode())
    return digest.hexdigest()


def _follow(others: pa.Table, decided: dict[str, Assigned]) -> pa.Table:
    """Rows of other sources, those in the anchor's groups moved to where the anchor's rows are."""
    of_group = {d.group_id: d.split for d in decided.values() if d.split != "excluded"}
    rows = others.to_pylist()
    for row in rows:
        split = of_group.get(row["group_id"], row["split"])
        if row["split"] not in (split, "excluded"):
            row["split"], row["split_basis"] = split, "group"
    return to_table(rows, ARROW)


def group_id(facts: SourceFacts, ref: Ref) -> str:
    """Corpus-wide group of a reference: family and native group, or the image alone."""
    return f"{facts.group_space}/{ref.group}" if ref.group is not None else f"{facts.name}/{ref.key}"


def _decide(facts: SourceFacts, refs: list[Ref], table: pa.Table) -> dict[str, Assigned]:
    own = {f"{facts.name}/{ref.key}": group_id(facts, ref) for ref in refs}
    joined = dict(zip(table["own_group"].to_pylist(), table["group_id"].to_pylist(), strict=True))
    groups = {sample_id: joined.get(group, group) for sample_id, group in own.items()}
    kept, placed = _known(facts, table, own, set(groups.values()))
    places = place(facts, refs, placed, {row.group_id for row in kept.values()}, joined)
    return {
        sample_id: kept.get(sample_id) or Assigned(split, basis, group)
        for (sample_id, group), (split, basis) in zip(groups.items(), places, strict=True)
    }


def _known(
    facts: SourceFacts, table: pa.Table, own: dict[str, str], groups: set[str]
) -> tuple[dict[str, Assigned], dict[str, str]]:
    """Rows of this source that stand, and the split of every group that has been placed before, here or elsewhere."""
    kept, placed = {}, {}
    related = pc.is_in(table["group_id"], pa.array(sorted(groups), pa.string()))
    for row in table.filter(pc.or_(related, pc.equal(table["source"], facts.name))).to_pylist():
        if row["source"] == facts.name:
            if own.get(row["sample_id"]) != row["own_group"]:
                continue
            kept[row["sample_id"]] = Assigned(*(row[field] for field in Assigned.__slots__))
        if row["split"] != "excluded":
            placed[row["group_id"]] = row["split"]
    return kept, placed


def place(
    facts: SourceFacts,
    refs: list[Ref],
    placed: Mapping[str, str],
    own: Container[str] = (),
    joined: Mapping[str, str] | None = None,
) -> list[tuple[str, str]]:
    """Split and basis of rows, in order.

    Args:
        facts: of the source; the anchor of a family follows its own published split, the others follow the anchor.
        refs: all rows of the source.
        placed: group -> split of groups that were placed before.
        own: those of them that rows of this source were placed in.
        joined: group of a source -> group of the corpus, where `hemadata split` has joined several.
    """
    groups = [(joined or {}).get(group, group) for group in (group_id(facts, ref) for ref in refs)]
    published = honoured(zip(groups, (ref.split_upstream for ref in refs), strict=True))
    has_validation = any(ref.split_upstream == "validation" for ref in refs)
    follows, leads = facts.anchor not in (None, facts.name), facts.anchor == facts.name and published is not None
    result = []
    for group, ref in zip(groups, refs, strict=True):
        split, basis = _alone(ref, group, published, has_validation)
        at = placed.get(group) if group in own or not leads else None
        if at in (None, split):
            result.append((split, basis))
        elif follows or published is None or ref.split_upstream is None:
            result.append((str(at), "group"))
        else:  # published on the other side of a split that its group is already on
            result.append(("excluded", "group"))
    return result


def _alone(ref: Ref, group: str, published: Mapping[str, str] | None, has_validation: bool) -> tuple[str, str]:
    """Split and basis of a row as if nothing had been placed before."""
    if published is None:
        return by_hash(group, TEST_SHARE), "hash"
    split = published[group] if ref.split_upstream is None else _honour(ref, published[group])
    if split == "train" and not has_validation:
        split = by_hash(group, 0.0)
    return split, "upstream"


def honoured(rows: Iterable[tuple[str, str | None]]) -> dict[str, str] | None:
    """Group -> published split, test before validation before train; None where the published split is not honoured.

    Args:
        rows: group and published split of each row.
    """
    order = {"test": 0, "validation": 1, "train": 2, None: 3}
    rows = list(rows)
    if all(split is None for _, split in rows):
        return None
    best: dict[str, str | None] = {}
    for group, split in rows:
        if group not in best or order[split] < order[best[group]]:
            best[group] = split
    lost = Counter(split for group, split in rows if split == "train" and best[group] != "train")
    if lost["train"] > HONOUR_COST * sum(split == "train" for _, split in rows):
        return None
    return {group: split or by_hash(group, TEST_SHARE) for group, split in best.items()}


def _honour(ref: Ref, of_group: str) -> str:
    """A train row of a group that reaches into test is excluded; every other row stays where it was published."""
    return str(ref.split_upstream) if ref.split_upstream == of_group else "excluded"


def by_hash(group: str, test_share: float) -> str:
    """Split of a group by a hash of its name: so much of all to test, a tenth of the rest to validation."""
    share = xxhash.xxh3_64_intdigest(group.encode()) / 2**64
    if share < test_share:
        return "test"
    return "validation" if share < test_share + (1 - test_share) * VALIDATION_SHARE else "train"
