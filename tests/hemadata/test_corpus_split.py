"""`hemadata split`: no group on two sides, test sets that no other source can change, and what it costs."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import pytest
from hemadata.audit.clusters import Clusters
from hemadata.audit.split import FINDING, Member, Split, decide
from hypothesis import given
from hypothesis import strategies as st

ANCHORS = {"follower": "leader"}
SOURCES = ("alone", "follower", "leader", "other")
Corpus = tuple[list[Member], list[tuple[str, str]]]


@st.composite
def corpora(draw: st.DrawFn) -> Corpus:
    """Four sources, two of them one family that shares group names; published splits that cut groups, or do not."""
    members = []
    for source in draw(st.sets(st.sampled_from(SOURCES), min_size=1)):
        family = "family" if source in ("follower", "leader") else source
        published = draw(
            st.sampled_from([("train", "test"), ("train", "validation", "test"), (None,), ("train", None)])
        )
        home = {group: draw(st.sampled_from(published)) for group in "abcdefgh"}
        for number in range(draw(st.integers(1, 14))):
            group = draw(st.sampled_from("abcdefgh"))
            split = draw(st.sampled_from([home[group], home[group], draw(st.sampled_from(published))]))
            members.append(
                Member(f"{source}/{number}", source, f"{family}/{group}", split, (draw(st.sampled_from("xyz")),))
            )
    ids = [member.sample_id for member in members]
    return members, draw(st.lists(st.tuples(st.sampled_from(ids), st.sampled_from(ids)), max_size=6))


def components(members: Sequence[Member], links: Iterable[tuple[str, str]]) -> list[set[str]]:
    """Sample ids that belong together: the slow reference."""
    sets = [{member.sample_id} for member in members]
    pairs = [(a.sample_id, b.sample_id) for a, b in combinations(members, 2) if a.own_group == b.own_group]
    for a, b in [*pairs, *links]:
        touched = [one for one in sets if a in one or b in one]
        sets = [one for one in sets if one not in touched] + [set().union(*touched)]
    return sets


def in_test(split: Mapping[str, str], source: str) -> set[str]:
    return {sample_id for sample_id, place in split.items() if place == "test" and sample_id.startswith(f"{source}/")}


@given(corpora())
def test_no_component_is_on_two_sides_and_each_has_one_name(corpus: Corpus) -> None:
    members, links = corpus
    decided = decide(members, ANCHORS, links)
    assert set(decided.split) == {member.sample_id for member in members}
    for component in components(members, links):
        places = {decided.split[sample_id] for sample_id in component}
        assert len(places - {"excluded"}) == 1, "whatever is not excluded lies on one side"
        assert places == {"test", "excluded"} or len(places) == 1, "only a test set excludes"
        assert len({decided.group[sample_id] for sample_id in component}) == 1


@given(corpora(), st.randoms(use_true_random=False))
def test_order_does_not_matter(corpus: Corpus, chance: random.Random) -> None:
    members, links = corpus
    once = decide(members, ANCHORS, links)
    members, links = chance.sample(members, len(members)), [pair[::-1] for pair in chance.sample(links, len(links))]
    assert decide(members, ANCHORS, links) == once


@given(corpora(), st.sampled_from(["alone", "other", "follower"]))
def test_adding_a_source_changes_no_test_set(corpus: Corpus, added: str) -> None:
    members, links = corpus
    fewer = [member for member in members if member.source != added]
    before, after = decide(fewer, ANCHORS, links).split, decide(members, ANCHORS, links).split
    for source in {member.source for member in fewer}:
        assert in_test(before, source) == in_test(after, source)


@given(corpora())
def test_follower_is_where_its_anchor_is(corpus: Corpus) -> None:
    members, links = corpus
    decided = decide(members, ANCHORS, links)
    of_group = {m.own_group: decided.split[m.sample_id] for m in members if m.source == "leader"}
    for member in members:
        if member.source == "follower" and of_group.get(member.own_group) == "test":
            assert decided.split[member.sample_id] == "test"


@given(corpora())
def test_costs_count_every_row(corpus: Corpus) -> None:
    members, links = corpus
    decided = decide(members, ANCHORS, links)
    for source, cost in decided.costs.items():
        rows = [m for m in members if m.source == source]
        assert cost.counts.total() == len(rows)
        assert cost.counts["excluded"] == cost.excluded_for.total()
        assert cost.cut <= cost.published_train <= sum(m.upstream == "train" for m in rows)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=20))
def test_clusters_are_the_connected_components(pairs: list[tuple[int, int]]) -> None:
    fast, members = Clusters[int](), [Member(str(n), "s", str(n)) for n in range(13)]
    for a, b in pairs:
        fast.join(a, b)
    slow = components(members, [(str(a), str(b)) for a, b in pairs])
    assert sorted(map(sorted, slow)) == sorted(sorted(map(str, one)) for one in fast.sets(range(13)).values())


def rows(source: str, splits: Iterable[str | None], classes: Sequence[str] = ("x",)) -> list[Member]:
    """Rows that are each a group of their own."""
    return [
        Member(f"{source}/{n:04d}", source, f"{source}/{n:04d}", split, (classes[n % len(classes)],))
        for n, split in enumerate(splits)
    ]


def of_source(decided: Split, source: str) -> dict[str, int]:
    return dict(decided.costs[source].counts)


def test_published_split_is_honoured_and_a_tenth_of_train_becomes_validation() -> None:
    decided = decide(rows("a", ["train"] * 200 + ["test"] * 50), {}, [])
    assert of_source(decided, "a") == {"train": 180, "validation": 20, "test": 50}
    assert in_test(decided.split, "a") == {f"a/{n:04d}" for n in range(200, 250)}
    assert decided.costs["a"].basis == "upstream"


def test_every_class_comes_to_validation() -> None:
    """1 row in 100 is of the rare class; a tenth by hash alone would often miss it."""
    members = rows("a", ["train"] * 400 + ["test"] * 10, ["x"] * 99 + ["rare"])
    decided = decide(members, {}, [])
    shown = {label for m in members if decided.split[m.sample_id] == "validation" for label in m.classes}
    assert shown == {"x", "rare"} and of_source(decided, "a")["validation"] == 40


@pytest.mark.parametrize(("cut", "basis"), [(5, "upstream"), (6, "hash")])
def test_published_split_that_costs_more_than_a_twentieth_is_given_up(cut: int, basis: str) -> None:
    members = rows("a", ["train"] * 100 + ["test"] * 20)
    links = [(f"a/{n:04d}", f"a/{100 + n:04d}") for n in range(cut)]
    decided = decide(members, {}, links)
    assert (decided.costs["a"].basis, decided.costs["a"].cut) == (basis, cut)
    assert decided.costs["a"].counts["excluded"] == (cut if basis == "upstream" else 0)


def test_copy_of_a_test_picture_is_excluded_from_the_train_of_another_source() -> None:
    members = rows("a", ["train"] * 20 + ["test"] * 10) + rows("b", ["train"] * 30 + ["test"] * 5)
    links = [(f"b/{n:04d}", f"a/{20 + n:04d}") for n in range(10)]
    decided = decide(members, {}, links)
    assert {decided.split[f"b/{n:04d}"] for n in range(10)} == {"excluded"}
    cost = decided.costs["b"]
    assert cost.excluded_for == {"a": 10} and cost.lost == pytest.approx(1 / 3) and cost.is_finding
    assert cost.lost > FINDING and not decided.costs["a"].is_finding


def test_groups_larger_than_a_tenth_still_give_a_validation_part() -> None:
    members = [Member(f"a/{n}", "a", f"a/film {n % 3}", None if n else "test") for n in range(30)]
    members = [Member(m.sample_id, "a", m.own_group, "test" if m.own_group == "a/film 2" else "train") for m in members]
    found = defaultdict(set)
    for sample_id, place in decide(members, {}, []).split.items():
        found[place].add(sample_id)
    assert {place: len(ids) for place, ids in found.items()} == {"train": 10, "validation": 10, "test": 10}
