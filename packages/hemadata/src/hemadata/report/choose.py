"""Which rows the gallery shows: every class of every source in turn, so that rare ones are seen; always the same."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from hemadata.report.tally import field_of

Candidate = tuple[int, str, str]  # hash, sample_id, shard


class Chooser:
    """Keeps the rows of smallest hash of every class while shards pass by: a fixed sample in bounded memory.

    Args:
        limit: rows wanted of all sources.
        sources: how many there are.
    """

    def __init__(self, limit: int, sources: int) -> None:
        self._limit, self._kept_each = limit, max(64, -(-2 * limit // max(1, sources)))
        self._strata: dict[str, dict[str | None, list[Candidate]]] = defaultdict(dict)

    def add(self, source: str, shard: str, table: pa.Table) -> None:
        """Look at the rows of one shard."""
        names = table["sample_id"].to_pylist()
        hashes = [xxhash.xxh3_64_intdigest(name.encode()) for name in names]
        strata = self._strata[source]
        for label, rows in _classes(table).items():
            new = ((hashes[row], names[row], shard) for row in rows)
            strata[label] = heapq.nsmallest(self._kept_each, [*strata.get(label, ()), *new])

    def chosen(self) -> list[Candidate]:
        """At most `limit` rows, in the order of choice: a beginning of the list is stratified too."""
        queues = [_distinct(_in_turn(self._strata[source].values())) for source in sorted(self._strata)]
        return list(islice(_in_turn(queues), self._limit))


def _distinct(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """A picture of three classes comes once."""
    seen = set[str]()
    for candidate in candidates:
        if candidate[1] not in seen:
            seen.add(candidate[1])
            yield candidate


def _in_turn(queues: Iterable[Iterable[Candidate]]) -> Iterator[Candidate]:
    """One of each queue after the other, until all are empty."""
    waiting = [iter(queue) for queue in queues]
    while waiting:
        still = []
        for queue in waiting:
            candidate = next(queue, None)
            if candidate is not None:
                still.append(queue)
                yield candidate
        waiting = still


def _classes(table: pa.Table) -> dict[str | None, list[int]]:
    """Label -> rows that show it; a row without any label is of class None."""
    rows = pa.chunked_array([pa.array(range(table.num_rows), pa.int64())])
    pairs = [pa.table({"row": rows, "label": table["label"]})]
    if "objects" in table.column_names:
        entries = field_of(pc.list_flatten(table["objects"]), "label")
        pairs.append(pa.table({"row": pc.list_parent_indices(table["objects"]), "label": entries}))
    named = pa.concat_tables(pairs).filter(pc.is_valid(pa.concat_tables(pairs)["label"]))
    classes: dict[str | None, list[int]] = defaultdict(list)
    seen = set[int]()
    for pair in named.group_by(["row", "label"]).aggregate([]).to_pylist():
        classes[pair["label"]].append(pair["row"])
        seen.add(pair["row"])
    if bare := [row for row in range(table.num_rows) if row not in seen]:
        classes[None] = bare
    return dict(sorted(classes.items(), key=lambda item: item[0] or ""))
