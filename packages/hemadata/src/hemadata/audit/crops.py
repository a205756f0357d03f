"""Pictures that are a window of another: a cell cut from its field, a cell picture cut down to its middle.

Looked for between sources whose facts declare a family or an overlap, for rows that nothing else ties to another source
of theirs: no shared name, no equal picture. Such a pair is one group, not the same picture.
"""

from collections import defaultdict
from collections.abc import Iterator

from hemadata.audit.align import fit, green
from hemadata.audit.clusters import Clusters
from hemadata.audit.fingerprints import INVERSE, TURNS
from hemadata.audit.keypoints import Keypoints, keypoints
from hemadata.audit.pictures import CROP, Joined, Pair, Pictures, Progress
from hemadata.audit.votes import Window, windows
from hemadata.build.images import decoded
from hemadata.corpus import Corpus
from hemadata.errors import DefectError

# `benchmarks/duplicates.py --crops` prints what crops and other windows reach: 0.90 and more against 0.74.
CONFIRMED = 0.82


def find_crops(
    corpus: Corpus, pictures: Pictures, joined: Joined, progress: Progress | None = None
) -> Iterator[tuple[Pair, bool]]:
    """Pairs of a crop and what it was cut from, each with whether it passed; joined where it did.

    Args:
        corpus: opened.
        pictures: all its rows.
        joined: by what was found before.
        progress: told of the stages.
    """
    for sources in families(corpus):
        members = [n for n, source in enumerate(pictures.sources) if source in sources]
        asked = untied(pictures, members, joined)
        if not asked:
            continue
        equal: dict[str, dict[str, int]] = defaultdict(dict)  # pixels -> source -> its first row
        for n in members:
            equal[pictures.pixels[n]].setdefault(pictures.sources[n], n)
        shown = [min(rows.values()) for rows in equal.values()]
        described = list(_described(corpus, pictures, shown, " and ".join(sorted(sources)[:2]), progress))
        place = {pictures.pixels[n]: k for k, n in enumerate(shown)}
        wanted = sorted({place[pictures.pixels[n]] for n in asked})
        for window, value in _tested(corpus, pictures, shown, windows(described, wanted), progress):
            for small in equal[pictures.pixels[shown[window.small]]].values():
                for large in equal[pictures.pixels[shown[window.large]]].values():
                    pair = _pair(pictures, small, large, window.turn, value)
                    if pictures.sources[small] != pictures.sources[large] and joined.needs(pair):
                        if value >= CONFIRMED:
                            joined.join(pair)
                        yield pair, value >= CONFIRMED


def families(corpus: Corpus) -> list[list[str]]:
    """Sources of the corpus that facts tie to each other, of two or more downloads: in one, file names tell."""
    tied, downloads = Clusters[str](), Clusters[str]()
    homes: dict[tuple[str, str], str] = {}
    for name, manifest in sorted(corpus.manifests.items()):
        facts = manifest.facts
        for other in facts.get("overlaps") or ():
            if other in corpus.manifests:
                tied.join(name, other)
        tied.join(homes.setdefault(("family", facts.get("family") or name), name), name)
        for folder in facts.get("raw") or [name]:
            downloads.join(homes.setdefault(("raw", folder), name), name)
    return [names for names in tied.sets(sorted(corpus.manifests)).values() if len(downloads.sets(names)) > 1]


def untied(pictures: Pictures, members: list[int], joined: Joined) -> list[int]:
    """Members that share no group and no picture with another source; or none with the anchor of their family.

    The test set of a source is decided with its anchor, so what ties the two is looked for whoever else is there.
    """
    named, alike = defaultdict[str, set[str]](set), defaultdict[tuple[str, str], set[str]](set)
    for n in members:
        named[pictures.groups[n]].add(pictures.sources[n])
        for scope in pictures.scopes_of(pictures.sources[n]):
            alike[joined.root(pictures.sample_ids[n], scope)].add(pictures.sources[n])

    def is_untied(n: int) -> bool:
        source, by_name = pictures.sources[n], named[pictures.groups[n]]
        if not (by_name | alike[joined.root(pictures.sample_ids[n])]) - {source}:
            return True
        anchor = pictures.anchors.get(source)
        scope = f"{source}+{anchor}"
        return anchor is not None and anchor not in by_name | alike[joined.root(pictures.sample_ids[n], scope)]

    return [n for n in members if is_untied(n)]


def _described(
    corpus: Corpus, pictures: Pictures, shown: list[int], name: str, progress: Progress | None
) -> Iterator[Keypoints]:
    for done, n in enumerate(shown, 1):
        try:
            yield keypoints(decoded(corpus.image(pictures.sample_ids[n])))
        except DefectError:  # `check` names it; here it only cannot be compared
            yield Keypoints.none()
        if progress:
            progress(f"crops among {name}", done, len(shown))


def _tested(
    corpus: Corpus, pictures: Pictures, shown: list[int], found: list[Window], progress: Progress | None
) -> Iterator[tuple[Window, float]]:
    """Windows after the second test. One that a single blob points to counts only where there is no better one."""
    settled, last = set[int](), -1
    for done, window in enumerate(found, 1):
        if window.votes > 1 or window.small not in settled:
            if window.small != last:
                last, small = window.small, green(decoded(corpus.image(pictures.sample_ids[shown[window.small]])))
            large = green(decoded(corpus.image(pictures.sample_ids[shown[window.large]])))
            value, _ = fit(small, large, window.turn, window.frame)
            if value >= CONFIRMED:
                settled.add(window.small)
            yield window, value
        if progress:
            progress("second test of crops", done, len(found))


def _pair(pictures: Pictures, small: int, large: int, turn: int, value: float) -> Pair:
    a, b = sorted((small, large))
    makes_a_of_b = turn if a == large else int(INVERSE[turn])
    return Pair(pictures.sample_ids[a], pictures.sample_ids[b], CROP, TURNS[makes_a_of_b], None, round(value, 4))
