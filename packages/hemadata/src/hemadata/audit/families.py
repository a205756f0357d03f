"""Among which sources, and for which of their rows, crops are looked for."""

from collections import defaultdict
from dataclasses import dataclass

from hemadata.audit.clusters import Clusters
from hemadata.audit.pictures import Joined, Pictures
from hemadata.corpus import Corpus


@dataclass(frozen=True, slots=True)
class Family:
    """Sources that facts tie to each other.

    Args:
        home: source -> download that it comes from, by number; in one download, file names tell what belongs together.
    """

    home: dict[str, int]

    @property
    def name(self) -> str:
        """Its first sources, for a person."""
        first = sorted(self.home)
        return " and ".join(first[:2]) + (f" and {len(first) - 2} more" if len(first) > 2 else "")


def families(corpus: Corpus) -> list[Family]:
    """Families of two or more downloads."""
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
    found = []
    for names in tied.sets(sorted(corpus.manifests)).values():
        of_one = downloads.sets(names).values()
        if len(of_one) > 1:
            found.append(Family({name: number for number, together in enumerate(of_one) for name in together}))
    return found


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
