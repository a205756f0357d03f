"""Crops inside their field: blobs and their codes, votes for a window, the second test, what a corpus makes of it."""

import shutil
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path

import hemadata
import numpy as np
import pytest
from hemadata import sources
from hemadata.audit import crops, leakage, splitting
from hemadata.audit.align import fit, green
from hemadata.audit.contract import check
from hemadata.audit.crops import CONFIRMED, Search, look_up
from hemadata.audit.described import SEVERAL, Described
from hemadata.audit.duplicates import find
from hemadata.audit.families import families
from hemadata.audit.keypoints import Keypoints, keypoints, turned_codes
from hemadata.audit.parallel import Workers
from hemadata.audit.pictures import Joined, Pictures
from hemadata.audit.votes import Window
from hemadata.build import Options, build
from hemadata.phantom import Smear
from PIL import Image

COUNT = {"red_blood_cell": 14, "neutrophil": 1, "platelet": 2}
BOX = (110, 70, 500, 420)


@pytest.fixture(scope="module")
def fields() -> list[Image.Image]:
    smear = Smear(5, (640, 480))
    return [smear.field(n, COUNT).image for n in range(4)]


def crop(field: Image.Image, share: float = 0.6, turn: int = 0, quality: int = 70) -> Image.Image:
    """A window of a field, smaller, turned, compressed."""
    image = field.crop(BOX)
    image = image.resize((round(image.width * share), round(image.height * share)), Image.Resampling.BICUBIC)
    image = image.transpose(Image.Transpose(turn - 1)) if turn else image
    out = BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


def described(images: Iterable[Image.Image]) -> list[Keypoints]:
    return [keypoints(np.asarray(image)) for image in images]


def windows(
    folder: Path, images: Iterable[Image.Image], asked: Iterable[int], homes: Sequence[int] = ()
) -> list[Window]:
    """Windows that the asked pictures may be in the others."""
    pictures = described(images)
    found = Described.write(folder, pictures, homes or range(len(pictures)))
    return look_up(found, np.array(list(asked), np.int64), Workers())


@pytest.mark.parametrize("turn", range(8))
def test_turned_codes_are_the_codes_of_the_turned_picture(turn: int, fields: list[Image.Image]) -> None:
    square = np.asarray(fields[0].crop((0, 0, 480, 480)))[:, :, 1]
    plain = keypoints(square)
    grid = square.T if turn >= 4 else square
    grid = grid[::-1] if turn & 2 else grid
    turned = keypoints(grid[:, ::-1] if turn & 1 else grid)
    place = plain.place[:, :2] - 240
    place = place[:, ::-1] if turn >= 4 else place
    place = place * np.array([-1 if turn & 1 else 1, -1 if turn & 2 else 1]) + 240
    away = np.abs(place[:, None] - turned.place[None, :, :2]).max(axis=2)
    same, other = np.nonzero((away < 0.5) & (np.abs(plain.place[:, None, 2] - turned.place[None, :, 2]) < 0.05))
    wrong = np.bitwise_count(turned_codes(plain.code, turn)[same] ^ turned.code[other])
    assert len(plain.code) > 50 and len(same) > 0.9 * len(plain.code) and np.median(wrong) <= 1


@pytest.mark.parametrize("turn", range(8))
def test_crop_is_found_in_its_field_and_lies_where_it_was_cut(
    turn: int, tmp_path: Path, fields: list[Image.Image]
) -> None:
    small = crop(fields[2], 0.6 if turn % 2 else 0.9, turn)
    best = windows(tmp_path, [*fields, small], [4])[0]
    assert best.large == 2
    value, frame = fit(green(np.asarray(small)), green(np.asarray(fields[2])), best.turn, best.frame)
    assert value > 0.9
    x, y, width, height = frame
    assert (x - width / 2, y - height / 2, x + width / 2, y + height / 2) == pytest.approx(BOX, abs=3)


def test_stretched_and_cut_field_is_found(tmp_path: Path, fields: list[Image.Image]) -> None:
    """As rotating and cropping augmentations make them: other width and height, a twelfth cut off, a quarter turn."""
    small = fields[1].crop((40, 30, 600, 450)).resize((416, 416)).transpose(Image.Transpose.ROTATE_90)
    best = windows(tmp_path, [*fields, small], [4])[0]
    value, frame = fit(green(np.asarray(small)), green(np.asarray(fields[1])), best.turn, best.frame)
    assert best.large == 1 and value > 0.9 and frame == pytest.approx((320, 240, 560, 420), abs=4)


def test_other_fields_do_not_pass(tmp_path: Path, fields: list[Image.Image]) -> None:
    others = [Smear(6, (640, 480)).field(n, COUNT).image for n in range(6)]
    found = windows(tmp_path, [*fields, *(crop(other) for other in others)], range(4, 10))
    for window in found:
        if window.large < 4:
            small, large = others[window.small - 4], fields[window.large]
            assert (
                fit(green(np.asarray(crop(small))), green(np.asarray(large)), window.turn, window.frame)[0] < CONFIRMED
            )


def test_pictures_without_blobs_are_passed_over(tmp_path: Path, fields: list[Image.Image]) -> None:
    blank, tiny = Image.new("RGB", (300, 300), "white"), Image.new("RGB", (9, 5))
    assert not len(keypoints(np.asarray(blank)).code) and not len(keypoints(np.asarray(tiny)).code)
    assert windows(tmp_path, [blank, tiny, fields[0]], [0, 1]) == [] == windows(tmp_path, [], [])


def test_pictures_of_one_download_are_not_looked_for_in_each_other(tmp_path: Path, fields: list[Image.Image]) -> None:
    small = crop(fields[2], 0.9)
    assert windows(tmp_path, [*fields, small], [4], [0, 0, 0, 0, 1])[0].large == 2
    assert not windows(tmp_path, [*fields, small], [4], [0] * 5)
    several = windows(tmp_path, [fields[2], small], [1], [SEVERAL] * 2)
    assert [window.large for window in several] == [0] * len(several) and several, "never in itself"


def test_tasks_of_any_size_find_the_same_windows(
    tmp_path: Path, fields: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [*fields, *(crop(field, 0.8) for field in fields)]

    def firsts() -> dict[int, tuple[int, int]]:
        return {w.small: (w.large, w.turn) for w in reversed(windows(tmp_path, pictures, range(4, 8)))}

    whole = firsts()
    monkeypatch.setattr(crops, "LARGE", 300)
    monkeypatch.setattr(crops, "TOGETHER", 1)
    assert firsts() == whole == {n + 4: (n, 0) for n in range(4)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fields of one source; in another of its family, three crops of them under names that tell nothing."""
    raw, out = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("built") / "corpus"
    sources.get("bccd").draw(raw, 12, 0)
    sources.get("txl-pbc").draw(raw, 8, 1)
    tests = (raw / "bccd/BCCD/ImageSets/Main/test.txt").read_text().split()
    images = sorted((raw / "bccd").rglob("*.jpg"), key=lambda path: (path.stem not in tests, path.stem))
    targets = [p for p in sorted((raw / "txl-pbc").rglob("*.jpg")) if "images" in p.parts]
    for number, (image, target) in enumerate(zip(images[:3], targets, strict=False)):
        crop(Image.open(image).convert("RGB"), 0.7 + 0.1 * number, 2 * number + 1).save(target, quality=75)
    assert all(not result.error for result in build(["bccd", "txl-pbc"], [raw], out, Options()))
    return out


def test_corpus_links_crops_as_a_group_and_not_as_the_same_picture(built: Path, tmp_path: Path) -> None:
    corpus = Path(shutil.copytree(built, tmp_path / "corpus"))
    with hemadata.open(corpus) as opened:
        found = find(opened)
    crops = [pair for pair in found.pairs if pair.kind == "crop"]
    assert len(crops) == len({pair.sample_a for pair in crops}) == 3 == len(found.pairs)
    assert all(pair.sample_a.startswith("bccd/") and pair.sample_b.startswith("txl-pbc/") for pair in crops)
    assert not found.clusters()
    leakage.keep(corpus, found)
    with hemadata.open(corpus) as opened:
        splits = dict(zip(*(opened.index[name].to_pylist() for name in ("sample_id", "split")), strict=True))
    crossing = [pair for pair in crops if splits[pair.sample_a] != splits[pair.sample_b]]
    assert crossing and [f.rule for f in check(corpus, "none").findings] == ["crop"] * len(crossing)
    assert not splitting.split(corpus).leaking and not check(corpus, "full").findings
    with hemadata.open(corpus) as opened:
        groups = dict(zip(*(opened.index[name].to_pylist() for name in ("sample_id", "group_id")), strict=True))
    assert all(groups[pair.sample_a] == groups[pair.sample_b] for pair in crops)


def test_any_number_of_jobs_finds_the_same(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = dict[str, tuple[int, int]]()
    with hemadata.open(built) as opened:
        alone = find(opened, lambda name, done, total: stages.update({name: (done, total)}))
        assert all(done == total for done, total in stages.values()) and sum("crops" in name for name in stages) == 4
        monkeypatch.setattr(crops, "DESCRIBED", 5)  # more than one task each, so that workers are started
        monkeypatch.setattr(crops, "TESTED", 3)
        together = find(opened, jobs=2)
    assert (together.pairs, together.rejected) == (alone.pairs, alone.rejected)


def test_crop_that_names_tie_already_is_not_looked_for(built: Path) -> None:
    with hemadata.open(built) as opened:
        pictures = Pictures.of(opened)
        joined = Joined(pictures)
        (family,) = families(opened)
        assert family.name == "bccd and txl-pbc" and len(Search.of(family, pictures, joined).asked) == 20
        small, large = (pictures.sources.index(name) for name in ("txl-pbc", "bccd"))
        pictures.groups[small] = pictures.groups[large]
        assert len(Search.of(family, pictures, joined).asked) == 18


def test_source_alone_is_not_searched_for_crops(built: Path) -> None:
    with hemadata.open(built) as opened:
        del opened.manifests["txl-pbc"]
        assert not find(opened).pairs
