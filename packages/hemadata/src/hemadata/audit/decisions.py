"""What was decided of the rows: each is there once, lies where it is assigned to, and no group is on two sides.

Names are held as hashes of 8 bytes, 40 bytes a row in all. What looks wrong by its hashes is read again, and told only
where the names themselves are wrong.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from hemadata.arrow import read_tables
from hemadata.audit.leakage import PAIRS_SCHEMA, pairs_path
from hemadata.audit.pictures import CROP
from hemadata.build.assign import assignment_parts
from hemadata.corpus import Corpus
from hemadata.schema import SPLITS

COLUMNS = ["sample_id", "split", "group_id", "dup_cluster", "file"]
JOINED = {"group": "group_id", "duplicate": "dup_cluster"}
"""Rule -> column whose equal values must be on one side."""
EXCLUDED, ODD = SPLITS.index("excluded"), len(SPLITS)
Add = Callable[[str, str, str], None]
"""Notes a breach: rule, record, what was found."""


def hashes(column: pa.ChunkedArray) -> np.ndarray:
    """A name of 8 bytes for each value, 0 for null; uint64 [rows]."""
    encoded = column.combine_chunks().dictionary_encode()
    known = (xxhash.xxh3_64_intdigest(name.encode()) for name in encoded.dictionary.to_pylist())
    names = np.append(np.fromiter(known, np.uint64, len(encoded.dictionary)), np.uint64(0))
    return np.asarray(names[pc.fill_null(encoded.indices, len(names) - 1).to_numpy()])


def _sides(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers of splits, uint8 [rows]; `ODD` for what is none."""
    return np.asarray(pc.fill_null(pc.index_in(column, pa.array(SPLITS)), ODD), np.uint8)


def _lies_in(files: pa.ChunkedArray) -> pa.ChunkedArray:
    """The split that a shard's name says."""
    return pc.replace_substring_regex(files, "^(?:.*/)?([^-/]*)-[^/]*$", r"\1")


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of a corpus as the index has them, each array [rows]."""

    sample: np.ndarray
    split: np.ndarray
    lies_in: np.ndarray
    joined: dict[str, np.ndarray]

    @classmethod
    def of(cls, corpus: Corpus) -> "Rows":
        """Read the index."""
        parts = [
            (hashes(t["sample_id"]), _sides(t["split"]), _sides(_lies_in(t["file"])), *_joined(t))
            for t in _index(corpus)
        ]
        sample, split, lies_in, *joined = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return cls(sample, split, lies_in, dict(zip(JOINED, joined, strict=True)))

    def crossing(self, rule: str) -> np.ndarray:
        """Hashes of groups, or of clusters, with rows on two sides."""
        names = self.joined[rule]
        placed = (self.split != EXCLUDED) & (names != 0)
        names, sides = names[placed], self.split[placed]
        order = np.lexsort((sides, names))
        names, sides = names[order], sides[order]
        return np.unique(names[1:][(names[1:] == names[:-1]) & (sides[1:] != sides[:-1])])


def check_decisions(corpus: Corpus, add: Add) -> None:
    """Check the index against the assignment in force and the known duplicates.

    Args:
        corpus: every index of it can be read.
        add: told of every breach.

    Raises:
        CorpusError: the assignment or the pairs cannot be read.
    """
    rows = Rows.of(corpus)
    found, counts = np.unique(rows.sample, return_counts=True)
    wrong = np.unique(np.concatenate([_misplaced(corpus, rows), found[counts > 1]]))
    crossing = {rule: names for rule in JOINED if len(names := rows.crossing(rule))}
    crops = list(_crossing_crops(corpus.path, rows))
    del rows, found, counts
    if len(wrong):
        _tell_rows(corpus, wrong, add)
    for rule, names in crossing.items():
        _tell_joined(corpus, rule, names, add)
    if crops:
        _tell_crops(corpus, crops, add)


def _index(corpus: Corpus) -> Iterator[pa.Table]:
    for source in corpus.sources:
        yield from corpus.index_of(source, COLUMNS)


def _joined(table: pa.Table) -> Iterator[np.ndarray]:
    return (hashes(table[name]) for name in JOINED.values())


def _misplaced(corpus: Corpus, rows: Rows) -> np.ndarray:
    """Hashes of rows that lie or are told elsewhere than they are assigned, or are not assigned at all."""
    parts = [
        (hashes(table["sample_id"]), _sides(table["split"]), hashes(table["group_id"]))
        for table in assignment_parts(corpus.path)
    ]
    sample, split, group = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.argsort(sample)
    at = order[np.searchsorted(sample, rows.sample, sorter=order) % len(order)]
    fits = (sample[at] == rows.sample) & (split[at] == rows.split) & (group[at] == rows.joined["group"])
    return np.asarray(rows.sample[~fits | (rows.lies_in != rows.split)])


def _crossing_crops(corpus: Path, rows: Rows) -> Iterator[tuple[str, str]]:
    """Pairs of a crop and the picture that it was cut from, on two sides by their hashes."""
    if not (path := pairs_path(corpus)).exists():
        return
    order = np.argsort(rows.sample)
    wanted = pa.schema([PAIRS_SCHEMA.field(name) for name in ("sample_a", "sample_b", "kind")])
    for table in read_tables(path, wanted, advice=f"Run hemadata duplicates {corpus} again."):
        table = table.filter(pc.equal(table["kind"], CROP))
        sides = []
        for end in ("sample_a", "sample_b"):
            names = hashes(table[end])
            at = order[np.searchsorted(rows.sample, names, sorter=order) % len(order)]
            sides.append(np.where(rows.sample[at] == names, rows.split[at], EXCLUDED))
        crosses = (sides[0] != sides[1]) & (sides[0] != EXCLUDED) & (sides[1] != EXCLUDED)
        for pair in table.filter(pa.array(crosses)).to_pylist():
            yield pair["sample_a"], pair["sample_b"]


def _suspects(corpus: Corpus, column: str, names: np.ndarray) -> Iterator[dict[str, str]]:
    """Rows of the index whose name in a column has one of some hashes."""
    for table in _index(corpus):
        yield from table.filter(pa.array(np.isin(hashes(table[column]), names))).to_pylist()


def _tell_rows(corpus: Corpus, names: np.ndarray, add: Add) -> None:
    assigned = {
        row["sample_id"]: row
        for table in assignment_parts(corpus.path)
        for row in table.filter(pa.array(np.isin(hashes(table["sample_id"]), names))).to_pylist()
    }
    counts = Counter[str]()
    for row in _suspects(corpus, "sample_id", names):
        sample_id, lies_in = row["sample_id"], _lies_in(pa.array([row["file"]]))[0].as_py()
        counts[sample_id] += 1
        due = assigned.get(sample_id, {"split": None, "group_id": None})
        if not due["split"] == row["split"] == lies_in:
            add("split", sample_id, f"lies in {row['file']}, assigned to {due['split']}")
        if due["group_id"] != row["group_id"]:
            add("group", sample_id, f"is of {row['group_id']} in the index, of {due['group_id']} in the assignment")
    for sample_id, count in counts.items():
        if count > 1:
            add("unique", sample_id, f"{count} rows have this sample_id")


def _tell_joined(corpus: Corpus, rule: str, names: np.ndarray, add: Add) -> None:
    """No group, and no cluster of duplicates, is on two sides."""
    members: dict[str, dict[str, str]] = defaultdict(dict)
    for row in _suspects(corpus, JOINED[rule], names):
        if row["split"] != "excluded":
            members[row[JOINED[rule]]].setdefault(row["split"], row["sample_id"])
    for name, samples in members.items():
        _tell_crossing(corpus, rule, name, samples.items(), add)


def _tell_crops(corpus: Corpus, pairs: list[tuple[str, str]], add: Add) -> None:
    """No crop is on another side than the picture that it was cut from."""
    ends = pa.table({"end": pa.array(sorted({end for pair in pairs for end in pair}))})
    split_of = {row["sample_id"]: row["split"] for row in _suspects(corpus, "sample_id", hashes(ends["end"]))}
    for pair in pairs:
        sides = [(split_of.get(end), end) for end in pair]
        if {side for side, _ in sides} <= set(SPLITS[:3]):
            _tell_crossing(corpus, "crop", " and ".join(pair), sides, add)


def _tell_crossing(corpus: Corpus, rule: str, name: str, samples: Iterable[tuple[str | None, str]], add: Add) -> None:
    if len({split for split, _ in samples}) > 1:
        listed = ", ".join(f"{sample} ({split})" for split, sample in sorted(samples))
        add(rule, name, f"crosses the split: {listed}. Run hemadata split {corpus.path}")
