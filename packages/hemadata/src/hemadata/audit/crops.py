"""Pictures that are a window of another: a cell cut from its field, a cell picture cut down to its middle.

Looked for between sources whose facts declare a family or an overlap, for rows that nothing else ties to another source
of theirs: no shared name, no equal picture. Such a pair is one group, not the same picture.

Three stages, each in tasks that depend on the pictures alone, so that any number of workers finds the same: blobs of
each picture are written to a folder, looked up in each other, and the windows that they vote for get a second test.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from hemadata.audit.align import Frame, fit, green
from hemadata.audit.described import SEVERAL, Described
from hemadata.audit.families import Family, families, untied
from hemadata.audit.fingerprints import INVERSE, TURNS
from hemadata.audit.keypoints import Keypoints, keypoints
from hemadata.audit.parallel import Workers, in_parts
from hemadata.audit.pictures import CROP, Joined, Pair, Pictures, Progress
from hemadata.audit.votes import ASKED, Window, allowed, best, windows
from hemadata.build.images import decoded
from hemadata.corpus import Corpus, Place
from hemadata.errors import DefectError

# `benchmarks/duplicates.py --crops` prints what crops and other windows reach: 0.90 and more against 0.74.
CONFIRMED = 0.82
DESCRIBED, TESTED = 16, 64  # pictures, and windows, of a task
TOGETHER, LARGE = 1000, 1 << 20  # small pictures, and blobs of large ones, of a task


def find_crops(
    corpus: Corpus, pictures: Pictures, joined: Joined, workers: Workers, progress: Progress | None = None
) -> Iterator[tuple[Pair, bool]]:
    """Pairs of a crop and what it was cut from, each with whether it passed; joined where it did.

    Args:
        corpus: opened.
        pictures: all its rows.
        joined: by what was found before.
        workers: who does it.
        progress: told of the stages.
    """
    for family in families(corpus):
        search = Search.of(family, pictures, joined)
        if not len(search.asked):
            continue
        places = [corpus.place(pictures.sample_ids[n]) for n in search.shown]
        found = [w for w in search.windows(places, workers, progress) if any(search.pairs(w, 0, pictures, joined))]
        for window, value in zip(found, search.test(places, found, workers, progress), strict=True):
            if value is None:
                continue
            for pair in search.pairs(window, value, pictures, joined):
                if value >= CONFIRMED:
                    joined.join(pair)
                yield pair, value >= CONFIRMED


@dataclass(frozen=True, slots=True)
class Search:
    """The pictures of a family that crops are looked for among, each of equal ones once.

    Args:
        family: the sources.
        shown: row of each picture.
        rows: row of each source that has the picture.
        home: number of the download of each picture, or SEVERAL.
        asked: numbers of the pictures that may be crops.
    """

    family: Family
    shown: list[int]
    rows: list[list[int]]
    home: np.ndarray
    asked: np.ndarray

    @classmethod
    def of(cls, family: Family, pictures: Pictures, joined: Joined) -> "Search":
        """Pictures that nothing ties to another source, and those of other downloads that may hold them."""
        members = [n for n, source in enumerate(pictures.sources) if source in family.home]
        wanted = {pictures.pixels[n] for n in untied(pictures, members, joined)}
        equal: dict[str, dict[str, int]] = defaultdict(dict)  # pixels -> source -> its first row
        for n in members:
            equal[pictures.pixels[n]].setdefault(pictures.sources[n], n)
        homes = {pixels: {family.home[source] for source in rows} for pixels, rows in equal.items()}
        asking = {home for pixels in wanted for home in homes[pixels]}
        useful = [pixels for pixels in equal if pixels in wanted or len(asking | homes[pixels]) > 1]
        return cls(
            family,
            [min(equal[pixels].values()) for pixels in useful],
            [list(equal[pixels].values()) for pixels in useful],
            np.array([min(homes[pixels]) if len(homes[pixels]) == 1 else SEVERAL for pixels in useful], np.int64),
            np.flatnonzero([pixels in wanted for pixels in useful]),
        )

    def pairs(self, window: Window, value: float, pictures: Pictures, joined: Joined) -> Iterator[Pair]:
        """Rows of other downloads that a window would join."""
        for small, large in product(self.rows[window.small], self.rows[window.large]):
            a, b = sorted((small, large))
            turn = window.turn if a == large else int(INVERSE[window.turn])
            pair = Pair(pictures.sample_ids[a], pictures.sample_ids[b], CROP, TURNS[turn], None, round(value, 4))
            apart = self.family.home[pictures.sources[small]] != self.family.home[pictures.sources[large]]
            if apart and joined.needs(pair):
                yield pair

    def windows(self, places: list[Place], workers: Workers, progress: Progress | None) -> list[Window]:
        """Windows that the asked pictures may be, by number and rank."""
        name = f"crops: {len(self.asked):,} pictures of {self.family.name}"
        with tempfile.TemporaryDirectory(prefix="hemadata-crops-") as folder:
            results = workers.map(_describe, in_parts(places, DESCRIBED))

            def described() -> Iterator[Keypoints]:
                done = 0
                for result in results:
                    yield from result
                    done += len(result)
                    if progress:
                        progress(f"{name} and {len(places) - len(self.asked):,} others, described", done, len(places))

            found = Described.write(Path(folder), described(), self.home)
            return look_up(found, self.asked, workers, progress, f"{name}, looked up")

    def test(
        self, places: list[Place], found: Sequence[Window], workers: Workers, progress: Progress | None
    ) -> list[float | None]:
        """What the second test says of each window; None where it was not needed.

        One that a single blob points to counts only where there is no better one.
        """
        values: list[float | None] = [None] * len(found)
        settled = set[int]()
        for several in (True, False):
            chosen = [n for n, w in enumerate(found) if (w.votes > 1) == several and w.small not in settled]
            chosen.sort(key=lambda n: (found[n].large, found[n].small))  # a large picture is decoded for all its crops
            tasks = [
                [(places[found[n].small], places[found[n].large], found[n].turn, found[n].frame) for n in part]
                for part in in_parts(chosen, TESTED)
            ]
            done = 0
            for part, results in zip(in_parts(chosen, TESTED), workers.map(_test, tasks), strict=True):
                for n, value in zip(part, results, strict=True):
                    values[n] = value
                    settled.update([found[n].small] if value >= CONFIRMED else [])
                done += len(part)
                if progress:
                    stage = "second test" if several else "second test of single blobs"
                    progress(f"crops: {stage} in {self.family.name}", done, len(chosen))
        return values


def look_up(
    found: Described, asked: np.ndarray, workers: Workers, progress: Progress | None = None, name: str = ""
) -> list[Window]:
    """Windows that equal blobs vote for, the best of each asked picture, by number and rank.

    Args:
        found: blobs of all pictures.
        asked: numbers of those that may be windows.
        workers: who does it.
        progress: told of the tasks done.
        name: of this stage.
    """
    most = allowed(int(found.start[-1]))
    groups = [asked[start : start + TOGETHER] for start in range(0, len(asked), TOGETHER)]
    tasks = [_LookUp(found.folder, few, large, most) for large in found.in_parts(LARGE) for few in groups]

    def looked_up() -> Iterator[Window]:
        for done, result in enumerate(workers.map(_look_up, tasks), 1):
            yield from result
            if progress:
                progress(name, done, len(tasks))

    return best(looked_up())


def _describe(places: Sequence[Place]) -> list[Keypoints]:
    return [keypoints(pixels) if (pixels := _pixels(place)) is not None else Keypoints.none() for place in places]


@dataclass(frozen=True, slots=True)
class _LookUp:
    """Some small pictures to look for in some large ones."""

    folder: Path
    small: np.ndarray
    large: np.ndarray
    most: int


def _look_up(task: _LookUp) -> list[Window]:
    described = Described(task.folder)
    return list(windows(described.blobs(task.small, ASKED), described.blobs(task.large), task.most))


def _test(tasks: Sequence[tuple[Place, Place, int, Frame]]) -> list[float]:
    values = list[float]()
    last: Place | None = None
    for small, large, turn, frame in tasks:
        if large != last:
            last, whole = large, _channel(large)
        part = _channel(small)
        values.append(fit(part, whole, turn, frame)[0] if part and whole else 0.0)
    return values


def _pixels(place: Place) -> np.ndarray | None:
    """A decoded image. `check` names one that cannot be read; here it only cannot be compared."""
    try:
        return decoded(place.read())
    except DefectError:
        return None


def _channel(place: Place) -> Image.Image | None:
    return None if (pixels := _pixels(place)) is None else green(pixels)
