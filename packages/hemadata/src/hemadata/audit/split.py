"""`hemadata split`: which rows are test, validation and train, so that no group is on two sides. Pure; see `splitting`.

1. Test. Each source decides alone, or with the anchor of its family: a published test set is honoured where that costs
   under 5 % of the published training rows, else groups are placed by a hash of their name. A source that shares groups
   with its anchor follows it there. No other source is asked, so adding one never changes a test set.
2. Conflicts. In a group of the whole corpus that holds test rows, the others are excluded.
3. Validation. What the publisher gave; a source without gets a tenth of its train rows, whole groups, every class.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import xxhash

from hemadata.audit.clusters import Clusters
from hemadata.build.assign import TEST_SHARE, VALIDATION_SHARE, honoured

FINDING = 0.20  # of the rows that a source would train on, were it alone


@dataclass(frozen=True, slots=True)
class Member:
    """What a split needs to know of a row.

    Args:
        own_group: group by its source and family alone.
        upstream: train, validation or test, as published.
        classes: labels that the row shows.
    """

    sample_id: str
    source: str
    own_group: str
    upstream: str | None = None
    classes: tuple[str, ...] = ()


@dataclass(slots=True)
class Cost:
    """What the split of one source costs.

    Args:
        basis: `upstream`, `hash`, or `group` where the source follows the anchor of its family.
        published_train: rows published for training.
        cut: of those, rows in groups that reach into the published test or validation set.
        counts: split -> rows.
        excluded_for: source whose test rows the excluded ones share a group with -> rows.
        alone: rows that would be train or validation, were the source alone.
    """

    basis: str = "hash"
    published_train: int = 0
    cut: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    excluded_for: Counter[str] = field(default_factory=Counter)
    alone: int = 0

    @property
    def lost(self) -> float:
        """Share of its training rows that a source loses to the test sets of the corpus."""
        return self.counts["excluded"] / self.alone if self.alone else 0.0

    @property
    def is_finding(self) -> bool:
        """Whether that is too much to pass in silence."""
        return self.lost > FINDING


@dataclass(slots=True)
class Split:
    """sample_id -> split, why, and group of the whole corpus; source -> cost."""

    split: dict[str, str] = field(default_factory=dict)
    basis: dict[str, str] = field(default_factory=dict)
    group: dict[str, str] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)


def decide(members: Sequence[Member], anchors: Mapping[str, str], links: Iterable[tuple[str, str]]) -> Split:
    """Split a whole corpus.

    Args:
        members: every row.
        anchors: source -> anchor of its family, where that is another source.
        links: sample ids of duplicates, enough to join every cluster; within a family without a detour over others.
    """
    members = sorted(members, key=lambda member: member.sample_id)
    by_source: dict[str, list[Member]] = defaultdict(list)
    own = {member.sample_id: (member.source, member.own_group) for member in members}
    for member in members:
        by_source[member.source].append(member)
    joined: dict[frozenset[str], list[tuple[str, str]]] = defaultdict(list)
    for a, b in links:
        if a in own and b in own:
            joined[frozenset((own[a][0], own[b][0]))].append((own[a][1], own[b][1]))
    result = Split()
    followers = {source: anchor for source, anchor in anchors.items() if anchor in by_source and anchor != source}
    for source in sorted(by_source, key=lambda name: (name in followers, name)):
        result.costs[source] = Cost()
        anchor = followers.get(source)
        asked = [source, anchor] if anchor else [source]
        near = [pair for a in asked for b in asked if a <= b for pair in joined[frozenset((a, b))]]
        _decide_source(by_source[source], by_source[anchor] if anchor else [], near, result)
    everything = _groups(members, (pair for pairs in joined.values() for pair in pairs))
    for name, group in everything.items():
        for member in group:
            result.group[member.sample_id] = name
        _settle(group, result)
    for source in sorted(by_source):
        _add_validation(by_source[source], everything, result)
    for member in members:
        result.costs[member.source].counts[result.split[member.sample_id]] += 1
    return result


def _groups(members: Iterable[Member], links: Iterable[tuple[str, str]]) -> dict[str, list[Member]]:
    """Connected components, each by its smallest own group."""
    joined, found = Clusters[str](), defaultdict[str, list[Member]](list)
    for a, b in links:
        joined.join(a, b)
    for member in members:
        found[joined.root(member.own_group)].append(member)
    return {min(member.own_group for member in group): group for group in found.values()}


def _decide_source(rows: list[Member], anchor: list[Member], links: list[tuple[str, str]], result: Split) -> None:
    """Splits of one source's rows before any other source but its anchor is heard."""
    cost, free = result.costs[rows[0].source], list[tuple[str, list[Member]]]()
    order = ("test", "validation", "train")
    follows = False
    for name, group in _groups([*anchor, *rows], links).items():
        of_anchor = {result.split[m.sample_id] for m in group if m.source != rows[0].source}
        mine = [m for m in group if m.source == rows[0].source]
        if not of_anchor:
            free.append((name, mine))
        elif mine:
            split = next((split for split in order if split in of_anchor), "train")
            follows = True
            for member in mine:
                result.split[member.sample_id], result.basis[member.sample_id] = split, "group"
    published = honoured(lambda: ((name, member.upstream) for name, group in free for member in group))
    cost.basis = "group" if follows else "hash" if published is None else "upstream"
    for name, group in free:
        if any(member.upstream for member in group):
            _count_cut(group, cost)
        place = published[name] if published else "test" if _share(name) < TEST_SHARE else "train"
        for member in group:
            stays = published is None or member.upstream in (None, place)
            result.split[member.sample_id] = place if stays else "excluded"
            result.basis[member.sample_id] = "hash" if published is None else "upstream"
    cost.alone = sum(result.split[m.sample_id] in ("train", "validation", "excluded") for m in rows)


def _count_cut(group: list[Member], cost: Cost) -> None:
    train = sum(member.upstream == "train" for member in group)
    cost.published_train += train
    if any(member.upstream in ("test", "validation") for member in group):
        cost.cut += train


def _settle(group: list[Member], result: Split) -> None:
    """One side for a group of the whole corpus: test rows stay, what would leak them is excluded."""
    places = {result.split[m.sample_id] for m in group}
    if "test" in places:
        owners = sorted({m.source for m in group if result.split[m.sample_id] == "test"})
        for member in group:
            if result.split[member.sample_id] != "test":
                result.split[member.sample_id], result.basis[member.sample_id] = "excluded", "group"
                result.costs[member.source].excluded_for[", ".join(owners)] += 1
    elif "validation" in places:
        for member in group:
            if result.split[member.sample_id] != "validation":
                result.split[member.sample_id], result.basis[member.sample_id] = "validation", "group"


def _add_validation(rows: list[Member], everything: Mapping[str, list[Member]], result: Split) -> None:
    """Take whole groups from train, in the order of a hash, until the source has its tenth and every class in it."""
    mine: dict[str, list[Member]] = defaultdict(list)
    there = Counter[str]()
    seen = set[str]()
    for member in rows:
        split = result.split[member.sample_id]
        there[split] += 1
        if split == "train":
            mine[result.group[member.sample_id]].append(member)
        elif split == "validation":
            seen.update(member.classes)
    wanted = round(VALIDATION_SHARE * (there["train"] + there["validation"])) - there["validation"]
    if wanted <= 0 or len(mine) < 2:
        return
    order, taken = sorted(mine, key=lambda name: (_share(name), name)), set[str]()

    def take(name: str) -> None:
        nonlocal wanted
        taken.add(name)
        wanted -= len(mine[name])
        seen.update(label for member in mine[name] for label in member.classes)
        for member in everything[name]:
            result.split[member.sample_id], result.basis[member.sample_id] = "validation", "hash"

    holders: dict[str, list[str]] = defaultdict(list)
    for name in order:
        for label in {label for member in mine[name] for label in member.classes}:
            holders[label].append(name)
    for label in sorted(holders, key=lambda label: (len(holders[label]), label)):  # the rarest class first
        fits = [name for name in holders[label] if len(mine[name]) <= max(1, wanted)]
        if label not in seen and len(holders[label]) > 1 and fits:
            take(fits[0])
    for name in order:
        if name not in taken and len(mine[name]) <= wanted:
            take(name)
    if not taken and not there["validation"]:
        take(min(order, key=lambda name: len(mine[name])))  # every group is more than a tenth


def _share(name: str) -> float:
    """A group's place between 0 and 1, by a hash of its name."""
    return float(xxhash.xxh3_64_intdigest(name.encode()) / 2**64)
