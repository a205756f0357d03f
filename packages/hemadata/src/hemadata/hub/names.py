"""Names of groups and clusters as a view may say them: made from its own rows alone."""

from collections import defaultdict
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from hemadata.build.assign import ARROW


def own_names(assignment: pa.Table, goes: Collection[str], hidden: Collection[str] = ()) -> pa.Table:
    """The assignment of some sources, groups and clusters named after rows of theirs.

    A group of the whole corpus is named after its smallest part, a cluster after its first row: both may be of a
    source that is not there. A cluster of which one row is left is none.

    Args:
        assignment: of the corpus.
        goes: sources whose rows go; names are theirs where they can be.
        hidden: sources of which a recipe goes; it says the same names.
    """
    table = assignment.filter(pc.is_in(assignment["source"], pa.array([*goes, *hidden], pa.string())))
    columns = [table[name].to_pylist() for name in ("source", "sample_id", "own_group", "group_id", "dup_cluster")]
    parts, rows = defaultdict[str, set[tuple[bool, str]]](set), defaultdict[str, list[tuple[bool, str]]](list)
    for source, sample_id, own, group, cluster in zip(*columns, strict=True):
        parts[group].add((source not in goes, own))
        if cluster is not None:
            rows[cluster].append((source not in goes, sample_id))
    groups = [min(parts[group])[1] for group in columns[3]]
    clusters = [min(rows[c])[1] if c is not None and len(rows[c]) > 1 else None for c in columns[4]]
    for name, values in (("group_id", groups), ("dup_cluster", clusters)):
        table = table.set_column(ARROW.get_field_index(name), ARROW.field(name), pa.array(values, pa.string()))
    return table.sort_by("sample_id")


def renamed(index: pa.Table, assignment: pa.Table) -> pa.Table:
    """An index with the groups and clusters that an assignment of the same rows names."""
    at = pc.index_in(index["sample_id"], assignment["sample_id"].combine_chunks())
    for name in ("group_id", "dup_cluster"):
        index = index.set_column(
            index.schema.get_field_index(name), index.schema.field(name), assignment[name].take(at)
        )
    return index
