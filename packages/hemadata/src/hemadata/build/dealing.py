"""References dealt out to units by the hashes of their names; many of them wait in a temporary file."""

import marshal
import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import IO, NamedTuple, TypeVar

import xxhash

from hemadata.sources.base import Ref

HELD = 1 << 12  # references that stay in memory; fewer, where they have
HELD_BOXES = 1 << 18  # boxes in all
PARTS = 256  # lists that they wait in, by the leading bits of their hashes


class Brief(NamedTuple):
    """What the assignment asks of a reference."""

    key: str
    group: str | None
    split_upstream: str | None

    @classmethod
    def of(cls, ref: Ref) -> "Brief":
        """The same of a reference."""
        return cls(ref.key, ref.group, ref.split_upstream)


Keyed = TypeVar("Keyed", Brief, Ref)


def hash_of(sample_id: str) -> int:
    """64-bit hash that orders the rows of a corpus and deals them out to buckets."""
    return xxhash.xxh3_64_intdigest(sample_id.encode())


def bucket_of(sample_id: str, buckets: int) -> int:
    """Bucket of a row: the leading bits of its hash.

    Args:
        sample_id: key of the row.
        buckets: how many there are, a power of two.
    """
    return hash_of(sample_id) >> (64 - (buckets - 1).bit_length())


class Dealing:
    """References of one source as they come from its reader.

    Args:
        source: slug.
    """

    def __init__(self, source: str) -> None:
        self._source, self._waiting, self._boxes = source, 0, 0
        self._lists: list[list[Ref]] = [[] for _ in range(PARTS)]
        self._counts = [0] * PARTS
        self._places: list[list[tuple[int, int, int]]] = [[] for _ in range(PARTS)]  # start, end of briefs, end
        self._file: IO[bytes] | None = None

    def add(self, ref: Ref) -> None:
        """Take a reference.

        Raises:
            OSError: there is no space for temporary files.
        """
        part = bucket_of(f"{self._source}/{ref.key}", PARTS)
        self._lists[part].append(ref)
        self._counts[part] += 1
        self._waiting += 1
        self._boxes += len(ref.objects or ())
        if self._waiting == HELD or self._boxes >= HELD_BOXES:
            self._put_away()

    def __len__(self) -> int:
        return sum(self._counts)

    def units(self, buckets: int) -> "list[Unit]":
        """The references by bucket, those without any left out; nothing is added any more."""
        if self._file:
            self._put_away()
        every: Iterable[Sequence[Ref] | Refs] = (Refs(self, bucket, buckets) for bucket in range(buckets))
        if not self._file:
            every = map(list, every)
        return [Unit(bucket, refs) for bucket, refs in enumerate(every) if len(refs)]

    def parts(self, bucket: int, buckets: int) -> Iterable[int]:
        """The lists that make a bucket, or the one that holds it and others."""
        first = bucket * PARTS // buckets
        return range(first, max(first + 1, (bucket + 1) * PARTS // buckets))

    def count(self, part: int) -> int:
        """How many references a list has."""
        return self._counts[part]

    def briefs(self, part: int) -> Iterator[tuple[int, Brief]]:
        """Hash and brief of each reference of a list, as they came."""
        for start, middle, _ in self._places[part]:
            yield from self._hashed([Brief(*brief) for brief in marshal.loads(self._read(start, middle))])
        yield from self._hashed([Brief.of(ref) for ref in self._lists[part]])

    def refs(self, part: int) -> Iterator[tuple[int, Ref]]:
        """Hash and reference, as they came."""
        for _, middle, end in self._places[part]:
            yield from self._hashed(pickle.loads(self._read(middle, end)))
        yield from self._hashed(self._lists[part])

    def _hashed(self, every: list[Keyed]) -> Iterator[tuple[int, Keyed]]:
        return ((hash_of(f"{self._source}/{each.key}"), each) for each in every)

    def _put_away(self) -> None:
        # The file has no name and nobody else can write into it, so that pickles are safe there.
        self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 - closed with its last user
        end = self._file.seek(0, 2)
        for part, refs in enumerate(self._lists):
            if refs:
                briefs, whole = marshal.dumps([tuple(Brief.of(ref)) for ref in refs]), pickle.dumps(refs, -1)
                self._file.write(briefs + whole)
                self._places[part].append((end, end + len(briefs), end := end + len(briefs) + len(whole)))
                self._lists[part] = []
        self._waiting = self._boxes = 0

    def _read(self, start: int, end: int) -> bytes:
        assert self._file
        self._file.seek(start)
        return self._file.read(end - start)


class Refs:
    """References of one bucket in the order of their hashes, read whenever they are iterated."""

    def __init__(self, dealing: Dealing, bucket: int, buckets: int) -> None:
        self._dealing, self._bucket, self._shift = dealing, bucket, 64 - (buckets - 1).bit_length()
        self._parts = dealing.parts(bucket, buckets)
        is_whole = buckets <= PARTS
        self._count = sum(map(dealing.count, self._parts)) if is_whole else sum(1 for _ in self.briefs())

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Ref]:
        return self._in_order(self._dealing.refs)

    def briefs(self) -> Iterator[Brief]:
        """What the assignment asks of each."""
        return self._in_order(self._dealing.briefs)

    def _in_order(self, of_part: Callable[[int], Iterator[tuple[int, Keyed]]]) -> Iterator[Keyed]:
        every = chain.from_iterable(map(of_part, self._parts))
        mine = [pair for pair in every if pair[0] >> self._shift == self._bucket]
        return map(itemgetter(1), sorted(mine, key=itemgetter(0)))  # the first of equal ones stays the first


@dataclass(slots=True)
class Unit:
    """A bucket of the plan: the references whose hash begins with its number, in hash order."""

    bucket: int
    refs: Sequence[Ref] | Refs

    def briefs(self) -> Iterator[Brief]:
        """What the assignment asks of each."""
        return self.refs.briefs() if isinstance(self.refs, Refs) else map(Brief.of, self.refs)
