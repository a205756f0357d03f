"""`hemadata duplicates`: pictures that are in the corpus more than once, within a source or across.

Exact first: equal bytes, equal pixels. Then near copies (resized, compressed again, turned, brightened): candidates
from fingerprints, a threshold by kind of image, and a second test on the decoded images.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hemadata.audit import candidates, fingerprints
from hemadata.audit.confirm import confirm
from hemadata.audit.crops import find_crops
from hemadata.audit.fingerprints import TURNS
from hemadata.audit.parallel import Workers, in_parts
from hemadata.audit.pictures import Joined, Pair, Pictures, Progress, cluster_names, same_picture
from hemadata.build.fingerprints import read_fingerprints, write_fingerprints
from hemadata.build.images import decoded
from hemadata.build.shards import FINGERPRINT_SCHEMA
from hemadata.build.thumbnail import SIDE, thumbnail
from hemadata.corpus import Corpus, Place
from hemadata.errors import DefectError

TESTED, AT_ONCE = 32, 1024  # images or pairs of a task; pairs tested before those that they join are passed over
REJECTED = 20  # closest pairs that were not accepted and are told


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a pair must reach: correlation over all terms, over the fine ones, and of the decoded images."""

    whole: float
    fine: float
    confirmed: float

    def admits(self, whole: np.ndarray, fine: np.ndarray) -> np.ndarray:
        """Whether pairs go to the second test."""
        return np.asarray((whole >= self.whole) & (fine >= self.fine))


# `benchmarks/duplicates.py` prints what copies and different pictures reach: fields 0.98 against 0.35 over all terms;
# cells 0.83 against 0.62 over the fine ones.
FIELDS = Threshold(whole=0.75, fine=0.5, confirmed=0.6)
CELLS = Threshold(whole=0.88, fine=0.83, confirmed=0.75)


@dataclass(slots=True)
class Found:
    """What was found in a corpus.

    Args:
        pairs: enough of them to join every cluster, also that of a source alone, and of a source with its anchor.
        rejected: the closest near pairs that were not accepted, best first.
        images: rows looked at.
        without: rows that have no fingerprint: the image cannot be read, or shows nothing.
        crowded: entries of keys that too many shared, compared with their neighbours only.
    """

    pairs: list[Pair] = field(default_factory=list)
    rejected: list[Pair] = field(default_factory=list)
    images: int = 0
    without: int = 0
    crowded: int = 0

    def clusters(self) -> dict[str, str]:
        """sample_id -> cluster, named by its first member; rows that stand alone are left out."""
        return cluster_names(same_picture(self.pairs))


def find(corpus: Corpus, progress: Progress | None = None, jobs: int = 1) -> Found:
    """Look for duplicates in a whole corpus; nothing is written but missing fingerprints.

    Args:
        corpus: opened.
        progress: told (stage, done, all).
        jobs: worker processes; what is found does not depend on them.
    """
    with Workers(jobs) as workers:
        return _find(corpus, workers, progress)


def _find(corpus: Corpus, workers: Workers, progress: Progress | None) -> Found:
    pictures = Pictures.of(corpus)
    found = Found(images=len(pictures.sample_ids))
    joined = Joined(pictures)
    found.pairs += [pair for pair in exact(pictures) if joined.join(pair)]
    chosen = _one_of_equals(pictures)
    spectrum = spectra(corpus, pictures, chosen, workers, progress)
    found.without = int((~np.any(spectrum, axis=1)).sum())
    near, found.crowded = near_pairs(pictures, chosen, spectrum, found.rejected, progress)
    for done, part in enumerate(in_parts(near, AT_ONCE), 1):
        needed = [pair for pair in part if joined.needs(pair)]
        for tested in _confirmed(corpus, needed, workers):
            if joined.needs(tested):  # no pair of this part has joined it
                limit = FIELDS if _are_fields(pictures, tested) else CELLS
                passed = (tested.confirmed or 0) >= limit.confirmed and joined.join(tested)
                (found.pairs if passed else found.rejected).append(tested)
        if progress:
            progress("second test", min(done * AT_ONCE, len(near)), len(near))
    crops = list(find_crops(corpus, pictures, joined, workers, progress))
    found.pairs += [pair for pair, passed in crops if passed]
    found.rejected = _closest(corpus, pictures, joined, found.rejected, workers)
    other = [pair for pair, passed in crops if not passed and joined.needs(pair)]
    found.rejected += sorted(other, key=lambda pair: -(pair.confirmed or 0))[: REJECTED // 2]
    return found


def _closest(corpus: Corpus, pictures: Pictures, joined: Joined, rejected: list[Pair], workers: Workers) -> list[Pair]:
    """The closest of the rejected pairs that nothing has joined, each with its second test."""
    apart = [pair for pair in rejected if joined.needs(pair)]  # what is joined may be unlike in another turn
    chosen = _different(pictures, sorted(apart, key=lambda pair: -(pair.score or 0)))[:REJECTED]
    return list(_confirmed(corpus, chosen, workers))


def exact(pictures: Pictures) -> Iterator[Pair]:
    """Pairs of equal bytes, then of equal pixels: in each source all with the first, then the firsts of all sources."""
    for kind, keys in (("bytes", pictures.sha256), ("pixels", pictures.pixels)):
        equal: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for sample_id, source, key in zip(pictures.sample_ids, pictures.sources, keys, strict=True):
            equal[key][source].append(sample_id)
        for sources in equal.values():
            for members in sources.values():
                yield from (Pair(members[0], other, kind, "none", 1.0, 1.0) for other in members[1:])
            firsts = sorted(members[0] for members in sources.values())
            yield from (Pair(a, b, kind, "none", 1.0, 1.0) for a, b in combinations(firsts, 2))


def _one_of_equals(pictures: Pictures) -> np.ndarray:
    """Positions to compare: one picture of those with equal pixels in a source."""
    first: dict[tuple[str, str], int] = {}
    for position, key in enumerate(zip(pictures.pixels, pictures.sources, strict=True)):
        first.setdefault(key, position)
    return np.array(sorted(first.values()), np.int64)


def spectra(
    corpus: Corpus, pictures: Pictures, chosen: np.ndarray, workers: Workers, progress: Progress | None = None
) -> np.ndarray:
    """Spectra of chosen rows, [n, terms]; missing thumbnails are made from the corpus and kept."""
    result = np.zeros((len(chosen), len(fingerprints.terms().radius)), np.float16)
    by_source: dict[str, list[int]] = defaultdict(list)
    for place, position in enumerate(chosen.tolist()):
        by_source[pictures.sources[position]].append(place)
    for source, places in by_source.items():
        made = dict(zip(*_thumbnails(corpus, source, workers, progress), strict=True))
        blank = bytes(SIDE * SIDE)
        wanted = (made.get(pictures.sample_ids[chosen[place]], blank) for place in places)
        result[places] = fingerprints.spectra(fingerprints.to_array(wanted))
    return result


def _thumbnails(
    corpus: Corpus, source: str, workers: Workers, progress: Progress | None
) -> tuple[list[str], list[bytes]]:
    """Sample ids and thumbnails of a source. A corpus built without decoding gets them here."""
    index = corpus.index.filter(pc.equal(corpus.index["source"], source))
    table = write_fingerprints(corpus.path, source, [read_fingerprints(corpus.path, source)], index)
    known = set(table["sample_id"].to_pylist())
    rows = index.select(["sample_id", "sha256"]).to_pylist()
    missing = [row for row in rows if row["sample_id"] not in known]
    new: list[dict[str, Any]] = []
    tasks = (([corpus.place(row["sample_id"]) for row in part]) for part in in_parts(missing, TESTED))
    for part, made in zip(in_parts(missing, TESTED), workers.map(_make_thumbnails, tasks), strict=True):
        new += [row | {"thumbnail": small} for row, small in zip(part, made, strict=True) if small]
        if progress:
            progress(f"fingerprints of {source}", len(new), len(missing))
    if new:
        table = write_fingerprints(
            corpus.path, source, [table, pa.Table.from_pylist(new, schema=FINGERPRINT_SCHEMA)], index
        )
    return table["sample_id"].to_pylist(), table["thumbnail"].to_pylist()


def near_pairs(
    pictures: Pictures,
    chosen: np.ndarray,
    spectrum: np.ndarray,
    rejected: list[Pair],
    progress: Progress | None = None,
) -> tuple[list[Pair], int]:
    """Pairs whose fingerprints are close enough for the second test, best first.

    Args:
        pictures: all rows.
        chosen: positions of the rows to compare.
        spectrum: of the chosen rows.
        rejected: gets the closest of the others.
        progress: told of the stages.

    Returns:
        The pairs, and how many entries of the hash search were crowded.
    """
    (a, b, turn), crowded = candidates.by_hash(spectrum)
    if progress:
        progress("fingerprints compared", 1, 2)
    fields = np.flatnonzero(pictures.is_field[chosen])
    more, rest = candidates.by_correlation(spectrum, fields), candidates.among_few(spectrum)
    a, b, turn = (np.concatenate(parts) for parts in zip((a, b, turn), more, rest, strict=True))
    codes = np.unique((a * len(chosen) + b) * 8 + turn)
    (pair, turn), n = np.divmod(codes, 8), len(chosen)
    a, b = np.divmod(pair, n) if n else (pair, pair)
    if progress:
        progress("fingerprints compared", 2, 2)
    whole, fine = fingerprints.correlate(spectrum, a, b, turn)
    both_fields = pictures.is_field[chosen[a]] & pictures.is_field[chosen[b]]
    good = np.where(both_fields, FIELDS.admits(whole, fine), CELLS.admits(whole, fine))

    def pairs(wanted: np.ndarray) -> list[Pair]:
        ids, own = pictures.sample_ids, chosen.tolist()
        return [
            Pair(ids[own[i]], ids[own[j]], "near", TURNS[t], round(float(score), 4))
            for i, j, t, score in zip(a[wanted], b[wanted], turn[wanted], fine[wanted], strict=True)
        ]

    order = np.argsort(-fine, kind="stable")
    rejected += _different(pictures, pairs(order[~good[order]][: 40 * REJECTED]))[: 4 * REJECTED]
    return pairs(order[good[order]]), crowded


def _different(pictures: Pictures, pairs: list[Pair]) -> list[Pair]:
    """Pairs of different pixels, each two of them once: a turned picture is like itself, in each source that has it."""
    seen, kept = set[frozenset[str]](), list[Pair]()
    for pair in pairs:
        ends = frozenset(pictures.pixels[pictures.where(end)] for end in (pair.sample_a, pair.sample_b))
        if len(ends) == 2 and ends not in seen:
            seen.add(ends)
            kept.append(pair)
    return kept


def _are_fields(pictures: Pictures, pair: Pair) -> bool:
    return bool(pictures.is_field[[pictures.where(pair.sample_a), pictures.where(pair.sample_b)]].all())


def _confirmed(corpus: Corpus, pairs: Sequence[Pair], workers: Workers) -> Iterator[Pair]:
    """Pairs after the second test."""
    tasks = [
        [(corpus.place(pair.sample_a), corpus.place(pair.sample_b), TURNS.index(str(pair.turn))) for pair in part]
        for part in in_parts(pairs, TESTED)
    ]
    values = chain.from_iterable(workers.map(_test, tasks))
    for pair, value in zip(pairs, values, strict=True):
        yield replace(pair, confirmed=round(value, 4))


def _test(tasks: Sequence[tuple[Place, Place, int]]) -> list[float]:
    values = []
    for first, second, turn in tasks:
        try:
            values.append(confirm(first.read(), second.read(), turn))
        except DefectError:
            values.append(0.0)
    return values


def _make_thumbnails(places: Sequence[Place]) -> list[bytes | None]:
    made: list[bytes | None] = []
    for place in places:
        try:
            made.append(thumbnail(decoded(place.read())))
        except DefectError:  # `check` names it; here it only cannot be compared
            made.append(None)
    return made
