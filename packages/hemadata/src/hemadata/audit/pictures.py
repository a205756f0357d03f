"""Rows of a corpus as the search for duplicates sees them, the pairs it finds, and how pairs join to clusters."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hemadata.audit.clusters import Clusters
from hemadata.corpus import Corpus

FIELD = "field-of-view"
CROP = "crop"  # kind of a pair whose one picture is a window of the other

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows that show the same picture, or nearly, or one a part of the other; a < b."""

    sample_a: str
    sample_b: str
    kind: str
    turn: str | None = None
    score: float | None = None
    confirmed: float | None = None


def cluster_names(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """sample_id -> first member of its cluster."""
    joined, keys = Clusters[str](), set[str]()
    for a, b in pairs:
        joined.join(a, b)
        keys |= {a, b}
    sets = joined.sets(sorted(keys))
    return {member: members[0] for members in sets.values() for member in members}


def same_picture(pairs: Iterable[Pair]) -> list[tuple[str, str]]:
    """Ends of the pairs that show the same picture: no crops."""
    return [(pair.sample_a, pair.sample_b) for pair in pairs if pair.kind != CROP]


@dataclass(slots=True)
class Pictures:
    """Rows of a corpus, position by position."""

    sample_ids: list[str]
    sources: list[str]
    anchors: dict[str, str]
    sha256: list[str]
    pixels: list[str]
    groups: list[str]
    is_field: np.ndarray

    @classmethod
    def of(cls, corpus: Corpus) -> "Pictures":
        """All rows, in the order of their ids."""
        names = ["sample_id", "source", "sha256", "pixel_hash", "native_group", "modality"]
        table = corpus.index.select(names).sort_by("sample_id")
        columns = {name: table[name].to_pylist() for name in table.column_names}
        pixels = [
            hashed or f"sha256 {sha}" for hashed, sha in zip(columns["pixel_hash"], columns["sha256"], strict=True)
        ]
        return cls(
            columns["sample_id"],
            columns["source"],
            anchors_of(corpus),
            columns["sha256"],
            pixels,
            [group or key for group, key in zip(columns["native_group"], columns["sample_id"], strict=True)],
            np.array([modality == FIELD for modality in columns["modality"]], bool),
        )

    def scopes(self, first: int, second: int) -> list[str]:
        """Parts of the corpus that are split by themselves and hold both rows; the last is the whole corpus."""
        a, b = sorted((self.sources[first], self.sources[second]))
        led = [f"{source}+{anchor}" for source, anchor in self.anchors.items() if {a, b} <= {source, anchor}]
        return [*([a] if a == b else []), *led, ""]

    def scopes_of(self, source: str) -> list[str]:
        """Of those, the whole corpus and the ones of two sources that a source is in."""
        return ["", *(f"{one}+{anchor}" for one, anchor in self.anchors.items() if source in (one, anchor))]

    def where(self, sample_id: str) -> int:
        """Position of a row."""
        return bisect_left(self.sample_ids, sample_id)


def anchors_of(corpus: Corpus) -> dict[str, str]:
    """Source -> anchor of its family, where that is another source of the corpus."""
    named = {name: manifest.facts.get("anchor") for name, manifest in corpus.manifests.items()}
    return {name: anchor for name, anchor in named.items() if anchor in named and anchor != name}


class Joined:
    """Which rows are joined already, scope by scope."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures, self.sets = pictures, Clusters[tuple[str, str]]()

    def _ends(self, pair: Pair) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
        for scope in self.pictures.scopes(self.pictures.where(pair.sample_a), self.pictures.where(pair.sample_b)):
            yield (scope, pair.sample_a), (scope, pair.sample_b)

    def needs(self, pair: Pair) -> bool:
        """Whether a pair would join anything."""
        return any(self.sets.root(a) != self.sets.root(b) for a, b in self._ends(pair))

    def root(self, sample_id: str, scope: str = "") -> tuple[str, str]:
        """What stands for the set of a row in a scope; the whole corpus by default."""
        return self.sets.root((scope, sample_id))

    def join(self, pair: Pair) -> bool:
        """Join a pair in all its scopes; False where that changed nothing."""
        return any([self.sets.join(a, b) for a, b in self._ends(pair)])
