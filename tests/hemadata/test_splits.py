"""Splits: published ones are honoured where they cut no group, and no group straddles train, validation and test."""

import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hemadata import sources
from hemadata.build.assign import HONOUR_COST, Assigned, assign, group_id, honoured, place, read_assignment
from hemadata.build.dealing import Brief, Unit
from hemadata.build.plan import Plan
from hemadata.formats.rawtree import RawFile
from hemadata.sources.base import Ref, Source
from hypothesis import given, settings
from hypothesis import strategies as st

Row = tuple[str, str, str | None]  # key, group, published split
PLAIN = sources.get("bccd")
steady = settings(max_examples=100, deadline=None, derandomize=True)
steady_on_disk = settings(steady, max_examples=40)
SPLITS = ("train", "validation", "test")


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Rows of a set whose published split cuts some of its groups, or none, or that publishes none."""
    count = draw(st.integers(1, 40))
    published = draw(st.sampled_from([SPLITS, ("train", "test"), ("train", "test", None), (None,)]))
    homes = {group: draw(st.sampled_from(published)) for group in "abcdefgh"}
    cuts = draw(st.sampled_from([1, 2, count + 1]))  # every row, every second, or no row is dealt out anew
    wanted: list[Row] = []
    for number in range(count):
        group = draw(st.sampled_from(sorted(homes)))
        split = draw(st.sampled_from(published)) if number % cuts == cuts - 1 else homes[group]
        wanted.append((f"k{number}", group, split))
    return wanted


def source(name: str = "bccd", family: str | None = "bccd", anchor: str | None = "bccd") -> Source:
    return replace(PLAIN, facts=PLAIN.facts.model_copy(update={"name": name, "family": family, "anchor": anchor}))


def refs(wanted: Iterable[Row]) -> list[Ref]:
    return [Ref(key, RawFile(f"/x/{key}", key), group=group, split_upstream=split) for key, group, split in wanted]


def briefs(wanted: Iterable[Row]) -> list[Brief]:
    return [Brief(*row) for row in wanted]


def plan(wanted: Iterable[Row], of: Source | None = None) -> Plan:
    return Plan(of or source(), 1, [Unit(0, refs(wanted))], [])


def decide(wanted: Sequence[Row], placed: dict[str, str] | None = None, of: Source | None = None) -> dict[str, str]:
    """key -> split."""
    decided = place((of or source()).facts, lambda: briefs(wanted), placed or {})
    return {key: split for (key, _, _), (split, _) in zip(wanted, decided, strict=True)}


def straddling(decided: Iterable[Assigned]) -> dict[str, set[str]]:
    """Groups that are in more than one split, excluded rows aside."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in decided:
        if row.split != "excluded":
            found[row.group_id].add(row.split)
    return {group: places for group, places in found.items() if len(places) > 1}


def alone(splits_: Iterable[str | None]) -> list[Row]:
    """Rows that are each a group of their own."""
    return [(f"k{number:05d}", f"g{number:05d}", split) for number, split in enumerate(splits_)]


# Published splits.


def test_published_split_is_honoured_where_it_cuts_no_group() -> None:
    wanted = alone(["train"] * 50 + ["validation"] * 20 + ["test"] * 30)
    decided = list(place(source().facts, lambda: briefs(wanted), {}))
    assert decided == [(split, "upstream") for _, _, split in wanted]


def test_tenth_of_train_becomes_validation_where_none_is_published() -> None:
    decided = list(place(source().facts, lambda: briefs(alone(["train"] * 3000 + ["test"] * 1000)), {}))
    counts = Counter(split for split, _ in decided)
    assert counts["test"] == 1000 and {split for split, _ in decided[3000:]} == {"test"}
    assert counts["validation"] == pytest.approx(300, abs=60)


def test_sets_without_published_split_are_placed_by_group_hash() -> None:
    decided = list(place(source().facts, lambda: briefs(alone([None] * 4000)), {}))
    counts = Counter(split for split, _ in decided)
    assert {basis for _, basis in decided} == {"hash"}
    assert counts["test"] == pytest.approx(800, abs=100)
    assert counts["validation"] == pytest.approx(320, abs=70), "a tenth of what is left to train"


@pytest.mark.parametrize(("leaking", "expected"), [(0, "upstream"), (5, "upstream"), (6, "hash")])
def test_published_split_is_given_up_where_it_costs_more_than_a_twentieth(leaking: int, expected: str) -> None:
    """100 train rows; so many of them share a group with the test set."""
    wanted = alone(["train"] * 100 + ["test"] * 20)
    wanted = [(k, "shared" if n < leaking else g, s) for n, (k, g, s) in enumerate(wanted)]
    wanted[100] = (wanted[100][0], "shared", "test")
    decided = list(place(source().facts, lambda: briefs(wanted), {}))
    assert {basis for _, basis in decided} == {expected}
    assert leaking / 100 > HONOUR_COST or expected == "upstream"
    if expected == "upstream":
        assert [split for split, _ in decided[:leaking]] == ["excluded"] * leaking
        assert {split for split, _ in decided[100:]} == {"test"}
        assert "excluded" not in [split for split, _ in decided[leaking:]]
    else:
        assert "excluded" not in [split for split, _ in decided]
        assert len({decided[n][0] for n in (*range(leaking), 100)}) == 1


def test_honoured_takes_test_before_validation_before_train() -> None:
    published = [("a", "train")] * 100 + [("b", "test"), ("b", "validation"), ("c", "validation"), ("c", None)]
    assert honoured(lambda: published) == {"a": "train", "b": "test", "c": "validation"}
    assert honoured(lambda: [("a", None), ("b", None)]) is None
    assert honoured(list) is None


def test_row_without_split_goes_where_its_group_was_published() -> None:
    wanted: list[Row] = [("k1", "a", "test"), ("k2", "a", None), ("k3", "b", "validation"), ("k4", "b", None)]
    wanted += alone(["train"] * 10)
    decided = decide(wanted)
    assert (decided["k2"], decided["k4"]) == ("test", "validation")


# Properties of one build.


@steady
@given(rows())
def test_no_group_straddles(wanted: list[Row]) -> None:
    decided = decide(wanted)
    assert set(decided.values()) <= {"train", "validation", "test", "excluded"}
    assert not straddling(Assigned(decided[key], "", group) for key, group, _ in wanted)


@steady
@given(rows(), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(wanted: list[Row], chance: random.Random) -> None:
    shuffled = wanted.copy()
    chance.shuffle(shuffled)
    assert decide(shuffled) == decide(wanted)


@steady
@given(rows())
def test_excluded_rows_are_train_rows_that_would_leak_and_few(wanted: list[Row]) -> None:
    decided = decide(wanted)
    train = [key for key, _, split in wanted if split == "train"]
    assert sum(decided[key] == "excluded" for key in train) <= HONOUR_COST * len(train)
    reach = {group for _, group, split in wanted if split in ("validation", "test")}
    for key, group, split in wanted:
        if decided[key] == "excluded":
            assert group in reach and split is not None
        if split == "test" and decided[key] != "test":
            assert not honoured(lambda: ((g, s) for _, g, s in wanted)), (
                "a published test row moves only when nothing is honoured"
            )


@steady
@given(rows())
def test_follower_goes_where_its_group_is(wanted: list[Row]) -> None:
    placed = {"bccd/a": "test", "bccd/b": "train", "bccd/c": "validation"}
    follower = source("follower")
    decided = decide(wanted, placed, follower)
    for key, group, _ in wanted:
        if (fixed := placed.get(group_id(follower.facts, Ref(key, RawFile("x", "x"), group=group)))) is not None:
            assert decided[key] == fixed


def test_sources_outside_a_family_share_no_groups() -> None:
    one, other = source("one", None, None), source("other", None, None)
    ref = refs([("k", "a", None)])[0]
    assert group_id(one.facts, ref) != group_id(other.facts, ref)
    assert group_id(source("one").facts, ref) == group_id(source("other").facts, ref) == "bccd/a"
    lone = Ref("k", RawFile("x", "x"))
    assert group_id(source("one").facts, lone) == "one/k", "without a group an image stands alone, family or not"


# Properties of a corpus that grows.


@steady_on_disk
@given(rows(), st.integers(0, 40))
def test_new_rows_move_no_placed_row_and_split_no_group(wanted: list[Row], first: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        before = assign(Path(folder), plan(wanted[:first])) if first else {}
        after = assign(Path(folder), plan(wanted))
    assert {key: after[key] for key in before} == before
    assert set(after) == {f"bccd/{key}" for key, _, _ in wanted}
    assert not straddling(after.values())


@steady_on_disk
@given(rows(), rows(), st.booleans())
def test_family_built_in_any_order_splits_no_group(anchor: list[Row], follower: list[Row], anchor_first: bool) -> None:
    plans = [plan(anchor), plan(follower, source("follower"))]
    with tempfile.TemporaryDirectory() as folder:
        for each in plans if anchor_first else reversed(plans):
            assign(Path(folder), each)
        rows = read_assignment(Path(folder)).to_pylist()
    decided = [Assigned(row["split"], row["split_basis"], row["group_id"]) for row in rows]
    assert len(decided) == len(anchor) + len(follower)
    assert not straddling(decided)


def test_rows_of_a_source_with_published_validation_never_make_more(tmp_path: Path) -> None:
    """The publisher's validation set stays what it is, also when the rows that come later are all train."""
    early, late = alone(["train", "validation", "test"] * 5), [(f"z{n}", f"z{n}", "train") for n in range(200)]
    assign(tmp_path, plan(early))
    decided = assign(tmp_path, plan([*early, *late]))
    assert Counter(row.split for row in decided.values()) == {"train": 205, "validation": 5, "test": 5}


def test_published_test_row_of_a_group_in_train_is_kept_apart(tmp_path: Path) -> None:
    """First only train rows of a group were there, then its test rows come: no film on both sides."""
    assign(tmp_path, plan([("k1", "film 1", "train"), ("k2", "film 2", "test")]))
    later: list[Row] = [("k1", "film 1", "train"), ("k2", "film 2", "test"), ("k3", "film 1", "test")]
    assert not straddling(assign(tmp_path, plan(later)).values())


# The files.


def test_assignment_in_force_is_the_highest_version_and_older_ones_stay(tmp_path: Path) -> None:
    first = alone(["train"] * 4 + ["test"])
    assign(tmp_path, plan(first))
    one = (tmp_path / "assignment" / "v0001.parquet").read_bytes()
    assign(tmp_path, plan(first))
    assert sorted(p.name for p in (tmp_path / "assignment").glob("v*")) == ["v0001.parquet"], "nothing new, no version"
    assign(tmp_path, plan([*first, ("new", "new", "test")]))
    assert sorted(p.name for p in (tmp_path / "assignment").glob("v*")) == ["v0001.parquet", "v0002.parquet"]
    assert (tmp_path / "assignment" / "v0001.parquet").read_bytes() == one
    assert read_assignment(tmp_path).num_rows == 6


def test_dry_run_of_an_assignment_writes_nothing(tmp_path: Path) -> None:
    decided = assign(tmp_path, plan(alone(["train", "test"])), write=False)
    assert len(decided) == 2 and not list(tmp_path.iterdir())
    assert decided == assign(tmp_path, plan(alone(["train", "test"])))


def test_regrouped_row_is_placed_anew(tmp_path: Path) -> None:
    assign(tmp_path, plan([("k1", "a", "train"), ("k2", "b", "test")]))
    decided = assign(tmp_path, plan([("k1", "b", None), ("k2", "b", "test")]))
    assert decided["bccd/k1"].group_id == "bccd/b"
    assert not straddling(decided.values())


def test_other_sources_keep_their_rows(tmp_path: Path) -> None:
    assign(tmp_path, plan(alone(["train"] * 5)))
    before = read_assignment(tmp_path).to_pylist()
    assign(tmp_path, plan(alone([None] * 5), source("other", None, None)))
    table = read_assignment(tmp_path)
    assert [row for row in table.to_pylist() if row["source"] == "bccd"] == before
    assert table.num_rows == 10
