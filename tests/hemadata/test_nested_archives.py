"""Archives within archives, as repositories pack what is downloaded at once, and members read as streams."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import hemadata
import pytest
from hemadata import sources
from hemadata.audit.raw import inspect
from hemadata.build import Options, build
from hemadata.errors import LayoutError
from hemadata.formats.archives import STREAM, Member
from hemadata.formats.limits import Limits
from hemadata.formats.rawtree import RawTree
from hemadata.formats.spool import Spool


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, data in files.items():
            made.writestr(zipfile.ZipInfo(name), data, method)  # no time of its own: equal calls give equal bytes
    return out.getvalue()


def tar_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn")
    sources.get("bccd").draw(out, 4, 0)
    return out


def rows(raw: Path, out: Path) -> list[tuple[str, str]]:
    (result,) = build(["bccd"], raw, out, Options(check="header"))
    assert result.error is None and result.undeclared == {}
    assert not (out / ".building").exists(), "the spool is removed"
    with hemadata.open(out) as corpus:
        return [(r["sample_id"], r["sha256"] + str(r["objects"])) for r in corpus.rows("detection")]


PACKED = {
    "download.zip": lambda files: zip_of({"12345/BCCD.zip": zip_of(files)}),
    "all.zip": lambda files: zip_of({"BCCD.tar.gz": gzip.compress(tar_of(files)), "LICENSE": b"MIT"}),
    "all.tar": lambda files: tar_of({"a/BCCD.zip": zip_of(files, zipfile.ZIP_STORED)}),
    "all.tar.gz": lambda files: gzip.compress(tar_of({"a/BCCD.tar": tar_of(files)})),
    "twice.zip": lambda files: zip_of({"a.zip": zip_of({"b.zip": zip_of(files)})}),
}


@pytest.mark.parametrize("name", PACKED)
def test_archive_in_an_archive_gives_the_corpus_that_its_folder_gives(name: str, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "raw" / "bccd").mkdir(parents=True)
    (tmp_path / "raw" / "bccd" / name).write_bytes(PACKED[name](content(drawn / "bccd")))
    assert rows(tmp_path / "raw", tmp_path / "a") == rows(drawn, tmp_path / "b")
    report = inspect(sources.get("bccd"), [tmp_path / "raw"])
    assert report.images == 4 and not [d for d in report.deviations if d.severity == "error"]


def test_units_of_an_archive_in_an_archive_stay_done(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "raw" / "bccd").mkdir(parents=True)
    (tmp_path / "raw" / "bccd" / "x.zip").write_bytes(PACKED["all.zip"](content(drawn / "bccd")))
    words = ["bccd"], tmp_path / "raw", tmp_path / "corpus", Options(check="header")
    assert [result.units_done for _ in range(2) for result in build(*words)] == [1, 0]


def test_array_in_an_archive_is_read_row_by_row(tmp_path: Path) -> None:
    sources.get("bloodmnist").draw(tmp_path / "plain", 6, 0)
    (npz,) = (tmp_path / "plain").rglob("*.npz")
    (tmp_path / "raw" / "bloodmnist").mkdir(parents=True)
    (tmp_path / "raw" / "bloodmnist" / "6496656.zip").write_bytes(zip_of({npz.name: npz.read_bytes()}))
    (result,) = build(["bloodmnist"], tmp_path / "raw", tmp_path / "corpus")
    assert (result.images, result.error) == (6, None)


def test_without_a_spool_it_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(zip_of({"inner.zip": b"PK"}))
    (told,) = RawTree.scan(tmp_path).left_out
    assert told[0] == "x.zip/inner.zip" and "a build unpacks" in told[1]


HOSTILE = {
    "leaves its folder": (zip_of({"in.zip": zip_of({"../../a.jpg": b"x"})}), "leave its folder"),
    "is cut": (zip_of({"in.zip": zip_of({"a.jpg": bytes(9000)})[:-30]}), "cut or damaged"),
    "is no archive": (zip_of({"in.zip": b"<html>"}), "cut or damaged"),
    "is large": (zip_of({"in.gz": gzip.compress(bytes(2_000_000), mtime=0)}), "at most"),
    "is many": (zip_of({f"{n}.gz": gzip.compress(bytes(150_000), mtime=0) for n in range(8)}), "at most"),
    "comes again within itself": (
        zip_of({"a.zip": zip_of({"b.zip": zip_of({"c.zip": zip_of({"d.zip": zip_of({})})})})}),
        "archives within archives",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_archive_in_an_archive_is_refused_and_leaves_nothing(what: str, tmp_path: Path) -> None:
    data, word = HOSTILE[what]
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "outer.zip").write_bytes(data)
    spool = Spool(tmp_path / "spool", limits=Limits(ratio=10, free=1_000_000))
    with pytest.raises(LayoutError, match=word):
        RawTree.scan(tmp_path / "raw", spool)
    assert not list(tmp_path.glob("spool/**/*.part"))
    assert {p.name for p in tmp_path.iterdir()} <= {"raw", "spool"}


def test_zip_that_announces_far_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(zip_of({f"{n}.jpg": bytes(1 << 20) for n in range(65)}))
    with pytest.raises(LayoutError, match=r"x\.zip: .* at most"):
        RawTree.scan(tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, None])
def test_member_as_a_stream_is_the_member_as_a_whole(method: int | None, tmp_path: Path) -> None:
    data = b"".join(n.to_bytes(4, "big") for n in range(STREAM))  # four times what a stream holds
    files = {"empty": b"", "one": b"x", "large": data, "flat": bytes(3 * STREAM)}
    (tmp_path / ("x.tar" if method is None else "x.zip")).write_bytes(
        tar_of(files) if method is None else zip_of(files, method)
    )
    members = {n: f for n, f in RawTree.scan(tmp_path).files.items() if isinstance(f, Member)}
    assert members.keys() == files.keys()
    for name, member in members.items():
        with member.open() as file:
            assert file.read() == member.read() == files[name]


@pytest.mark.parametrize("wrong", ["size", "check", "packed", "at"])
def test_member_that_lies_is_refused_as_a_stream_too(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(zip_of({"a": bytes(range(256)) * 5000}))
    (member,) = (f for f in RawTree.scan(tmp_path).files.values() if isinstance(f, Member))
    told = {"size": member.size, "at": member.at, "packed": member.compressed, "check": member.check}
    told[wrong] += {"size": -1, "at": 1, "packed": -50, "check": -1}[wrong]
    lying = Member(member.path, member.name, told["size"], told["at"], told["packed"], member.method, told["check"])
    for read in (lying.read, lambda: lying.open().read()):
        with pytest.raises(OSError, match=r"in x\.zip"):
            read()
