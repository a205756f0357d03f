"""What lies in temporary files gives the same as what stays in memory: shelves, dealt references, whole plans."""

import errno
import random
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hemadata import shelf, sources
from hemadata.build import Options, build, dealing
from hemadata.build import plan as planning
from hemadata.build.dealing import Brief, Dealing
from hemadata.build.plan import Plan, make_plan
from hemadata.errors import HemaError
from hemadata.formats.archives import Member
from hemadata.formats.boxes import Box, Boxes
from hemadata.formats.gathered import shelf_of_boxes
from hemadata.formats.rawfile import RawFile
from hemadata.formats.rawtree import RawTree
from hemadata.formats.scan import shelf_of_files
from hemadata.shelf import Shelf
from hemadata.sources.base import Ref
from hypothesis import given, settings

steady = settings(max_examples=200, deadline=None, derandomize=True)
names = st.text(st.characters(codec=None), max_size=4)  # lone surrogates, too: names of old archives
changes = st.lists(st.tuples(names, st.one_of(st.none(), st.integers(), st.tuples(st.text(max_size=3)))), max_size=30)


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Next to nothing stays in memory."""
    monkeypatch.setattr(shelf, "HELD", 1)
    monkeypatch.setattr(shelf, "FETCHED", 2)
    monkeypatch.setattr(dealing, "HELD", 3)


@steady
@given(changes, names, st.sampled_from([0, 1, 4, 100]))
def test_shelf_is_a_dict_in_the_order_of_its_names(changed: list[tuple[str, Any]], asked: str, held: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "HELD", held)
        patch.setattr(shelf, "FETCHED", 2)
        found, expected = Shelf[Any](), dict[str, Any]()
        for name, value in changed:
            if value is None and name in expected:
                del found[name], expected[name]
            else:
                assert found.setdefault(name, value) == expected.setdefault(name, value)
                found[name] = expected[name] = (name, value)
        in_order = sorted(expected.items())
        assert list(found.items()) == in_order and list(found) == [name for name, _ in in_order]
        assert list(found.values()) == [value for _, value in in_order]
        assert (len(found), bool(found)) == (len(expected), bool(expected))
        assert found.get(asked) == expected.get(asked) and (asked in found) == (asked in expected)
        with pytest.raises(KeyError):
            del found[asked + "no such name"]
        part = {name[len(asked) :]: value for name, value in in_order if name.startswith(asked)}
        below = found.below(asked)
        assert (dict(below.items()), list(below), len(below), bool(below)) == (part, list(part), len(part), bool(part))
        assert dict(below.below("a")) == {name[1:]: value for name, value in part.items() if name.startswith("a")}


def test_shelf_without_space_says_so(little_memory: None) -> None:
    full = Shelf[str]()
    full.update({"a": "", "b": ""})
    assert full._file
    full._file.execute("PRAGMA max_page_count = 4")
    with pytest.raises(OSError, match="TMPDIR names another folder") as told:
        full.update({f"name {number}": "x" * 1000 for number in range(100)})
    assert told.value.errno == errno.ENOSPC and told.value.filename


def test_files_on_a_shelf_are_the_same_files(little_memory: None, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"12345")
    plain, member = RawFile(f"{tmp_path}/a.jpg", "a.jpg"), Member(f"{tmp_path}/b.zip", "x/b.jpg", 10, 1, 7, 8, 99)
    files = shelf_of_files()
    files.update({"a": plain, "b": member, "c": plain})
    for before, after in ((plain, files["a"]), (member, files["b"])):
        assert type(after) is type(before) and after is not before
        assert (after.path, after.name, after.size, after.stamp) == (
            before.path,
            before.name,
            before.size,
            before.stamp,
        )
        assert after.packed() == before.packed()
    assert files["a"].read() == b"12345"


def boxes(count: int) -> Boxes:
    """Boxes with something in every column."""
    said = (("size", "big", "large"),), "7", (("A", "RBC"),), ("crowd",)
    return Boxes.of(Box((n, 0.5, 2, 3), "WBC" if n else None, *(said if n % 2 else ())) for n in range(count))


def test_boxes_on_a_shelf_are_the_same_boxes(little_memory: None) -> None:
    shelved = shelf_of_boxes()
    shelved.update((str(count), boxes(count)) for count in range(6))
    assert [shelved[str(count)] for count in range(6)] == [boxes(count) for count in range(6)]
    assert shelved["5"] is not shelved["5"]  # from the file


def test_no_more_boxes_stay_in_memory_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dealing, "HELD_BOXES", 8)
    dealt = Dealing("bccd")
    for n in range(20):
        dealt.add(Ref(str(n), RawFile(f"/x/{n}", f"{n}"), objects=boxes(3)))
        assert sum(len(ref.objects or ()) for part in dealt._lists for ref in part) < 8


@steady
@given(st.integers(0, 40), st.sampled_from([1, 2, 16, 256, 1024]), st.sampled_from([3, 8, 1000]), st.integers(0, 9))
def test_references_are_dealt_alike_whether_they_wait_in_a_file(count: int, buckets: int, held: int, seed: int) -> None:
    refs = [
        Ref(f"k{n % 37}", RawFile(f"/x/{n}", f"{n}"), objects=boxes(n % 5), group=f"g{n % 3}", split_upstream="train")
        for n in range(count)
    ]
    random.Random(seed).shuffle(refs)
    expected: dict[int, list[tuple[int, int, str]]] = {}
    for place, ref in enumerate(refs):
        number = dealing.hash_of(f"bccd/{ref.key}")
        expected.setdefault(dealing.bucket_of(f"bccd/{ref.key}", buckets), []).append((number, place, ref.image.name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dealing, "HELD", held)
        patch.setattr(dealing, "HELD_BOXES", 2 * held)
        dealt = Dealing("bccd")
        for ref in refs:
            dealt.add(ref)
        found = {unit.bucket: unit for unit in dealt.units(buckets)}
        assert len(dealt) == count and list(found) == sorted(expected)
        for bucket, unit in found.items():
            assert all(ref.objects == boxes(int(ref.image.name) % 5) for ref in unit.refs)
            assert [ref.image.name for ref in unit.refs] == [name for *_, name in sorted(expected[bucket])]
            assert list(unit.briefs()) == [Brief.of(ref) for ref in unit.refs]
            assert len(unit.refs) == len(expected[bucket])


def told(plan: Plan) -> tuple[object, ...]:
    units = [(unit.bucket, [planning._facts(ref) for ref in unit.refs]) for unit in plan.units]
    return plan.buckets, plan.images, units, plan.problems, plan.versions, list(plan.briefs())


@pytest.mark.parametrize("name", sources.names())
def test_plan_is_the_same_with_little_memory(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    source = sources.get(name)
    source.draw(tmp_path, 12, 1)
    plain = told(make_plan(source, source.open_raw([tmp_path])))
    request.getfixturevalue("little_memory")
    assert told(make_plan(source, source.open_raw([tmp_path]))) == plain


@pytest.mark.parametrize("jobs", [1, 2])
def test_corpus_is_the_same_with_little_memory(jobs: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """An anchor, its follower, a source with groups, rows of arrays; a second build that finds all of it done."""
    wanted, options = ["wbcatt", "acevedo", "raabin", "bccd", "bloodmnist"], Options(phantom=24, jobs=jobs)
    for folder in ("plain", "little"):
        if folder == "little":
            request.getfixturevalue("little_memory")
        for _ in range(2):
            done = build(wanted, tmp_path, tmp_path / folder, options)
            assert not any(each.error for each in done)
        assert not sum(each.units_done for each in done)
    plain, little = (
        {p.relative_to(tmp_path / top).as_posix(): p.read_bytes() for p in (tmp_path / top).rglob("*") if p.is_file()}
        for top in ("plain", "little")
    )
    assert plain == little


def test_key_that_comes_twice_is_refused_with_little_memory(little_memory: None, tmp_path: Path) -> None:
    source = sources.get("raabin")
    source.draw(tmp_path, 12, 1)
    first = next((tmp_path / "raabin" / "Train").rglob("*.jpg"))
    other = tmp_path / "raabin" / "Train" / "Monocyte" / first.name
    other.parent.mkdir(exist_ok=True)
    copy = other if other != first else other.parent.parent / "Neutrophil" / first.name
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(first.read_bytes())
    with pytest.raises(HemaError, match="two files have the key"):
        make_plan(source, source.open_raw([tmp_path]))


def test_tree_below_a_folder_is_a_view(little_memory: None, tmp_path: Path) -> None:
    for name in ("a/x.jpg", "a/b/y.jpg", "a/b/z.txt", "ab/w.jpg", "c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    tree = RawTree.scan(tmp_path).below("a")
    assert list(tree.files) == ["b/y.jpg", "b/z.txt", "x.jpg"]
    assert [file.name for file in tree.below("b").files.values()] == ["a/b/y.jpg", "a/b/z.txt"]
    assert [file.read() for file in tree.each("*.JPG")] == [b"a/x.jpg"] and tree.get("b/none.jpg") is None
