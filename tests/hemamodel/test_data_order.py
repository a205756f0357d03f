"""The order is a pure function of seed, epoch and position, and a fair one."""

from collections import Counter

import pytest
from hemamodel.data import Positions
from hemamodel.data.order import Mixture, key, permute, shares
from hypothesis import given, settings
from hypothesis import strategies as st


@given(size=st.integers(1, 700), number=st.integers(0, 2**64 - 1))
@settings(max_examples=60, deadline=None)
def test_order_is_a_permutation(size: int, number: int) -> None:
    assert sorted(permute(i, size, number) for i in range(size)) == list(range(size))


@given(size=st.integers(2**20, 2**40), number=st.integers(0, 2**64 - 1), data=st.data())
@settings(max_examples=40, deadline=None)
def test_order_stays_in_a_large_range_without_building_it(size: int, number: int, data: st.DataObject) -> None:
    positions = data.draw(st.sets(st.integers(0, size - 1), min_size=2, max_size=20))
    found = {permute(position, size, number) for position in positions}
    assert len(found) == len(positions)
    assert all(0 <= place < size for place in found)


def test_order_spreads_evenly() -> None:
    # Where the first image goes over many keys: 64 places, 6,400 keys, chi-squared with 63 degrees of freedom.
    counts = Counter(permute(0, 64, key("even", number)) for number in range(6400))
    assert sum((counts[place] - 100) ** 2 / 100 for place in range(64)) < 110


def test_order_outside_its_range_is_an_error() -> None:
    with pytest.raises(IndexError):
        permute(5, 5, 0)


def test_shares_follow_weight_and_temperature() -> None:
    sizes = {"large": 10000, "small": 100, "empty": 0}
    assert shares(sizes, {}, 1, 10100) == {"large": 10000, "small": 100}
    assert shares(sizes, {}, 2, 1100) == {"large": 1000, "small": 100}
    assert shares(sizes, {"small": 10}, 2, 1000) == {"large": 500, "small": 500}


@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 60), min_size=1),
    temperature=st.floats(1, 10),
    seed=st.integers(0, 9),
)
@settings(max_examples=40, deadline=None)
def test_a_mixture_keeps_its_shares_and_repeats_no_image_before_all_have_come(
    sizes: dict[str, int], temperature: float, seed: int
) -> None:
    mixture = Mixture(sizes, {}, temperature, seed)
    seen: dict[str, list[int]] = {name: [] for name in sizes}
    for epoch in range(2):
        places = [mixture.at(epoch * len(mixture) + i) for i in range(len(mixture))]
        assert Counter(name for name, _ in places) == Counter(mixture.shares)
        for name in sizes:
            seen[name] += sorted(number for source, number in places if source == name)
    for name, numbers in seen.items():
        counts = Counter({number: 0 for number in range(sizes[name])}) + Counter(numbers)
        full = len(numbers) // sizes[name]
        assert all(full <= counts[number] <= full + 1 for number in range(sizes[name]))


def test_epochs_and_seeds_differ_and_positions_are_reproducible() -> None:
    sizes = {"a": 40, "b": 25}

    def epoch(seed: int, number: int) -> list[tuple[str, int]]:
        return [Mixture(sizes, seed=seed).at(number * 65 + i) for i in range(65)]

    first = epoch(0, 0)
    assert set(first) == {(name, i) for name, size in sizes.items() for i in range(size)}
    assert epoch(0, 0) == first
    assert epoch(0, 1) != first
    assert epoch(1, 0) != first
    assert set(epoch(0, 1)) == set(first)
    assert first[:40] != sorted(first)[:40]


def test_a_source_without_weight_is_left_out() -> None:
    mixture = Mixture({"a": 5, "b": 5}, {"b": 0})
    assert {mixture.at(i)[0] for i in range(len(mixture))} == {"a"}


def test_ranks_and_resumed_runs_take_their_part_of_the_same_stream() -> None:
    straight = list(Positions(4, 0, 6))
    assert [i for batch in straight for i in batch] == list(range(24))
    assert list(Positions(4, 2, 6)) == straight[2:]
    ranks = zip(Positions(4, 0, 6, 0, 2), Positions(4, 0, 6, 1, 2), strict=True)
    assert [first + second for first, second in ranks] == straight
    with pytest.raises(ValueError, match="does not divide"):
        Positions(4, 0, 6, 0, 3)
