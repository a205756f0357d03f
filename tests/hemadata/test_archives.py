"""Archives as users have them: read in place, to the same corpus, and never trusted."""

import shutil
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hemadata import sources
from hemadata.build import Options, build
from hemadata.errors import LayoutError
from hemadata.formats.archives import Member
from hemadata.formats.rawfile import MAX_FILE
from hemadata.formats.rawtree import RawTree

PACKED = ("stored.zip", "deflated.zip", "plain.tar")


def pack(folder: Path, archive: Path, top: str = "") -> Path:
    """Put the content of a folder into an archive, by the ending and name of the archive."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if archive.suffix == ".tar":
        with tarfile.open(archive, "w") as tar:
            for path in files:
                tar.add(path, top + path.relative_to(folder).as_posix())
        return archive
    method = zipfile.ZIP_STORED if archive.name.startswith("stored") else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(archive, "w", method) as made:
        for path in files:
            made.write(path, top + path.relative_to(folder).as_posix())
    return archive


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn")
    sources.get("bccd").draw(out, 6, 0)
    return out / "bccd"


def rows(raw: Path, out: Path) -> list[tuple[str, str]]:
    (result,) = build(["bccd"], raw, out, Options(check="header"))
    assert result.error is None and result.images == 6
    import hemadata

    with hemadata.open(out) as corpus:
        return [(r["sample_id"], r["sha256"] + str(r["objects"])) for r in corpus.rows("detection")]


@pytest.mark.parametrize("name", PACKED)
def test_archive_gives_the_corpus_that_its_folder_gives(name: str, drawn: Path, tmp_path: Path) -> None:
    pack(drawn, tmp_path / "raw" / "bccd" / name, top="BCCD_Dataset-1.0/")
    assert rows(tmp_path / "raw", tmp_path / "a") == rows(drawn.parent, tmp_path / "b")


@pytest.mark.parametrize("name", PACKED)
def test_members_read_as_the_files_do(name: str, drawn: Path, tmp_path: Path) -> None:
    pack(drawn, tmp_path / name)
    tree = RawTree.scan(tmp_path)
    members = {n: f for n, f in tree.files.items() if isinstance(f, Member)}
    plain = {p.relative_to(drawn).as_posix(): p.read_bytes() for p in drawn.rglob("*") if p.is_file()}
    assert {n: f.read() for n, f in members.items()} == plain
    assert {n: f.size for n, f in members.items()} == {n: len(data) for n, data in plain.items()}


def test_unpacked_files_count_where_the_archive_lies_beside_them(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn, tmp_path, dirs_exist_ok=True)
    pack(drawn, tmp_path / "deflated.zip")
    assert not [f for f in RawTree.scan(tmp_path).files.values() if isinstance(f, Member)]


@pytest.mark.parametrize("name", ["../escape.jpg", "/etc/escape.jpg", "a/../../escape.jpg", "..\\escape.jpg"])
def test_member_that_would_leave_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as made:
        made.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(LayoutError, match="leave its folder"):
        RawTree.scan(tmp_path)


@pytest.mark.parametrize("name", PACKED)
def test_archive_cut_in_the_middle_is_refused_by_name(name: str, drawn: Path, tmp_path: Path) -> None:
    whole = pack(drawn, tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LayoutError, match="cut or damaged"):
        RawTree.scan(tmp_path)


@pytest.mark.parametrize("name", PACKED[:2])
def test_damaged_member_goes_to_quarantine_and_the_rest_is_built(name: str, drawn: Path, tmp_path: Path) -> None:
    archive = pack(drawn, tmp_path / "raw" / "bccd" / name)
    with zipfile.ZipFile(archive) as opened:
        info = opened.getinfo("BCCD/JPEGImages/BloodImage_00002.jpg")
    data = bytearray(archive.read_bytes())
    data[info.header_offset + 500] ^= 0xFF
    archive.write_bytes(data)
    (result,) = build(["bccd"], tmp_path / "raw", tmp_path / "out", Options(check="header"))
    assert result.images == 5
    (entry,) = [e for e in result.quarantine if e.severity == "lost"]
    assert entry.reason == "unreadable_image" and entry.file.endswith("BloodImage_00002.jpg")
    assert name in entry.detail


def test_member_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("bomb.bin", bytes(50_000_000))
    (bomb,) = (f for f in RawTree.scan(tmp_path).files.values() if isinstance(f, Member))
    lying = Member(bomb.path, bomb.name, 100, bomb.at, bomb.compressed, bomb.method, bomb.check)
    with pytest.raises(OSError, match="checksum"):
        lying.read()
    with pytest.raises(OSError, match="at most"):
        Member(bomb.path, bomb.name, MAX_FILE + 1, bomb.at, bomb.compressed, bomb.method, bomb.check).read()


def zip_of(files: dict[str, bytes]) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    return out.getvalue()


def test_archive_inside_an_archive_is_read_by_a_build(tmp_path: Path) -> None:
    """As figshare packs all files of an article: the crops of two sources in two zips in a zip."""
    sources.get("rv-pbs").draw(tmp_path / "drawn", 10, 0)
    sources.get("pbc-8-da").draw(tmp_path / "drawn", 8, 0)
    top, outer = tmp_path / "drawn" / "rv-pbs", tmp_path / "raw" / "rv-pbs" / "23804523-v2.zip"
    outer.parent.mkdir(parents=True)
    inner = {
        f"{folder}.zip": zip_of(
            {p.relative_to(top).as_posix(): p.read_bytes() for p in sorted((top / folder).rglob("*.jpg"))}
        )
        for folder in ("classification_data", "PBC_8_DA")
    }
    outer.write_bytes(zip_of(inner))
    found = build(["rv-pbs", "pbc-8-da"], tmp_path / "raw", tmp_path / "corpus", Options(check="header"))
    assert [(result.error, result.images, result.quarantine) for result in found] == [(None, 10, []), (None, 8, [])]
    assert not list(tmp_path.glob("corpus/.building/*spool*"))
    outer.write_bytes(zip_of(inner | {"PBC_8_DA.zip": inner["PBC_8_DA.zip"][:2000]}))
    (broken,) = build(["pbc-8-da"], tmp_path / "raw", tmp_path / "other", Options(check="header"))
    assert "cut or damaged" in str(broken.error)


def test_junk_inside_an_archive_is_recognised(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as made:
        for name in ("a/1.jpg", "__MACOSX/a/._1.jpg", "a/.DS_Store", "a/Thumbs.db"):
            made.writestr(name, b"x")
    tree = RawTree.scan(tmp_path)
    assert sorted(tree.files) == ["a/1.jpg", "x.zip"]
    assert [file.name for file in tree.junk] == ["__MACOSX/a/._1.jpg", "a/.DS_Store", "a/Thumbs.db"]
